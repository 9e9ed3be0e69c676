// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card as one side sees it: a stream, the kernels of the floors, and arrays.
#![expect(unsafe_code, reason = "fence: launches kernels")]

use std::ffi::{CString, c_void};
use std::sync::Arc;
use std::time::Duration;

use uncopy::{Accelerator, Device, DeviceMemory, Form, Region, Stream, Tensor};
use uncopy_cuda::{CudaDevice, Kernel, Module, PinnedBuffer};

use crate::failure::Failure;

const KERNELS: &str = include_str!("../../gpu/kernels.ptx");
/// Content that follows from a number: the kernels of the tests.
const PATTERN: &str = include_str!("../../../tests/gpu/src/kernels.ptx");

/// As many as the floors have, on the largest cards.
const BLOCKS: u32 = 4 * 132;
const THREADS: u32 = 256;

pub struct Card {
    pub device: Arc<CudaDevice>,
    pub stream: Stream,
    fill: Kernel<'static>,
    count: Kernel<'static>,
    fill_pattern: Kernel<'static>,
    check_pattern: Kernel<'static>,
    spin: Kernel<'static>,
}

impl Card {
    /// The first card of this process.
    ///
    /// # Errors
    /// There is none.
    pub fn open() -> Result<Self, Failure> {
        Self::at(0)
    }

    /// The card with this ordinal.
    ///
    /// # Errors
    /// There is none.
    pub fn at(ordinal: i32) -> Result<Self, Failure> {
        let device = CudaDevice::with_ordinal(ordinal).map_err(of_card)?;
        let module = load(&device, KERNELS)?;
        let pattern = load(&device, PATTERN)?;
        Ok(Self {
            fill_pattern: pattern.kernel(c"uncopy_fill").map_err(of_card)?,
            check_pattern: pattern.kernel(c"uncopy_check").map_err(of_card)?,
            spin: pattern.kernel(c"uncopy_spin").map_err(of_card)?,
            stream: device.stream().map_err(|error| Failure::system("make a stream", error))?,
            fill: module.kernel(c"bench_fill").map_err(of_card)?,
            count: module.kernel(c"bench_count").map_err(of_card)?,
            device,
        })
    }

    /// The card, as this process counts it.
    pub fn id(&self) -> Device {
        self.device.device()
    }

    /// Sets the first word of an array by the driver's own call.
    ///
    /// # Errors
    /// The driver's.
    pub fn set_first_word(&self, tensor: &Tensor, value: u64) -> Result<(), Failure> {
        let entered = self.device.context().enter().map_err(of_card)?;
        let stream = uncopy_cuda::raw::CUstream::from(self.stream);
        // SAFETY: the array has at least one word, and lives until the stream has been waited for.
        unsafe { entered.memset_d32_async(tensor.address() as u64, value as u32, 1, stream) }.map_err(of_card)
    }

    /// An array of that form on the card.
    ///
    /// # Errors
    /// No memory.
    pub fn array(&self, form: &Form) -> Result<Array, Failure> {
        let memory = self.device.allocate(form.len_bytes()).map_err(|e| Failure::system("allocate", e))?;
        let region = memory.region().part(0, form.len_bytes(), ()).map_err(uncopy::LinkError::from)?;
        let tensor = Tensor::new(region, *form.layout(), 0).map_err(uncopy::LinkError::from)?;
        Ok(Array { tensor, _memory: memory })
    }

    /// Pinned host memory.
    ///
    /// # Errors
    /// No memory that can be pinned.
    pub fn pinned(&self, len_bytes: usize) -> Result<Region, Failure> {
        Ok(PinnedBuffer::zeroed(self.device.context(), len_bytes).map_err(of_card)?.into_region())
    }

    /// Puts a kernel into the stream that sets every word.
    ///
    /// # Errors
    /// The driver's.
    pub fn fill(&self, tensor: &Tensor, words: usize, value: u64) -> Result<(), Failure> {
        self.launch(&self.fill, &mut [tensor.address() as u64, words as u64, value])
    }

    /// Puts a kernel into the stream that counts words that are not `value`.
    ///
    /// # Errors
    /// The driver's.
    pub fn count(&self, tensor: &Tensor, words: usize, value: u64, out: &Tensor) -> Result<(), Failure> {
        let mut arguments = [tensor.address() as u64, words as u64, value, out.address() as u64];
        self.launch(&self.count, &mut arguments)
    }

    /// Puts a kernel into the stream that makes the content of frame `key`.
    ///
    /// # Errors
    /// The driver's.
    pub fn fill_pattern(&self, tensor: &Tensor, key: u64) -> Result<(), Failure> {
        let words = tensor.layout().len_bytes() as u64 / 8;
        self.launch(&self.fill_pattern, &mut [tensor.address() as u64, words, key])
    }

    /// Puts a kernel into the stream that adds the number of words to the first of `out` that are not those of frame
    /// `key`.
    ///
    /// # Errors
    /// The driver's.
    pub fn check_pattern(&self, tensor: &Tensor, key: u64, out: &Tensor) -> Result<(), Failure> {
        let words = tensor.layout().len_bytes() as u64 / 8;
        let mut arguments = [tensor.address() as u64, words, key, out.address() as u64];
        self.launch(&self.check_pattern, &mut arguments)
    }

    /// Keeps the stream busy for so long.
    ///
    /// # Errors
    /// The driver's.
    pub fn spin(&self, time: Duration) -> Result<(), Failure> {
        self.launch(&self.spin, &mut [time.as_nanos() as u64])
    }

    /// Copies an array to host memory and waits for it.
    ///
    /// # Errors
    /// The driver's.
    pub fn read(&self, from: &Tensor, to: &Region) -> Result<(), Failure> {
        self.device
            .copy(from, to, self.stream)
            .map_err(|error| Failure::system("copy to the host", error))?;
        self.finish()
    }

    fn launch(&self, kernel: &Kernel<'_>, arguments: &mut [u64]) -> Result<(), Failure> {
        let mut places = [std::ptr::null_mut::<c_void>(); 4];
        for (place, value) in places.iter_mut().zip(arguments.iter_mut()) {
            *place = std::ptr::from_mut(value).cast();
        }
        let places = places.get_mut(..arguments.len()).unwrap_or_default();
        // SAFETY: every parameter of the kernels is 64 bits wide and the callers above pass as many as each takes; the
        // arrays live until the stream has been waited for.
        unsafe { kernel.launch(BLOCKS, THREADS, places, self.stream) }.map_err(of_card)
    }

    /// Waits for the stream.
    ///
    /// # Errors
    /// The driver's.
    pub fn finish(&self) -> Result<(), Failure> {
        self.device.synchronize(self.stream).map_err(of_card)
    }
}

pub struct Array {
    pub tensor: Tensor,
    _memory: Box<dyn DeviceMemory>,
}

pub fn of_card(error: uncopy_cuda::CudaError) -> Failure {
    Failure::system("use the card", std::io::Error::from(error))
}

/// Loaded for as long as the process lives.
fn load(device: &CudaDevice, ptx: &str) -> Result<&'static Module, Failure> {
    let text = CString::new(ptx).map_err(|error| Failure::Side(error.to_string()))?;
    Ok(Box::leak(Box::new(Module::from_ptx(device.context(), &text).map_err(of_card)?)))
}
