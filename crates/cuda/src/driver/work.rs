// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is put into streams. Nothing here waits for the device.

use super::Driver;
use super::context::{Context, Entered};
use super::host::Registered;
use crate::CudaError;
use crate::device::shape::CopyShape;
use crate::raw::numbers::*;
use crate::raw::{BatchMemOp, CUdeviceptr, CUstream, Memcpy2d, Memcpy3d, Side2d, Side3d};
use crate::site::Site;
use uncopy_core::{Device, DeviceKind, Stream};
use uncopy_tensor::{Access, Region, Tensor, TimelinePoint};

/// How many waits go to the driver at once.
const BATCH: usize = 32;

impl Entered<'_> {
    /// Fills a region of this device with zeros.
    pub(crate) fn zero(&self, region: &Region, stream: Stream) -> Result<(), CudaError> {
        let address = region.address() as CUdeviceptr;
        // SAFETY: the region is device memory of that length (its contract); the caller keeps it until the stream is
        // done (rule 3 of the layer).
        unsafe { self.memset_d8_async(address, 0, region.len_bytes(), stream.into()) }
    }

    /// Makes everything that comes later in `stream` wait until each word has reached its value.
    #[inline]
    pub(crate) fn wait_for(
        &self,
        words: &Registered,
        points: &[TimelinePoint],
        stream: Stream,
        site: Site,
    ) -> Result<(), CudaError> {
        if site.is_skipped() {
            return Ok(());
        }
        // Nothing is put in before all are known to be words.
        for point in points {
            words.word(point.offset_bytes)?;
        }
        for batch in points.chunks(BATCH) {
            let mut operations = [BatchMemOp::default(); BATCH];
            for (operation, point) in operations.iter_mut().zip(batch) {
                operation.operation = MEM_OP_WAIT_VALUE_32;
                operation.address = words.word(point.offset_bytes)?;
                operation.value = point.value.into();
                operation.flags = WAIT_VALUE_GEQ;
            }
            // SAFETY: at least `batch.len()` structures, alive during the call, and `BATCH` fits the type; each address
            // is that of a word in registered memory, which the caller keeps until the stream is done.
            unsafe {
                self.stream_batch_mem_op(stream.into(), batch.len() as u32, operations.as_mut_ptr(), 0)
            }?;
        }
        Ok(())
    }

    /// Writes a word when everything before it in `stream` is done and visible.
    #[inline]
    pub(crate) fn write(
        &self,
        words: &Registered,
        point: TimelinePoint,
        stream: Stream,
    ) -> Result<(), CudaError> {
        let address = words.word(point.offset_bytes)?;
        // SAFETY: a word in registered memory, which the caller keeps until the stream is done.
        unsafe { self.stream_write_value_32(stream.into(), address, point.value, WRITE_VALUE_DEFAULT) }
    }

    /// Copies the elements of `from`, packed, to the first bytes of `to`.
    #[inline]
    pub(crate) fn copy(&self, from: &Tensor, to: &Region, stream: Stream) -> Result<(), CudaError> {
        let device = Device::cuda(self.context().ordinal());
        for found in [from.device(), to.device()] {
            if found != device {
                check_reach(device, found)?;
            }
        }
        if to.access() == Access::ReadOnly {
            return Err(CudaError::ReadOnly { device: to.device() });
        }
        let need_bytes = from.layout().len_bytes();
        if to.len_bytes() < need_bytes {
            return Err(CudaError::DestinationTooSmall { need_bytes, found_bytes: to.len_bytes() });
        }
        let shape = CopyShape::of(from, device)?;
        // The driver may wait for a staging buffer when it copies memory that is not pinned.
        let is_staged = from.device() == Device::CPU || to.device() == Device::CPU;
        let _relaxed = if is_staged { Some(self.relaxed()?) } else { None };
        self.copy_shaped(shape, from, to, stream)
    }

    /// Copies the elements of `from` in the given shape to the first bytes of `to`. The caller has checked that `to` is
    /// large enough and writable, and that this device reaches both.
    #[inline]
    pub(crate) fn copy_shaped(
        &self,
        shape: CopyShape,
        from: &Tensor,
        to: &Region,
        stream: Stream,
    ) -> Result<(), CudaError> {
        let here = Device::cuda(self.context().ordinal());
        let stream = stream.into();
        match shape {
            CopyShape::Nothing => Ok(()),
            CopyShape::Run { len_bytes } => self.copy_run(here, len_bytes, from, to, stream),
            CopyShape::Rows { width_bytes, rows, pitch_bytes } => {
                let copy = Memcpy2d {
                    source: side_2d(here, from.device(), from.address(), pitch_bytes),
                    destination: side_2d(here, to.device(), to.address(), width_bytes),
                    width_bytes,
                    height: rows,
                };
                // SAFETY: the structure is alive during the call. The rows are elements of the tensor, which lie in its
                // region (checked when it was made), and `to` holds all of them (checked by the caller); both stay until
                // the stream is done.
                unsafe { self.memcpy_2d_async(&raw const copy, stream) }
            }
            CopyShape::Planes { width_bytes, rows, pitch_bytes, planes, rows_per_plane } => {
                let source = side_3d(here, from.device(), from.address(), pitch_bytes, rows_per_plane);
                let destination = side_3d(here, to.device(), to.address(), width_bytes, rows);
                let copy = Memcpy3d { source, destination, width_bytes, height: rows, depth: planes };
                // SAFETY: as above; what a plane has beyond its rows is not touched.
                unsafe { self.memcpy_3d_async(&raw const copy, stream) }
            }
        }
    }

    #[inline]
    fn copy_run(
        &self,
        here: Device,
        len_bytes: usize,
        from: &Tensor,
        to: &Region,
        stream: CUstream,
    ) -> Result<(), CudaError> {
        let (source, destination) = (from.address() as CUdeviceptr, to.address() as CUdeviceptr);
        match (is_host(from.device()), is_host(to.device())) {
            (false, false) if from.device() == here && to.device() == here => {
                // SAFETY: the bytes are those of the tensor's elements, which lie in its region, and `to` holds them
                // (checked by the caller); both stay until the stream is done.
                unsafe { self.memcpy_dtod_async(destination, source, len_bytes, stream) }
            }
            (true, false) => {
                // SAFETY: as above; the source is host memory.
                unsafe { self.memcpy_htod_async(destination, from.as_ptr().cast(), len_bytes, stream) }
            }
            (false, true) => {
                // SAFETY: as above; the destination is host memory.
                unsafe { self.memcpy_dtoh_async(to.as_ptr().cast(), source, len_bytes, stream) }
            }
            (false, false)
                if from.device().kind == DeviceKind::CUDA && to.device().kind == DeviceKind::CUDA =>
            {
                // One may not reach the other; and of memory that was not made by `cuMemAlloc` the driver does not find
                // out by the address alone on which device it lies.
                let driver = Driver::get()?;
                let from_context = Context::primary(driver, from.device().id)?.handle();
                let to_context = Context::primary(driver, to.device().id)?.handle();
                // SAFETY: as above; each side is memory that its context's device uses at this address, and primary
                // contexts are never released.
                unsafe {
                    self.memcpy_peer_async(destination, to_context, source, from_context, len_bytes, stream)
                }
            }
            // With managed memory, or on the host: the driver looks the addresses up.
            _ => {
                // SAFETY: as above, and all of these share one address space.
                unsafe { self.memcpy_async(destination, source, len_bytes, stream) }
            }
        }
    }
}

