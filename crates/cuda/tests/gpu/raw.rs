// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that safe libraries do not offer: fork, captures, kernels that break the rules, host pages.
#![expect(unsafe_code, reason = "fence: the driver and the C library, as tests need them")]

use std::ffi::c_void;

use std::sync::Arc;
use uncopy_core::Stream;
use uncopy_cuda::raw::{CUcontext, CUgraph, CUstream};
use uncopy_cuda::{CudaDevice, CudaError, Driver, Module};
use uncopy_tensor::{Region, SharedPages};

fn driver_stream(stream: Stream) -> CUstream {
    CUstream(stream.raw() as usize)
}

/// Forks; 0 in the child, which should do little and then `leave`.
pub fn fork() -> i32 {
    // SAFETY: the child calls nothing but what the test is about, and leaves.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0);
    pid
}

/// Ends a forked child at once.
pub fn leave(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}

/// The exit code of a forked child.
pub fn wait_for(pid: i32) -> i32 {
    let mut status = 0;
    // SAFETY: a place for the status, alive during the call.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!(waited, pid);
    assert!(libc::WIFEXITED(status), "the child was ended by a signal: {status:#x}");
    libc::WEXITSTATUS(status)
}

/// Begins to capture a stream in the mode that every thread disturbs.
pub fn begin_global_capture(device: &CudaDevice, stream: Stream) {
    let entered = device.context().enter().unwrap();
    // SAFETY: the stream is one of the device's.
    unsafe { entered.stream_begin_capture(driver_stream(stream), 0) }.unwrap();
}

/// Ends the capture; the driver's answer says whether it was disturbed.
pub fn end_capture(device: &CudaDevice, stream: Stream) -> Result<(), CudaError> {
    captured_nodes(device, stream).map(drop)
}

/// The same; how many nodes the graph has.
pub fn captured_nodes(device: &CudaDevice, stream: Stream) -> Result<usize, CudaError> {
    let entered = device.context().enter().unwrap();
    let (mut graph, mut nodes) = (CUgraph::NULL, 0);
    // SAFETY: a place for a graph, alive during the call.
    unsafe { entered.stream_end_capture(driver_stream(stream), &raw mut graph) }?;
    if graph != CUgraph::NULL {
        // SAFETY: the graph is ours; no nodes are asked for, only how many there are.
        unsafe { entered.graph_get_nodes(graph, std::ptr::null_mut(), &raw mut nodes) }?;
        // SAFETY: the graph is ours and used nowhere.
        unsafe { entered.graph_destroy(graph) }?;
    }
    Ok(nodes)
}

/// A stream that somebody else may destroy; a blocking one is ordered with the legacy default stream.
pub fn mortal_stream(device: &CudaDevice, blocks: bool) -> Stream {
    let entered = device.context().enter().unwrap();
    let mut handle = CUstream::NULL;
    // SAFETY: a place for a stream, alive during the call.
    unsafe { entered.stream_create(&raw mut handle, u32::from(!blocks)) }.unwrap();
    Stream::from_raw(handle.0 as u64)
}

/// Destroys it.
pub fn destroy(device: &CudaDevice, stream: Stream) {
    let entered = device.context().enter().unwrap();
    // SAFETY: the tests use it no more.
    unsafe { entered.stream_destroy(driver_stream(stream)) }.unwrap();
}

/// Puts zeros into a region by a stream, as a framework would.
pub fn memset(device: &CudaDevice, region: &Region, value: u8, stream: Stream) -> Result<(), CudaError> {
    let entered = device.context().enter()?;
    let address = region.address() as u64;
    // SAFETY: the region is memory of the device, and the tests keep it.
    unsafe { entered.memset_d8_async(address, value, region.len_bytes(), driver_stream(stream)) }
}

/// Stores to an address that is nobody's. `None` where the driver runs no kernels, and under a tool that reports it.
pub fn break_the_context(device: &CudaDevice, stream: Stream) -> Option<()> {
    if std::env::var_os("UNCOPY_TEST_SANITIZED").is_some() {
        println!("SKIP compute-sanitizer reports the store that is to be refused");
        return None;
    }
    const PTX: &std::ffi::CStr = c".version 7.0
.target sm_50
.address_size 64
.visible .entry stray()
{
    .reg .b64 %address;
    .reg .b32 %value;
    mov.u64 %address, 16;
    mov.u32 %value, 7;
    st.global.u32 [%address], %value;
    ret;
}
";
    let module = match Module::from_ptx(device.context(), PTX) {
        Ok(module) => module,
        Err(error) => {
            println!("SKIP this driver loads no kernels ({error})");
            return None;
        }
    };
    let kernel = module.kernel(c"stray").unwrap();
    let mut arguments: [*mut c_void; 0] = [];
    // SAFETY: it takes no arguments. Its stray store is what the test is about: the device refuses it.
    match unsafe { kernel.launch(1, 1, &mut arguments, stream) } {
        Ok(()) => Some(()),
        Err(error) => {
            println!("SKIP this driver runs no kernels ({error})");
            None
        }
    }
}

/// Lets this process have no more address space than this.
pub fn limit_address_space(len_bytes: u64) {
    let limit = libc::rlimit { rlim_cur: len_bytes, rlim_max: len_bytes };
    // SAFETY: the value is alive during the call.
    let answer = unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) };
    assert_eq!(answer, 0);
}

/// The context that is current on this thread.
pub fn current_context() -> CUcontext {
    let mut current = CUcontext::NULL;
    // SAFETY: a place for a context, alive during the call.
    unsafe { Driver::get().unwrap().calls().ctx_get_current(&raw mut current) }.unwrap();
    current
}

/// Registers pages with the driver, past our own list of what is registered, and lets go of them.
pub fn register_and_let_go(device: &CudaDevice, pages: &SharedPages) -> Result<(), CudaError> {
    let entered = device.context().enter()?;
    let address = pages.address().as_ptr().cast();
    // SAFETY: the pages are mapped, and the value keeps them.
    unsafe { entered.mem_host_register(address, pages.len_bytes(), 0) }?;
    // SAFETY: registered just now, and used by nothing.
    unsafe { entered.mem_host_unregister(address) }
}

/// Some bytes that are no whole pages, given out as if they were. Nothing may be done with them.
pub fn no_pages(len_bytes: usize) -> SharedPages {
    let bytes: Arc<Vec<u8>> = Arc::new(vec![0; len_bytes]);
    let address = std::ptr::NonNull::from(bytes.as_slice()).cast();
    // SAFETY: it breaks the first promise, which is what the test is about: they are refused before they are touched.
    unsafe { SharedPages::from_raw(address, len_bytes, bytes) }
}
