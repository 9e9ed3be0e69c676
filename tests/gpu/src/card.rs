// SPDX-License-Identifier: MIT OR Apache-2.0
//! A device with kernels that make a frame's content from its number, and count what is wrong with it.
//!
//! Word `i` of the frame with key `key` is a mixture of both (`splitmix64(key + i)`), so that a word of another frame,
//! or of another place, shows.
#![expect(unsafe_code, reason = "fence: launches kernels")]

use std::ffi::c_void;
use std::sync::Arc;

use uncopy::{Accelerator, DType, Device, DeviceMemory, HostBuffer, Layout, Region, Stream, Tensor};
use uncopy_cuda::raw::numbers::STREAM_NON_BLOCKING;
use uncopy_cuda::raw::{CUgraph, CUstream};
use uncopy_cuda::{CudaDevice, Driver, DriverCode, Kernel, Module};

/// The kernels: see the file.
const KERNELS: &str = include_str!("kernels.ptx");

/// A device, opened.
pub struct Card {
    device: Arc<CudaDevice>,
    fill: Kernel<'static>,
    check: Kernel<'static>,
    spin: Kernel<'static>,
}

const WORD_BYTES: usize = 8;
const THREADS: u32 = 256;
const BLOCKS: u32 = 264;
/// `CU_STREAM_CAPTURE_MODE_THREAD_LOCAL`: other threads do not disturb it.
const CAPTURE_THREAD_LOCAL: u32 = 1;
/// `CUDA_ERROR_STREAM_CAPTURE_INVALIDATED`
const CAPTURE_INVALIDATED: DriverCode = DriverCode(901);

impl Card {
    /// The first device of this process.
    ///
    /// # Panics
    /// When there is none, or it takes no kernels.
    #[must_use]
    pub fn open() -> Self {
        Self::at(0)
    }

    /// The device with this ordinal.
    ///
    /// # Panics
    /// As [`open`](Self::open).
    #[must_use]
    pub fn at(ordinal: i32) -> Self {
        let device = CudaDevice::with_ordinal(ordinal).expect("a device");
        let text = std::ffi::CString::new(KERNELS).expect("PTX has no zero");
        let module = Module::from_ptx(device.context(), &text).expect("PTX for this device");
        // Kernels live as long as the process: one module for each device opened.
        let module: &'static Module = Box::leak(Box::new(module));
        let kernel = |name| module.kernel(name).expect("a kernel of the file");
        Self {
            fill: kernel(c"uncopy_fill"),
            check: kernel(c"uncopy_check"),
            spin: kernel(c"uncopy_spin"),
            device,
        }
    }

    /// The device as the product knows it.
    #[must_use]
    pub fn device(&self) -> &Arc<CudaDevice> {
        &self.device
    }

    /// Its name in this process.
    #[must_use]
    pub fn id(&self) -> Device {
        self.device.device()
    }

    /// A new stream.
    ///
    /// # Panics
    /// When the driver gives none.
    #[must_use]
    pub fn stream(&self) -> Stream {
        self.device.stream().expect("a stream")
    }

    /// An array of bytes on the device, of whole words.
    ///
    /// # Panics
    /// When there is no memory.
    #[must_use]
    pub fn array(&self, len_bytes: usize) -> Array {
        let memory = self.device.allocate(len_bytes).expect("memory");
        let layout = Layout::contiguous(DType::U8, &[len_bytes]).expect("a layout");
        let region = memory.region().part(0, len_bytes, ()).expect("a part");
        Array { tensor: Tensor::new(region, layout, 0).expect("a tensor"), _memory: memory }
    }

    /// Puts a kernel into `stream` that makes the content of frame `key`.
    ///
    /// # Panics
    /// When the driver refuses.
    pub fn fill(&self, tensor: &Tensor, key: u64, stream: Stream) {
        self.launch(&self.fill, &mut [tensor.address() as u64, words_of(tensor), key], stream);
    }

