// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be measured, and with which programs.

/// A group of figures that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Topic {
    /// From publish until another process holds the frame.
    Latency,
    /// Loan and publish with nobody waiting, in Rust and Python.
    Publish,
    /// Sending a frame against memcpy and what Python users do today.
    Send,
    /// Receiving in a Python loop.
    Receive,
    /// What an idle subscriber costs.
    Idle,
    /// Attaching, listing, importing.
    Start,
    /// What a link takes, and the wheel.
    Memory,
    /// What eight consumers cost a producer against one.
    Crowd,
    /// Every frame of a producer that blocks, each byte read.
    Every,
    /// Producers that are killed and restarted.
    Restart,
    /// Frames and wake-ups against iceoryx2's.
    Iceoryx2,
    /// Arrays as arguments and results of extension modules, against nanobind, pybind11 and rust-numpy.
    Arrays,
    /// A hundred million frames, ten thousand kills, twenty minutes of video: half an hour, so only when asked for.
    Chaos,
}

impl Topic {
    pub const ALL: &[Self] = &[
        Self::Latency,
        Self::Publish,
        Self::Send,
        Self::Receive,
        Self::Idle,
        Self::Start,
        Self::Memory,
        Self::Crowd,
        Self::Every,
        Self::Restart,
        Self::Iceoryx2,
        Self::Arrays,
        Self::Chaos,
    ];

    /// Also the name of the topic in `uncopy-bench`, where it has one.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latency => "latency",
            Self::Publish => "publish",
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Idle => "idle",
            Self::Start => "start",
            Self::Memory => "memory",
            Self::Crowd => "crowd",
            Self::Every => "every",
            Self::Restart => "restart",
            Self::Iceoryx2 => "iceoryx2",
            Self::Arrays => "arrays",
            Self::Chaos => "chaos",
        }
    }

    pub const fn is_in_rust(self) -> bool {
        !matches!(self, Self::Receive | Self::Arrays | Self::Chaos)
    }

    /// Measured only when it is asked for.
    pub const fn is_long(self) -> bool {
        matches!(self, Self::Chaos)
    }

    /// The script in `bench/python` that measures it there.
    pub const fn script(self) -> Option<&'static str> {
        match self {
            Self::Latency
            | Self::Memory
            | Self::Crowd
            | Self::Every
            | Self::Restart
            | Self::Iceoryx2
            | Self::Chaos => None,
            Self::Publish => Some("publish.py"),
            Self::Send => Some("send.py"),
            Self::Receive => Some("receive.py"),
            Self::Idle => Some("idle.py"),
            Self::Start => Some("start.py"),
            Self::Arrays => Some("arrays.py"),
        }
    }

    /// The library that it is measured against, by the name of its program's directory in `bench/peers`. That program
    /// stands in for `uncopy-bench`.
    pub const fn peer(self) -> Option<&'static str> {
        match self {
            Self::Iceoryx2 => Some("iceoryx2"),
            _ => None,
        }
    }

    pub fn needs_wheel(self) -> bool {
        self.script().is_some() || self == Self::Memory
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::Repo;

    #[test]
    fn every_script_is_there() {
        for script in Topic::ALL.iter().filter_map(|topic| topic.script()) {
            assert!(Repo::this().join("bench/python").join(script).is_file(), "{script}");
        }
    }

    #[test]
    fn a_topic_is_measured_somewhere() {
        assert!(
            Topic::ALL.iter().all(|topic| topic.is_in_rust() || topic.script().is_some() || topic.is_long())
        );
    }
}