/// Refuses memory that the device cannot copy.
fn check_reach(device: Device, found: Device) -> Result<(), CudaError> {
    let reachable = [DeviceKind::CUDA, DeviceKind::CPU, DeviceKind::CUDA_HOST, DeviceKind::CUDA_MANAGED];
    if reachable.contains(&found.kind) { Ok(()) } else { Err(CudaError::OutOfReach { device, found }) }
}

/// Memory that the driver takes for the host's.
fn is_host(device: Device) -> bool {
    matches!(device.kind, DeviceKind::CPU | DeviceKind::CUDA_HOST)
}

fn memory_type(here: Device, device: Device) -> u32 {
    if is_host(device) {
        MEMORY_TYPE_HOST
    } else if device == here {
        MEMORY_TYPE_DEVICE
    } else {
        MEMORY_TYPE_UNIFIED
    }
}

fn side_2d(here: Device, device: Device, address: usize, pitch_bytes: usize) -> Side2d {
    let memory_type = memory_type(here, device);
    let side = Side2d { memory_type, pitch_bytes, ..Side2d::default() };
    match memory_type {
        MEMORY_TYPE_HOST => Side2d { host: address, ..side },
        _ => Side2d { device: address as CUdeviceptr, ..side },
    }
}

fn side_3d(here: Device, device: Device, address: usize, pitch_bytes: usize, height: usize) -> Side3d {
    let memory_type = memory_type(here, device);
    let side = Side3d { memory_type, pitch_bytes, height, ..Side3d::default() };
    match memory_type {
        MEMORY_TYPE_HOST => Side3d { host: address, ..side },
        _ => Side3d { device: address as CUdeviceptr, ..side },
    }
}
