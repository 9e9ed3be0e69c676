// SPDX-License-Identifier: MIT OR Apache-2.0
//! The door through which every call comes: whether it may, whether it is made to fail, and its line in the log.

use crate::{
    code::{Answer, Code},
    contexts, devices, faults, log,
};
use std::{cell::Cell, ffi::c_int};

/// An entry of the driver's table.
pub struct Export {
    pub name: &'static str,
    pub address: fn() -> *const (),
}

/// What must be before a call can be made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing, not even `cuInit`.
    Nothing,
    /// `cuInit` in this process, not in the one that it was forked from.
    Init,
    /// That, and no context that is broken for good.
    Sound,
    /// That, and a context of the calling thread.
    Context,
}

thread_local! {
    /// The call that this thread made last. It has no destructor: see `contexts::STACK`.
    static UNDER_WAY: Cell<&'static str> = const { Cell::new("") };
}

/// The name of the call that this thread is making.
pub fn under_way() -> &'static str {
    UNDER_WAY.get()
}

/// Makes one call of the driver.
pub fn enter(name: &'static str, needs: Needs, body: impl FnOnce() -> Answer) -> c_int {
    UNDER_WAY.set(name);
    let code = match admit(name, needs).and_then(|()| body()) {
        Ok(()) => 0,
        Err(code) => code.0,
    };
    log::note(name, code);
    code
}

fn admit(name: &'static str, needs: Needs) -> Answer {
    if needs != Needs::Nothing {
        devices::check_initialised()?;
    }
    match needs {
        Needs::Nothing | Needs::Init => {}
        Needs::Sound => contexts::check_all_sound()?,
        Needs::Context => contexts::current()?.check_sound()?,
    }
    let Some(fault) = faults::next(name) else { return Ok(()) };
    if fault.is_sticky {
        contexts::break_current(Code(fault.code));
    }
    Err(Code(fault.code))
}

/// Defines entries: `Needs fn cuName(argument: Type) { body }`, each with C's calling convention and the door above,
/// and `TABLE`, the list of them. The attribute that exports them comes first: it is a promise of whoever writes the
/// names, that nothing else in the program has them.
macro_rules! entries {
    (#![$export:meta] $($(#[$meta:meta])* $needs:ident fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block)*) => {
        $(
            $(#[$meta])*
            #[$export]
            extern "C" fn $name($($arg: $ty),*) -> std::ffi::c_int {
                $crate::entry::enter(stringify!($name), $crate::entry::Needs::$needs, || $body)
            }
        )*

        /// The entries of this module.
        pub const TABLE: &[$crate::entry::Export] = &[
            $($crate::entry::Export { name: stringify!($name), address: || $name as *const () }),*
        ];
    };
}
pub(crate) use entries;
