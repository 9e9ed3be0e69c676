// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `#[arrays(...)]` makes of its lines: a check before a function's body.

use std::sync::OnceLock;

use uncopy::{Found, Wants};

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

    /// Why it can't be used as is wanted: for writing, or the name of its type.
    ///
    /// # Errors
    /// What stands in the way of writing to it.
    #[doc(hidden)]
    fn refuse(&self) -> Result<String, ArrayError>;
}

impl Wanted {
    /// Of a function: the names of its arguments, and what each must be. The lines were read once by the attribute.
    #[must_use]
    pub const fn new(function: &'static str, lines: &'static [(&'static str, &'static str)]) -> Self {
        Wanted { function, lines, wants: OnceLock::new() }
    }

    /// Checks what was passed, in the order of the lines. `refuse` is asked, by name, about an argument that is to be
    /// written, and for the type of one that does not fit.
    ///
    /// # Errors
    /// [`ArrayError::Argument`], or what `refuse` says.
    #[inline]
    pub fn check(
        &self,
        found: &[Found<'_>],
        refuse: impl Fn(&str) -> Result<String, ArrayError>,
    ) -> Result<(), Box<ArrayError>> {
        let wants = match self.wants.get() {
            Some(wants) => wants,
            None => self.wants()?,
        };
        match wants.check(found) {
            Ok(()) if !wants.any_is_mut() => Ok(()),
            Ok(()) => {
                for want in wants.arguments().iter().filter(|want| want.is_mut()) {
                    refuse(want.name())?;
                }
                Ok(())
            }
            Err(misfit) => {
                let type_name = refuse(misfit.argument())?;
                Err(Box::new(ArrayError::Argument { function: self.function, type_name, misfit }))
            }
        }
    }

    #[cold]
    fn wants(&self) -> Result<&Wants, Box<ArrayError>> {
        let wants = Wants::parse(self.lines).map_err(ArrayError::Want)?;
        Ok(self.wants.get_or_init(|| wants))
    }
}
