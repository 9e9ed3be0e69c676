// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong in a chaos run, and how it is said.

use std::fmt;

use serde_json::{Value, json};

/// What kind of promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes of several frames in one.
    Torn,
    /// Another frame than the one that it claims to be, or one that was received before.
    Stale,
    /// Content, metadata and description are not of one frame.
    Mixed,
    /// Received and missed do not add up to what was published.
    Unaccounted,
    /// A call failed for a reason that nothing in the run explains.
    Error,
    /// Something that must come did not come.
    Hang,
    /// Something is left that must be gone.
    Leak,
    /// A process ended that nobody had ended.
    Crash,
}

impl Kind {
    const ALL: [Self; 8] = [
        Self::Torn,
        Self::Stale,
        Self::Mixed,
        Self::Unaccounted,
        Self::Error,
        Self::Hang,
        Self::Leak,
        Self::Crash,
    ];

    /// Its word in events and reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Stale => "stale",
            Self::Mixed => "mixed",
            Self::Unaccounted => "unaccounted",
            Self::Error => "error",
            Self::Hang => "hang",
            Self::Leak => "leak",
            Self::Crash => "crash",
        }
    }

    /// Whether it is about the bytes of a frame: what the check of the pattern finds.
    #[must_use]
    pub fn is_of_content(self) -> bool {
        matches!(self, Self::Torn | Self::Stale | Self::Mixed)
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Which.
    pub kind: Kind,
    /// What was seen.
    pub text: String,
}

impl Wrong {
    /// Puts it into words.
    #[must_use]
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// As a participant reports it.
    pub(super) fn event(&self) -> Value {
        json!({ "event": "wrong", "kind": self.kind.name(), "text": self.text })
    }

    /// From a participant's report.
    pub(super) fn reported(event: &Value) -> Self {
        let word = event["kind"].as_str().unwrap_or_default();
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == word).unwrap_or(Kind::Error);
        Self::new(kind, event["text"].as_str().unwrap_or_default())
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.text)
    }
}

impl From<uncopy::LinkError> for Wrong {
    fn from(error: uncopy::LinkError) -> Self {
        Self::new(Kind::Error, format!("{}: {error}", error.kind().name()))
    }
}