    /// Puts a kernel into `stream` that adds the number of words to `counter` that are not those of frame `key`.
    ///
    /// # Panics
    /// When the driver refuses.
    pub fn check(&self, tensor: &Tensor, key: u64, counter: &Counter, stream: Stream) {
        let counter = counter.array.tensor.address() as u64;
        self.launch(&self.check, &mut [tensor.address() as u64, words_of(tensor), key, counter], stream);
    }

    /// Keeps `stream` busy.
    ///
    /// # Panics
    /// When the driver refuses.
    pub fn spin(&self, nanos: u64, stream: Stream) {
        self.launch_with(1, 1, &self.spin, &mut [nanos], stream);
    }

    fn launch(&self, kernel: &Kernel<'_>, arguments: &mut [u64], stream: Stream) {
        self.launch_with(BLOCKS, THREADS, kernel, arguments, stream);
    }

    fn launch_with(
        &self,
        blocks: u32,
        threads: u32,
        kernel: &Kernel<'_>,
        arguments: &mut [u64],
        stream: Stream,
    ) {
        let mut places: Vec<*mut c_void> =
            arguments.iter_mut().map(|value| std::ptr::from_mut(value).cast()).collect();
        // SAFETY: every parameter of our kernels is 64 bits wide, the callers above pass as many as each takes, and the
        // arrays stay until the caller has waited for the stream; a race is what the tests look for.
        unsafe { kernel.launch(blocks, threads, &mut places, stream) }
            .expect("a kernel is put into a stream");
    }

    /// Waits for everything in `stream`.
    ///
    /// # Panics
    /// When something in it failed.
    pub fn wait(&self, stream: Stream) {
        self.device.synchronize(stream).expect("what was put into the stream works");
    }

    /// Waits for everything that this process has put into any stream, the product's own included.
    ///
    /// # Panics
    /// When something failed.
    pub fn settle(&self) {
        self.device.settle().expect("what was put into streams works");
    }

    /// A counter of wrong words, at 0.
    #[must_use]
    pub fn counter(&self) -> Counter {
        // New memory is zeroed.
        Counter { array: self.array(2 * WORD_BYTES) }
    }

    /// What a counter says now, with the first wrong word if there was one. The caller has waited for its streams.
    ///
    /// # Panics
    /// When it can't be read.
    #[must_use]
    pub fn read(&self, counter: &Counter) -> u64 {
        let bytes = self.read_back(&counter.array.tensor);
        u64::from_le_bytes(bytes[..WORD_BYTES].try_into().expect("eight bytes"))
    }

    /// A stream that [`destroy_stream`](Self::destroy_stream) ends.
    ///
    /// # Panics
    /// When the driver gives none.
    #[must_use]
    pub fn mortal_stream(&self) -> Stream {
        let entered = self.device.context().enter().expect("a context");
        let mut handle = CUstream::NULL;
        // SAFETY: a place for a stream, alive during the call.
        unsafe { entered.stream_create(&raw mut handle, STREAM_NON_BLOCKING) }.expect("a stream");
        Stream::from_raw(handle.0 as u64)
    }

    /// Ends a [mortal stream](Self::mortal_stream); the driver finishes the work in it.
    ///
    /// # Panics
    /// When there is no such stream.
    pub fn destroy_stream(&self, stream: Stream) {
        destroy(&self.device, stream);
    }

    /// A stream that is destroyed with its owner.
    #[must_use]
    pub fn owned_stream(&self) -> OwnedStream {
        OwnedStream { stream: self.mortal_stream(), device: Arc::clone(&self.device) }
    }

    /// Begins to record a stream into a graph.
    ///
    /// # Panics
    /// When the driver refuses.
    pub fn begin_capture(&self, stream: Stream) {
        let entered = self.device.context().enter().expect("a context");
        // SAFETY: the stream is one of this device's.
        unsafe { entered.stream_begin_capture(stream.into(), CAPTURE_THREAD_LOCAL) }.expect("a capture");
    }

    /// Ends that, and drops the graph.
    ///
    /// # Panics
    /// When the capture was disturbed.
    pub fn end_capture(&self, stream: Stream) {
        assert!(self.has_whole_capture(stream), "a capture was disturbed");
    }

