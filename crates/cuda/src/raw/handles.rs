// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handles of the driver. Pointers of the C interface are numbers here: nobody but the driver may follow them.

/// Declares handles that are pointers in C.
macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[repr(transparent)]
        pub struct $name(pub usize);

        impl $name {
            /// No object.
            pub const NULL: $name = $name(0);
        }

        const _: () = assert!(size_of::<$name>() == size_of::<*const ()>());
    )+};
}

handles! {
    /// A context: what a process holds on a device.
    CUcontext
    /// A queue of work.
    CUstream
    /// A point in a queue of work.
    CUevent
    /// Code that was loaded.
    CUmodule
    /// A kernel of a module.
    CUfunction
    /// A pool that allocations of a stream come from.
    CUmemoryPool
    /// A graph of work.
    CUgraph
    /// A graph that can be launched.
    CUgraphExec
    /// Memory of another API.
    CUexternalMemory
    /// A semaphore of another API.
    CUexternalSemaphore
}

/// What a call answers: 0 or an error. See [`DriverCode`](crate::DriverCode).
pub type CUresult = i32;
/// A device by its ordinal in this process.
pub type CUdevice = i32;
/// An address in the address space that the device and the host share.
pub type CUdeviceptr = u64;
/// Physical memory of a device, before it has an address.
pub type CUmemGenericAllocationHandle = u64;
/// A function that a stream calls on a thread of the driver.
pub type CUhostFn = unsafe extern "system" fn(*mut std::ffi::c_void);
