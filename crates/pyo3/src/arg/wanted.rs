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

    /// Checks what was passed, in the order of the lines; `unlisted` are views that have no line, by their names.
    ///
    /// # Errors
    /// [`ArrayError::Argument`] for what does not fit; [`ArrayError::Unusable`] with what stands in the way of writing to an
    /// argument; [`ArrayError::SharedMemory`] where that would also change another one that Rust has a view of.
    #[inline]
    pub fn check<const N: usize>(
        &self,
        listed: [&dyn Argument; N],
        unlisted: &[(&str, &dyn Argument)],
    ) -> Result<(), Box<ArrayError>> {
        let wants = match self.wants.get() {
            Some(wants) => wants,
            None => self.wants()?,
        };
        if let Err(misfit) = wants.check(&listed.map(|argument| argument.found())) {
            return Err(self.refused(&listed, misfit));
        }
        let is_exclusive = |argument: &dyn Argument| argument.borrow() == Borrow::Exclusive;
        let writes = wants.any_is_mut()
            || listed.iter().any(|argument| is_exclusive(*argument))
            || unlisted.iter().any(|(_, argument)| is_exclusive(*argument));
        if writes { self.check_writing(wants, &listed, unlisted) } else { Ok(()) }
    }

    fn check_writing(
        &self,
        wants: &Wants,
        listed: &[&dyn Argument],
        unlisted: &[(&str, &dyn Argument)],
    ) -> Result<(), Box<ArrayError>> {
        for (want, argument) in wants.arguments().iter().zip(listed).filter(|(want, _)| want.is_mut()) {
            argument.check_writable().map_err(|source| {
                let (function, argument) = (self.function, want.name().to_owned());
                ArrayError::Unusable { function, argument, source: Box::new(source) }
            })?;
        }
        let listed = wants.arguments().iter().map(|want| want.name()).zip(listed.iter().copied());
        let all: Vec<(&str, &dyn Argument)> = listed.chain(unlisted.iter().copied()).collect();
        for (name, argument) in &all {
            let mut others = all.iter().filter(|(other, _)| other != name);
            if let Some((other, _)) = others.find(|(_, other)| is_shared(*argument, *other)) {
                let (written, other) = ((*name).to_owned(), (*other).to_owned());
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
