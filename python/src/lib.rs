// SPDX-License-Identifier: MIT OR Apache-2.0
//! The extension module `uncopy._uncopy`: links as Python objects. `uncopy/__init__.py` gives them their names.
//!
//! | module | holds |
//! |---|---|
//! | `publisher`, `slot` | the producing end, and a slot on loan |
//! | `subscriber`, `frame` | the consuming end, and a received frame |
//! | `lease`, `arrays`, `view` | what a frame holds, what is made of it, and what CuPy holds of it |
//! | `streams` | streams of devices: what is passed, and what frameworks work in |
//! | `wrap` | raw pointers as arrays |
//! | `describe` | what an array is, whoever made it |
//! | `several` | waiting for several links at once |
//! | `end`, `ending` | who may use an end of a link, and how it is closed, also when the interpreter ends |
//! | `waiting` | waits without the GIL, with Ctrl-C |
//! | `form`, `meta` | shapes, dtypes, pixel formats, metadata and times from Python and back |
//! | `stats` | plain values: counters, copies, links as an observer sees them |
//! | `errors` | the exception classes |
//! | `frameworks` | the way to `uncopy.frameworks` and `uncopy.notebook`, imported when asked for |
//! | `cli`, `checksum` | the `uncopy` command, and what its demo checks frames with |
//!
//! It refuses to import frameworks, to touch a link from two threads at once, and to do anything that
//! `uncopy` (Rust) or `uncopy_pyo3` could do.
#![deny(unsafe_code)]

mod arrays;
mod checksum;
mod cli;
mod describe;
mod end;
mod ending;
mod errors;
mod form;
mod frame;
mod frameworks;
mod lease;
mod meta;
mod publisher;
mod several;
mod slot;
mod stats;
mod streams;
mod subscriber;
mod view;
mod waiting;
mod wrap;

/// Built for one interpreter per process, with a GIL.
#[pyo3::pymodule(gil_used = true)]
mod _uncopy {
    use pyo3::prelude::*;

    #[pymodule_export]
    use crate::checksum::_crc32c;
    #[pymodule_export]
    use crate::cli::_run_cli;
    #[pymodule_export]
    use crate::describe::{PyDescription, describe};
    #[pymodule_export]
    use crate::ending::_end;
    #[pymodule_export]
    use crate::frame::PyFrame;
    #[pymodule_export]
    use crate::publisher::{PyPublisher, publish};
    #[pymodule_export]
    use crate::several::wait;
    #[pymodule_export]
    use crate::slot::PySlot;
    #[pymodule_export]
    use crate::stats::{
        PyConsumerInfo, PyCopyRecord, PyErrorRecord, PyLinkInfo, PyPublisherStats, PySubscriberStats, errors,
        info, list,
    };
    #[pymodule_export]
    use crate::subscriber::{_subscribe_later, PySubscriber, subscribe};
    #[pymodule_export]
    use crate::view::PyCudaView;
    #[pymodule_export]
    use crate::wrap::wrap;
    #[pymodule_export]
    use uncopy_pyo3::Array;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::errors::add_classes(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // What is public is said by the package.
        module.delattr("__all__")?;
        let end = module.getattr("_end")?;
        module.py().import("atexit")?.call_method1("register", (end,)).map(drop)
    }
}
