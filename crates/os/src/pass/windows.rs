// SPDX-License-Identifier: MIT OR Apache-2.0
//! Message sockets on Windows: not available yet.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::convert::Infallible;
use std::time::Duration;

use uncopy_tensor::ShareHandle;

use super::{Peer, Received, Sent};
use crate::wake::Woken;
use crate::{OsError, PidFd, RuntimeDir};

const UNSUPPORTED: OsError = OsError::Unsupported { what: "passing handles between processes" };

#[derive(Debug)]
pub struct Listener(Infallible);

impl Listener {
    pub fn bind(_dir: &RuntimeDir, _file_name: &str) -> Result<Listener, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn accept(&self) -> Result<Option<Connection>, OsError> {
        match self.0 {}
    }

    pub fn accept_to_refuse(&self) -> Result<Option<Connection>, OsError> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct Connection(Infallible);

impl Connection {
    pub fn connect(_dir: &RuntimeDir, _file_name: &str) -> Result<Connection, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn pair() -> Result<(Connection, Connection), OsError> {
        Err(UNSUPPORTED)
    }

    pub fn send(&self, _bytes: &[u8], _handles: &[&ShareHandle]) -> Result<Sent, OsError> {
        match self.0 {}
    }

    pub fn recv(&self, _buffer: &mut [u8]) -> Result<Received, OsError> {
        match self.0 {}
    }

    pub fn wait_readable(&self, _timeout: Option<Duration>) -> Result<Woken, OsError> {
        match self.0 {}
    }

    pub fn wait_writable(&self, _timeout: Option<Duration>) -> Result<Woken, OsError> {
        match self.0 {}
    }

    pub fn peer(&self) -> Result<Peer, OsError> {
        match self.0 {}
    }

    pub fn peer_pidfd(&self) -> Result<Option<PidFd>, OsError> {
        match self.0 {}
    }

    pub fn shutdown(&self) {
        match self.0 {}
    }

    pub fn shutdown_sending(&self) {
        match self.0 {}
    }
}
