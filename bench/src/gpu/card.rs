// SPDX-License-Identifier: MIT OR Apache-2.0
//! The card as one side sees it: a stream, the kernels of the floors, and arrays.
#![expect(unsafe_code, reason = "fence: launches kernels")]

use std::ffi::{CString, c_void};
use std::sync::Arc;

use uncopy::{Accelerator, Device, DeviceMemory, Form, Region, Stream, Tensor};
use uncopy_cuda::{CudaDevice, Kernel, Module, PinnedBuffer};

use crate::failure::Failure;

const KERNELS: &str = include_str!("../../gpu/kernels.ptx");

/// As many as the floors have, on the largest cards.
const BLOCKS: u32 = 4 * 132;
const THREADS: u32 = 256;

pub struct Card {
    pub device: Arc<CudaDevice>,
    pub stream: Stream,
    fill: Kernel<'static>,
    count: Kernel<'static>,
}

impl Card {
    /// The first card of this process.
    ///
    /// # Errors
    /// There is none.
    pub fn open() -> Result<Self, Failure> {
        let device = CudaDevice::with_ordinal(0).map_err(of_card)?;
        let text = CString::new(KERNELS).map_err(|error| Failure::Side(error.to_string()))?;
        // Loaded for as long as the process lives.
        let module: &'static Module =
            Box::leak(Box::new(Module::from_ptx(device.context(), &text).map_err(of_card)?));
        Ok(Self {
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

    fn launch(&self, kernel: &Kernel<'_>, arguments: &mut [u64]) -> Result<(), Failure> {
        let mut places = [std::ptr::null_mut::<c_void>(); 4];
        for (place, value) in places.iter_mut().zip(arguments.iter_mut()) {
            *place = std::ptr::from_mut(value).cast();
        }
        let places = places.get_mut(..arguments.len()).unwrap_or_default();
        // SAFETY: every parameter of both kernels is 64 bits wide and the callers above pass as many as each takes; the
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