    /// Ends a capture, and drops the graph. Returns whether nothing had disturbed it.
    ///
    /// # Panics
    /// When the driver refuses for another reason.
    #[must_use]
    pub fn has_whole_capture(&self, stream: Stream) -> bool {
        let entered = self.device.context().enter().expect("a context");
        let mut graph = CUgraph::NULL;
        // SAFETY: a place for a graph, alive during the call.
        let ended = unsafe { entered.stream_end_capture(stream.into(), &raw mut graph) };
        if let Err(error) = ended {
            assert_eq!(error.code(), Some(CAPTURE_INVALIDATED), "{error}");
            return false;
        }
        if graph != CUgraph::NULL {
            // SAFETY: the graph is ours and used nowhere.
            unsafe { entered.graph_destroy(graph) }.expect("a graph of ours");
        }
        true
    }

    /// Makes a call that nobody but the driver knows of, such as one of another library in this process. Returns whether
    /// it failed.
    ///
    /// # Panics
    /// When the driver has no context of this device.
    #[must_use]
    pub fn has_failed_unseen(&self, stream: Stream) -> bool {
        let _entered = self.device.context().enter().expect("a context");
        let calls = Driver::get().expect("a driver").calls();
        // SAFETY: the stream is one of this device's, and is only asked about.
        unsafe { calls.stream_query(stream.into()) }.is_err()
    }

    /// A device array's bytes.
    ///
    /// # Panics
    /// When they can't be read.
    #[must_use]
    pub fn read_back(&self, tensor: &Tensor) -> Vec<u8> {
        let len = tensor.layout().len_bytes();
        let host = HostBuffer::zeroed(len).expect("memory").into_region();
        let stream = self.stream();
        self.device.copy(tensor, &host, stream).expect("a copy to the host");
        self.wait(stream);
        host.as_bytes().expect("host memory").to_vec()
    }
}

/// An array on a device.
pub struct Array {
    /// Its bytes.
    pub tensor: Tensor,
    _memory: Box<dyn DeviceMemory>,
}

/// A stream of its owner's own.
pub struct OwnedStream {
    /// Its number.
    pub stream: Stream,
    device: Arc<CudaDevice>,
}

impl Drop for OwnedStream {
    fn drop(&mut self) {
        destroy(&self.device, self.stream);
    }
}

fn destroy(device: &CudaDevice, stream: Stream) {
    let entered = device.context().enter().expect("a context");
    // SAFETY: its maker's, who says that nobody uses it any more; a link that does is what the test is about.
    unsafe { entered.stream_destroy(stream.into()) }.expect("a stream that is there");
}

/// Counts wrong words, on the device.
pub struct Counter {
    array: Array,
}

fn words_of(tensor: &Tensor) -> u64 {
    let len = tensor.layout().len_bytes();
    assert_eq!(len % WORD_BYTES, 0, "frames of tests are whole words");
    (len / WORD_BYTES) as u64
}

/// Whether host bytes are those of frame `key`; the first wrong word if not.
///
/// # Errors
/// Its index.
pub fn check_on_host(bytes: &[u8], key: u64) -> Result<(), usize> {
    let words =
        bytes.chunks_exact(WORD_BYTES).map(|word| u64::from_le_bytes(word.try_into().expect("eight")));
    match words.zip(0u64..).position(|(word, at)| word != word_of(key, at)) {
        None => Ok(()),
        Some(at) => Err(at),
    }
}

/// Word `at` of frame `key`, as the kernels make it.
#[must_use]
pub fn word_of(key: u64, at: u64) -> u64 {
    let mut state = key.wrapping_add(at);
    uncopy_tests::pattern::next_random(&mut state)
}

/// A region's tensor of bytes.
///
/// # Panics
/// When the region is too small.
#[must_use]
pub fn bytes_of(region: Region) -> Tensor {
    let layout = Layout::contiguous(DType::U8, &[region.len_bytes()]).expect("a layout");
    Tensor::new(region, layout, 0).expect("a tensor")
}
