// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `#[arrays(...)]` makes of its lines: a check before a function's body.

use std::sync::OnceLock;

use uncopy::{Found, Misfit, Wants};

use super::overlap;
use crate::error::ArrayError;

/// What the arguments of one function must be. Made by [`arrays`](crate::arrays).
#[derive(Debug)]
pub struct Wanted {
    function: &'static str,
    lines: &'static [(&'static str, &'static str)],
    wants: OnceLock<Wants>,
}

/// An argument that can be checked: [`ArrayArg`](super::ArrayArg), [`ArrayRef`](super::ArrayRef) and
/// [`ArrayMut`](super::ArrayMut).
pub trait Argument {
    /// What it is.
    fn found(&self) -> Found<'_>;

    /// The full name of its type, where that is known.
    fn type_name(&self) -> Option<String>;

    /// Asks its framework whether it may be written.
    ///
    /// # Errors
    /// What stands in the way.
    fn check_writable(&self) -> Result<(), ArrayError>;

    /// What Rust has of its memory.
    fn borrow(&self) -> Borrow;
}

/// What Rust has of an argument's memory.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Borrow {
    /// Its address only.
    Nothing,
    /// A view, while which nobody may write.
    Shared,
    /// A view that writes, while which nobody else may look.
    Exclusive,
}

impl Wanted {
    /// Of a function: the names of its arguments, and what each must be. The lines were read once by the attribute.
    #[must_use]
    pub const fn new(function: &'static str, lines: &'static [(&'static str, &'static str)]) -> Self {
        Wanted { function, lines, wants: OnceLock::new() }
    }

    /// Checks what was passed, in the order of the lines.
    ///
    /// # Errors
    /// [`ArrayError::Argument`] for what does not fit; what stands in the way of writing to an argument that is wanted as
    /// `mut`; [`ArrayError::SharedMemory`] where that would also change another one that Rust has a view of.
    #[inline]
    pub fn check<const N: usize>(&self, arguments: [&dyn Argument; N]) -> Result<(), Box<ArrayError>> {
        let wants = match self.wants.get() {
            Some(wants) => wants,
            None => self.wants()?,
        };
        match wants.check(&arguments.map(|argument| argument.found())) {
            Ok(()) if !wants.any_is_mut() => Ok(()),
            Ok(()) => self.check_writing(wants, &arguments),
            Err(misfit) => Err(self.refused(&arguments, misfit)),
        }
    }

    fn check_writing(&self, wants: &Wants, arguments: &[&dyn Argument]) -> Result<(), Box<ArrayError>> {
        for (want, argument) in wants.arguments().iter().zip(arguments).filter(|(want, _)| want.is_mut()) {
            argument.check_writable()?;
            let others = wants.arguments().iter().zip(arguments);
            let mut others = others.filter(|(other, _)| other.name() != want.name());
            if let Some((other, _)) = others.find(|(_, other)| is_shared(*argument, **other)) {
                let (written, other) = (want.name().to_owned(), other.name().to_owned());
                return Err(Box::new(ArrayError::SharedMemory { function: self.function, written, other }));
            }
        }
        Ok(())
    }

    #[cold]
    fn refused(&self, arguments: &[&dyn Argument], misfit: Box<Misfit>) -> Box<ArrayError> {
        let named = self.lines.iter().zip(arguments).find(|((name, _), _)| *name == misfit.argument());
        let type_name = named.and_then(|(_, argument)| argument.type_name());
        let type_name = type_name.map(|name| name + " ").unwrap_or_default();
        Box::new(ArrayError::Argument { function: self.function, type_name, misfit })
    }

    #[cold]
    fn wants(&self) -> Result<&Wants, Box<ArrayError>> {
        let wants = Wants::parse(self.lines).map_err(ArrayError::Want)?;
        Ok(self.wants.get_or_init(|| wants))
    }
}

/// Whether Rust has views of both, one of which writes where the other looks.
fn is_shared(written: &dyn Argument, other: &dyn Argument) -> bool {
    if written.borrow() != Borrow::Exclusive || other.borrow() == Borrow::Nothing {
        return false;
    }
    overlap::may_overlap(&written.found(), &other.found())
}
