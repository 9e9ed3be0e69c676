// SPDX-License-Identifier: MIT OR Apache-2.0
//! NVIDIA GPUs for uncopy: the CUDA driver, found at run time.
//!
//! Nothing is linked. Where there is no driver, [`Driver::get`] answers with the reason, an ordinary value, and all
//! else of uncopy works.
//!
//! | type | what it is |
//! |---|---|
//! | [`Driver`] | the driver's library, or [`NoCuda`]: why there is none |
//! | [`CudaDevice`] | a device as links ask for it: [`Accelerator`](uncopy_tensor::Accelerator) |
//! | [`Context`], [`Entered`] | the primary context of a device, and a thread on which it is current |
//! | [`Calls`] | every entry of the driver that uncopy uses, as a checked call |
//! | [`raw`] | handles, structures and numbers of `cuda.h` |
//! | [`PinnedBuffer`] | host memory that devices copy at full speed |
//! | [`Module`], [`Kernel`] | code from PTX, for tests and benchmarks |
//! | [`DeviceReport`], [`list_devices`], [`list_reaches`] | what is there and what it can do |
//! | [`CudaError`], [`DriverCode`] | what went wrong |
//!
//! # Rules
//!
//! 1. A device is named to other processes by its UUID. An ordinal is good in this process only: `CUDA_VISIBLE_DEVICES`
//!    decides what it counts.
//! 2. A context that is lost stays lost: after an error such as `CUDA_ERROR_ILLEGAL_ADDRESS` every later call through
//!    it is [`CudaError::Poisoned`] at once, with the call that found it.
//! 3. In a forked child every call is [`CudaError::Forked`].
//! 4. A capture that goes on in another thread is never disturbed: calls that could, run in the driver's relaxed mode.
//! 5. Drops run on any thread, with no context, after the driver is gone, and never wait for the device. The one
//!    exception says so: [`PinnedBuffer`].
//!
//! # What it refuses
//!
//! Kernels of its own, memory that it would hand out in pieces, knowing what a frame is, and panicking.
//!
//! ```
//! use uncopy_core::{DType, Layout};
//! use uncopy_cuda::{CudaDevice, CudaError};
//! use uncopy_tensor::{Accelerator, Region, Tensor};
//!
//! fn upload() -> Result<(), Box<dyn std::error::Error>> {
//!     let device = CudaDevice::with_ordinal(0)?;
//!     let memory = device.allocate(1024)?;
//!     let stream = device.stream()?;
//!     let pixels = Tensor::new(Region::from_vec(vec![7; 1024]), Layout::contiguous(DType::U8, &[1024])?, 0)?;
//!     device.copy(&pixels, &memory.region(), stream)?;
//!     device.synchronize(stream)?;
//!     Ok(())
//! }
//!
//! match CudaDevice::with_ordinal(0) {
//!     Ok(_) => upload()?,
//!     Err(CudaError::NoCuda(reason)) => println!("skipped: {reason}"),
//!     Err(error) => return Err(error.into()),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(unsafe_code)]

#[cfg(not(target_pointer_width = "64"))]
compile_error!("uncopy supports 64-bit systems only: addresses of the device are 64 bits wide");

mod absence;
mod code;
mod device;
mod driver;
mod error;
mod mps;
pub mod raw;
mod report;
mod site;

pub use absence::{DriverVersion, NoCuda};
pub use code::DriverCode;
pub use device::{CudaDevice, ListedDevice, Reach, list_devices, list_reaches};
pub use driver::context::{Context, Entered};
pub use driver::host::PinnedBuffer;
pub use driver::module::{Kernel, Module};
pub use driver::{Calls, Driver};
pub use error::CudaError;
pub use mps::Mps;
pub use report::DeviceReport;
pub use site::Site;
