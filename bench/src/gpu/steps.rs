// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured, and on frames of which size.

use crate::failure::Failure;
use uncopy::{DType, Form};

/// One way to hand a frame over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Row {
    /// A copy into a slot, until the consumer's CPU knows that it is there.
    SendKnown,
    /// Then a kernel of the consumer's.
    SendThenKernel,
    /// The consumer's stream waits instead of its CPU.
    SendStreamWaits,
    /// Then a copy into the consumer's pinned memory.
    SendThenHost,
    /// A kernel writes into the slot.
    LoanKnown,
    /// Four bytes are set in the slot.
    SignalKnown,
    /// A copy with a mirror; the consumer has no GPU.
    MirrorKnown,
    /// As the first, sixty times a second, to a consumer that sleeps.
    SendKnown60Hz,
    /// The producer's call with eight consumers.
    SendCall8,
    /// As the first, each part of the call timed alone.
    SendParts,
    /// As the first, to a consumer on a second card.
    SendKnownTwoCards,
    /// As the first, to a consumer that wants its frames copied to a second card.
    SendCopiedTwoCards,
}

/// How a row is called and what it does.
pub struct About {
    pub row: Row,
    pub name: &'static str,
    /// The name of the row for the producer's call, if it has one.
    pub call: Option<&'static str>,
    pub what: &'static str,
}

impl Row {
    /// Whether the consumer is on the second card.
    pub fn is_of_two_cards(self) -> bool {
        matches!(self, Self::SendKnownTwoCards | Self::SendCopiedTwoCards)
    }
}

/// Measured only when named.
const ON_DEMAND: &[Row] = &[Row::SendParts, Row::SendKnownTwoCards, Row::SendCopiedTwoCards];

pub const ROWS: &[About] = &[
    About {
        row: Row::SendKnown,
        name: "send_known",
        call: Some("send_call_rust"),
        what: "send until the data is there and the consumer's CPU knows",
    },
    About {
        row: Row::SendThenKernel,
        name: "send_then_kernel",
        call: None,
        what: "send until a kernel of the consumer's has read the frame",
    },
    About {
        row: Row::SendStreamWaits,
        name: "send_stream_waits",
        call: None,
        what: "send until the consumer's stream, which waited, is done",
    },
    About {
        row: Row::SendThenHost,
        name: "send_then_host",
        call: None,
        what: "send until the frame is in the consumer's pinned memory",
    },
    About {
        row: Row::LoanKnown,
        name: "loan_known",
        call: Some("loan_call_rust"),
        what: "a kernel into a loaned slot and publish until the consumer's CPU knows",
    },
    About {
        row: Row::SignalKnown,
        name: "signal_known",
        call: Some("signal_call_rust"),
        what: "four bytes set in a loaned slot and publish until the consumer's CPU knows",
    },
    About {
        row: Row::MirrorKnown,
        name: "mirror_known",
        call: None,
        what: "send with a mirror until a consumer without a GPU knows",
    },
    About {
        row: Row::SendKnown60Hz,
        name: "send_known_60hz",
        call: Some("send_call_60hz_rust"),
        what: "send until a consumer that slept knows, 60 times a second",
    },
    About {
        row: Row::SendCall8,
        name: "send_call_8_consumers",
        call: None,
        what: "the call of send with eight consumers attached",
    },
    About {
        row: Row::SendParts,
        name: "send_parts",
        call: None,
        what: "send in parts until the consumer's CPU knows",
    },
    About {
        row: Row::SendKnownTwoCards,
        name: "send_known_two_cards",
        call: None,
        what: "send until the CPU of a consumer on a second card knows",
    },
    About {
        row: Row::SendCopiedTwoCards,
        name: "send_copied_two_cards",
        call: None,
        what: "send until the frame is copied to a second card and the consumer's CPU knows",
    },
];

/// Width, height and dtype of frames of four channels.
pub struct Size {
    pub name: &'static str,
    width: usize,
    height: usize,
    dtype: DType,
}

const fn size(name: &'static str, width: usize, height: usize, dtype: DType) -> Size {
    Size { name, width, height, dtype }
}

/// The size that the goals are about.
pub const OF_GOALS: &str = "1080p_f32";

pub const SIZES: &[Size] = &[
    size("512_u8", 512, 512, DType::U8),
    size("512_f16", 512, 512, DType::F16),
    size("512_f32", 512, 512, DType::F32),
    size("1080p_u8", 1920, 1080, DType::U8),
    size("1080p_f16", 1920, 1080, DType::F16),
    size(OF_GOALS, 1920, 1080, DType::F32),
    size("4k_u8", 3840, 2160, DType::U8),
    size("4k_f16", 3840, 2160, DType::F16),
    size("4k_f32", 3840, 2160, DType::F32),
];

impl Size {
    /// The form of its frames.
    ///
    /// # Errors
    /// None for the sizes of the table.
    pub fn form(&self) -> Result<Form, Failure> {
        Ok(Form::new(self.dtype, &[self.height, self.width, 4])?)
    }
}

/// A row with a size.
#[derive(Clone, Copy)]
pub struct Step {
    pub about: &'static About,
    pub size: &'static Size,
}

impl Step {
    /// The size in results; `any` where it plays no part.
    pub fn size_name(&self) -> &'static str {
        if self.about.row == Row::SignalKnown { "any" } else { self.size.name }
    }

    /// As the other side is told it.
    pub fn text(&self) -> String {
        format!("{}:{}", self.about.name, self.size.name)
    }

    /// From what the other side was told.
    ///
    /// # Errors
    /// There is no such step.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let none = || Failure::Side(format!("there is no step '{text}'"));
        let (row, size) = text.split_once(':').ok_or_else(none)?;
        let about = ROWS.iter().find(|about| about.name == row).ok_or_else(none)?;
        let size = SIZES.iter().find(|known| known.name == size).ok_or_else(none)?;
        Ok(Self { about, size })
    }
}

/// The steps that were asked for: all where nothing was named. Rows that cost much come with one size only.
///
/// # Errors
/// A name that there is not.
pub fn chosen(rows: &[String], sizes: &[String]) -> Result<Vec<Step>, Failure> {
    for name in rows {
        if !ROWS.iter().any(|about| about.name == name) {
            return Err(Failure::Side(format!("there is no row '{name}'")));
        }
    }
    for name in sizes {
        if !SIZES.iter().any(|size| size.name == name) {
            return Err(Failure::Side(format!("there is no size '{name}'")));
        }
    }
    let is_chosen =
        |names: &[String], name: &str| names.is_empty() || names.iter().any(|known| known == name);
    let mut steps = Vec::new();
    let is_wanted =
        |about: &&About| is_chosen(rows, about.name) && (!rows.is_empty() || !ON_DEMAND.contains(&about.row));
    for about in ROWS.iter().filter(is_wanted) {
        let has_one_size = matches!(about.row, Row::SignalKnown | Row::SendKnown60Hz | Row::SendCall8);
        for size in SIZES.iter().filter(|size| is_chosen(sizes, size.name)) {
            if !has_one_size || size.name == OF_GOALS {
                steps.push(Step { about, size });
            }
        }
    }
    Ok(steps)
}
