// SPDX-License-Identifier: MIT OR Apache-2.0
//! Graphs that captures have made. They can be counted and destroyed, not run.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{abi::Out, code::Code, entry::entries, lock::lock};
use std::{collections::BTreeMap, sync::Mutex};

/// Nothing lies there.
const FIRST_HANDLE: u64 = 0x64A9_0000_0000;

/// How many pieces of work each holds.
static GRAPHS: Mutex<BTreeMap<u64, usize>> = Mutex::new(BTreeMap::new());

/// A graph of that many pieces of work.
pub fn made(nodes: usize) -> u64 {
    let mut graphs = lock(&GRAPHS);
    let handle = graphs.last_key_value().map_or(FIRST_HANDLE, |(last, _)| last + 0x100);
    graphs.insert(handle, nodes);
    handle
}

entries! {
    #![unsafe(no_mangle)]

    Sound fn cuGraphDestroy(graph: u64) {
        lock(&GRAPHS).remove(&graph).map(|_| ()).ok_or(Code::INVALID_VALUE)
    }

    // Without room for nodes it only counts them.
    Sound fn cuGraphGetNodes(graph: u64, nodes: Out<u64>, count: Out<usize>) {
        let held = lock(&GRAPHS).get(&graph).copied().ok_or(Code::INVALID_VALUE)?;
        if nodes.check().is_ok() {
            return Err(Code::NOT_SUPPORTED);
        }
        count.put(held)
    }

    Context fn cuGraphInstantiateWithFlags(_exec: Out<u64>, _graph: u64, _flags: u64) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuGraphLaunch(_exec: u64, _stream: u64) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuGraphExecDestroy(_exec: u64) {
        Err(Code::NOT_SUPPORTED)
    }
}
