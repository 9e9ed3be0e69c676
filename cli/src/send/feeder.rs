// SPDX-License-Identifier: MIT OR Apache-2.0
//! A source on a thread of its own, so that the command can be ended while the source waits for its next frame.
//!
//! The slot itself travels to the thread and back: pixels are written where consumers will read them, unless that is on
//! a GPU. When the command
//! ends while the source still waits (for standard input, say), the thread is left to notice by itself: nobody can take
//! a read back, and nobody waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};

use uncopy::{CopyReason, Form};

use super::slot::Slot;
use super::source::Source;
use crate::error::CliError;
use crate::host::{SLICE, Session};

enum Order {
    NextForm {
        again: bool,
    },
    Fill(Slot),
    /// The next frame has nowhere to go.
    Skip(Form),
}

enum Reply {
    Form(Option<Form>),
    Filled(Slot),
    Skipped,
}

/// The caller's end of the thread.
pub(super) struct Feeder<'s> {
    orders: Sender<Order>,
    replies: Receiver<Result<Reply, CliError>>,
    copies: Option<CopyReason>,
    session: &'s Session<'s>,
}

impl<'s> Feeder<'s> {
    pub fn new(source: Box<dyn Source>, session: &'s Session<'s>) -> Result<Self, CliError> {
        let copies = source.copies();
        let (orders, taken) = channel();
        let (given, replies) = channel();
        // Quiet: signal handlers of the host stay on the host's own threads.
        uncopy::os::spawn_quiet("uncopy-source", move || serve(source, &taken, &given))?;
        Ok(Self { orders, replies, copies, session })
    }

    /// Why the source copies; `None` where it makes its pixels in place.
    pub fn copies(&self) -> Option<CopyReason> {
        self.copies
    }

    /// The form of the next frame; `None` at the end. With `again`, the end leads to the first frame.
    pub fn next_form(&mut self, again: bool) -> Result<Option<Form>, CliError> {
        match self.ask(Order::NextForm { again })? {
            Reply::Form(form) => Ok(form),
            _ => Err(gone()),
        }
    }

    /// The slot with the next frame in it.
    pub fn fill(&mut self, slot: Slot) -> Result<Slot, CliError> {
        match self.ask(Order::Fill(slot))? {
            Reply::Filled(slot) => Ok(slot),
            _ => Err(gone()),
        }
    }

    /// Reads the next frame into nothing.
    pub fn skip(&mut self, form: Form) -> Result<(), CliError> {
        self.ask(Order::Skip(form)).map(|_| ())
    }

    fn ask(&mut self, order: Order) -> Result<Reply, CliError> {
        self.orders.send(order).map_err(|_| gone())?;
        loop {
            match self.replies.recv_timeout(SLICE) {
                Ok(reply) => return reply,
                Err(RecvTimeoutError::Timeout) => self.session.check()?,
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
    }
}

/// The thread ends only with its feeder, so this means that it panicked, and said so.
fn gone() -> CliError {
    CliError::said(uncopy::ErrorKind::System, "the thread that reads the source has stopped")
}

fn serve(mut source: Box<dyn Source>, orders: &Receiver<Order>, replies: &Sender<Result<Reply, CliError>>) {
    let mut scratch = Vec::new();
    for order in orders {
        let reply = match order {
            Order::NextForm { again } => next_form(&mut *source, again).map(Reply::Form),
            Order::Fill(mut slot) => match slot.bytes_mut() {
                Ok(bytes) => source.fill(bytes).map(|()| Reply::Filled(slot)),
                Err(error) => Err(error),
            },
            Order::Skip(form) => {
                scratch.resize(form.len_bytes(), 0);
                source.fill(&mut scratch).map(|()| Reply::Skipped)
            }
        };
        if replies.send(reply).is_err() {
            return;
        }
    }
}

fn next_form(source: &mut dyn Source, again: bool) -> Result<Option<Form>, CliError> {
    match source.next_form()? {
        None if again => {
            source.restart()?;
            source.next_form()
        }
        form => Ok(form),
    }
}
