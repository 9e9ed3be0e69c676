// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a measurement could not be made.

use std::io;

/// What stopped a measurement.
#[derive(Debug)]
pub enum Failure {
    /// A link of ours failed.
    Link(uncopy::LinkError),
    /// What is measured against failed.
    Peer(String),
    /// The system refused.
    System {
        /// What was tried, as a verb phrase.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// The other process ended, or said something else than was agreed.
    Side(String),
    /// The figures can't be written as JSON.
    Output(String),
    /// Too few samples to tell a median.
    Samples {
        /// The figure that they were for.
        figure: String,
        /// How many there were.
        found: usize,
    },
}

impl Failure {
    /// The system refused `doing`, a verb phrase.
    pub fn system(doing: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::System { doing: doing.into(), source: source.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Link(error) => write!(f, "{error}"),
            Self::Peer(why) => write!(f, "the library that is measured against: {why}"),
            Self::System { doing, source } => write!(f, "cannot {doing}: {source}"),
            Self::Side(why) => write!(f, "the other process of the measurement: {why}"),
            Self::Output(why) => write!(f, "cannot write the figures: {why}"),
            Self::Samples { figure, found } => {
                write!(f, "{figure}: only {found} samples; is the machine overloaded?")
            }
        }
    }
}

impl std::error::Error for Failure {}

impl From<uncopy::LinkError> for Failure {
    fn from(error: uncopy::LinkError) -> Self {
        Self::Link(error)
    }
}

impl From<uncopy::LayoutError> for Failure {
    fn from(error: uncopy::LayoutError) -> Self {
        Self::Link(error.into())
    }
}
