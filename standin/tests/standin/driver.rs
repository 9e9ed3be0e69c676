// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program's view of the driver: the library is loaded, its functions are asked for by name.

use std::{
    ffi::{CString, c_char, c_int, c_void},
    mem::transmute_copy,
    path::PathBuf,
    ptr,
};

/// `CUdeviceptr`, and the handles of everything else.
pub type Handle = u64;
pub type Sealed = [u8; 64];

/// `CUDA_MEMCPY2D`, from device to device.
#[repr(C)]
#[derive(Default)]
pub struct Copy2d {
    pub src_x: usize,
    pub src_y: usize,
    pub src_kind: c_int,
    pub src_host: u64,
    pub src_device: u64,
    pub src_array: u64,
    pub src_pitch: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_kind: c_int,
    pub dst_host: u64,
    pub dst_device: u64,
    pub dst_array: u64,
    pub dst_pitch: usize,
    pub width: usize,
    pub height: usize,
}

/// `CUmemAllocationProp`
#[repr(C)]
pub struct Prop {
    pub kind: c_int,
    pub handle_types: c_int,
    pub location_kind: c_int,
    pub location: c_int,
    pub win32: usize,
    pub flags: [u8; 8],
}

/// `CUmemPoolProps`
#[repr(C)]
pub struct PoolProps {
    pub kind: c_int,
    pub handle_types: c_int,
    pub location_kind: c_int,
    pub location: c_int,
    pub win32: usize,
    pub max_size: usize,
    pub reserved: [u8; 56],
}

/// `CUmemAccessDesc`
#[repr(C)]
pub struct Access {
    pub location_kind: c_int,
    pub location: c_int,
    pub flags: c_int,
}

/// `CUstreamBatchMemOpParams`
#[repr(C)]
pub struct BatchOp {
    pub operation: c_int,
    pub address: u64,
    pub value: u64,
    pub flags: u32,
    pub pad: [u64; 2],
}

impl BatchOp {
    pub fn wait(address: u64, value: u32) -> BatchOp {
        BatchOp { operation: 1, address, value: value.into(), flags: 0, pad: [0; 2] }
    }

    pub fn write(address: u64, value: u32) -> BatchOp {
        BatchOp { operation: 2, address, value: value.into(), flags: 0, pad: [0; 2] }
    }
}

/// The loaded library.
#[derive(Clone, Copy)]
pub struct Driver {
    library: *mut c_void,
}

// SAFETY: a handle of the loader, which any thread may use.
unsafe impl Send for Driver {}
// SAFETY: as above.
unsafe impl Sync for Driver {}

/// Where cargo has put the library that it has built for these tests: beside them.
pub fn library() -> PathBuf {
    std::env::current_exe().unwrap().with_file_name("libuncopy_standin.so")
}

impl Driver {
    pub fn load() -> Driver {
        let path = CString::new(library().to_str().unwrap()).unwrap();
        // SAFETY: a path; the library's start-up code is ours.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null(), "{} can't be loaded", library_name());
        Driver { library }
    }

    pub fn find(self, name: &str) -> Option<*mut c_void> {
        let name = CString::new(name).unwrap();
        // SAFETY: an open library and a text.
        let address = unsafe { libc::dlsym(self.library, name.as_ptr()) };
        (!address.is_null()).then_some(address)
    }

    fn function<F>(self, name: &str) -> F {
        let address = self.find(name).unwrap_or_else(|| panic!("no {name}"));
        // SAFETY: each caller below names a function by the type that `cuda.h` gives it.
        unsafe { transmute_copy(&address) }
    }
}

fn library_name() -> String {
    library().display().to_string()
}

macro_rules! functions {
    ($(fn $name:ident($($arg:ident: $ty:ty),*);)*) => {
        #[expect(non_snake_case, reason = "the driver's names")]
        #[allow(clippy::too_many_arguments, reason = "the driver's functions")]
        impl Driver {
            $(pub fn $name(self, $($arg: $ty),*) -> c_int {
                let function: extern "C" fn($($ty),*) -> c_int = self.function(stringify!($name));
                function($($arg),*)
            })*
        }
    };
}

functions! {
    fn cuInit(flags: u32);
    fn cuDriverGetVersion(version: &mut c_int);
    fn cuGetProcAddress_v2(name: *const c_char, out: &mut *mut c_void, version: c_int, flags: u64, status: &mut c_int);
    fn cuGetProcAddress(name: *const c_char, out: &mut *mut c_void, version: c_int, flags: u64);
    fn cuGetErrorName(code: c_int, out: &mut *const c_char);
    fn cuDeviceGetCount(count: &mut c_int);
    fn cuDeviceGetUuid_v2(uuid: &mut [u8; 16], device: c_int);
    fn cuDeviceGetAttribute(value: &mut c_int, attribute: c_int, device: c_int);
    fn cuDevicePrimaryCtxRetain(out: &mut Handle, device: c_int);
    fn cuDevicePrimaryCtxRelease_v2(device: c_int);
    fn cuCtxSetCurrent(context: Handle);
    fn cuCtxPushCurrent_v2(context: Handle);
    fn cuCtxPopCurrent_v2(context: &mut Handle);
    fn cuCtxSynchronize();
    fn cuCtxEnablePeerAccess(peer: Handle, flags: u32);
    fn cuCtxRecordEvent(context: Handle, event: Handle);
    fn cuThreadExchangeStreamCaptureMode(mode: &mut c_int);
    fn cuMemGetInfo_v2(free: &mut usize, total: &mut usize);
    fn cuMemAlloc_v2(out: &mut Handle, len: usize);
    fn cuMemFree_v2(address: Handle);
    fn cuMemGetAddressRange_v2(base: &mut Handle, len: &mut usize, address: Handle);
    fn cuPointerGetAttribute(out: *mut c_void, attribute: c_int, address: Handle);
    fn cuMemcpyHtoD_v2(to: Handle, from: *const c_void, len: usize);
    fn cuMemcpyDtoH_v2(to: *mut c_void, from: Handle, len: usize);
    fn cuMemcpyHtoDAsync_v2(to: Handle, from: *const c_void, len: usize, stream: Handle);
    fn cuMemcpyDtoDAsync_v2(to: Handle, from: Handle, len: usize, stream: Handle);
    fn cuMemcpyAsync(to: Handle, from: Handle, len: usize, stream: Handle);
    fn cuMemcpyPeerAsync(to: Handle, to_context: Handle, from: Handle, from_context: Handle, len: usize, stream: Handle);
    fn cuMemcpy2DAsync_v2(copy: &Copy2d, stream: Handle);
    fn cuMemsetD8Async(to: Handle, value: u8, count: usize, stream: Handle);
    fn cuMemsetD32_v2(to: Handle, value: u32, count: usize);
    fn cuMemsetD32Async(to: Handle, value: u32, count: usize, stream: Handle);
    fn cuMemHostAlloc(out: &mut Handle, len: usize, flags: u32);
    fn cuMemFreeHost(host: Handle);
    fn cuMemHostRegister_v2(host: *mut c_void, len: usize, flags: u32);
    fn cuMemHostUnregister(host: *mut c_void);
    fn cuMemHostGetDevicePointer_v2(out: &mut Handle, host: *mut c_void, flags: u32);
    fn cuStreamCreate(out: &mut Handle, flags: u32);
    fn cuStreamDestroy_v2(stream: Handle);
    fn cuStreamQuery(stream: Handle);
    fn cuStreamSynchronize(stream: Handle);
    fn cuStreamWaitEvent(stream: Handle, event: Handle, flags: u32);
    fn cuStreamBeginCapture_v2(stream: Handle, mode: c_int);
    fn cuStreamEndCapture(stream: Handle, graph: &mut Handle);
    fn cuStreamIsCapturing(stream: Handle, status: &mut c_int);
    fn cuStreamGetCaptureInfo_v2(stream: Handle, status: &mut c_int, id: Handle, graph: Handle, nodes: Handle, count: Handle);
    fn cuStreamGetId(stream: Handle, id: &mut u64);
    fn cuStreamGetCtx(stream: Handle, context: &mut Handle);
    fn cuStreamGetFlags(stream: Handle, flags: &mut u32);
    fn cuGraphGetNodes(graph: Handle, nodes: *mut Handle, count: &mut usize);
    fn cuGraphDestroy(graph: Handle);
    fn cuEventCreate(out: &mut Handle, flags: u32);
    fn cuEventDestroy_v2(event: Handle);
    fn cuEventRecord(event: Handle, stream: Handle);
    fn cuEventQuery(event: Handle);
    fn cuEventSynchronize(event: Handle);
    fn cuEventElapsedTime(milliseconds: &mut f32, start: Handle, end: Handle);
    fn cuIpcGetMemHandle(out: &mut Sealed, address: Handle);
    fn cuIpcOpenMemHandle_v2(out: &mut Handle, sealed: Sealed, flags: u32);
    fn cuIpcCloseMemHandle(address: Handle);
    fn cuIpcGetEventHandle(out: &mut Sealed, event: Handle);
    fn cuIpcOpenEventHandle(out: &mut Handle, sealed: Sealed);
    fn cuMemGetAllocationGranularity(out: &mut usize, prop: &Prop, option: c_int);
    fn cuMemCreate(out: &mut Handle, len: usize, prop: &Prop, flags: u64);
    fn cuMemRelease(handle: Handle);
    fn cuMemExportToShareableHandle(out: &mut c_int, handle: Handle, kind: c_int, flags: u64);
    fn cuMemImportFromShareableHandle(out: &mut Handle, descriptor: usize, kind: c_int);
    fn cuMemAddressReserve(out: &mut Handle, len: usize, alignment: usize, address: Handle, flags: u64);
    fn cuMemAddressFree(address: Handle, len: usize);
    fn cuMemMap(address: Handle, len: usize, offset: usize, handle: Handle, flags: u64);
    fn cuMemUnmap(address: Handle, len: usize);
    fn cuMemSetAccess(address: Handle, len: usize, access: &Access, count: usize);
    fn cuMemPoolCreate(out: &mut Handle, props: &PoolProps);
    fn cuMemAllocFromPoolAsync(out: &mut Handle, len: usize, pool: Handle, stream: Handle);
    fn cuMemAllocAsync(out: &mut Handle, len: usize, stream: Handle);
    fn cuMemFreeAsync(address: Handle, stream: Handle);
    fn cuMemPoolExportToShareableHandle(out: &mut c_int, pool: Handle, kind: c_int, flags: u64);
    fn cuMemPoolImportFromShareableHandle(out: &mut Handle, descriptor: usize, kind: c_int, flags: u64);
    fn cuMemPoolExportPointer(out: &mut Sealed, address: Handle);
    fn cuMemPoolImportPointer(out: &mut Handle, pool: Handle, data: &Sealed);
    fn cuStreamWaitValue32_v2(stream: Handle, address: Handle, value: u32, flags: u32);
    fn cuStreamWriteValue32_v2(stream: Handle, address: Handle, value: u32, flags: u32);
    fn cuStreamBatchMemOp_v2(stream: Handle, count: u32, ops: *mut BatchOp, flags: u32);
    fn cuModuleLoadData(out: &mut Handle, image: *const c_char);
    fn cuModuleGetFunction(out: &mut Handle, module: Handle, name: *const c_char);
    fn cuLaunchHostFunc(stream: Handle, function: extern "C" fn(*mut c_void), argument: *mut c_void);
    fn cuLaunchKernel(function: Handle, gx: u32, gy: u32, gz: u32, bx: u32, by: u32, bz: u32, shared: u32, stream: Handle, arguments: *mut *mut c_void, extra: *mut *mut c_void);
}

/// A driver with the context of device 0, and short forms of what every test does. Each asserts success.
#[derive(Clone, Copy)]
pub struct Card {
    pub driver: Driver,
    pub context: Handle,
}

/// A call that must succeed.
pub fn ok(code: c_int) {
    assert_eq!(code, 0);
}

/// What a call hands out.
pub fn out<T: Default>(call: impl FnOnce(&mut T) -> c_int) -> T {
    let mut value = T::default();
    ok(call(&mut value));
    value
}

/// What a call hands out in 64 bytes.
pub fn sealed(call: impl FnOnce(&mut Sealed) -> c_int) -> Sealed {
    let mut value = [0; 64];
    ok(call(&mut value));
    value
}

pub const GRANULE: usize = 2 << 20;
pub const READ: c_int = 1;
pub const READ_WRITE: c_int = 3;

impl Card {
    pub fn first() -> Card {
        let driver = Driver::load();
        ok(driver.cuInit(0));
        Card::of(driver, 0)
    }

    pub fn of(driver: Driver, device: c_int) -> Card {
        let context = out(|context| driver.cuDevicePrimaryCtxRetain(context, device));
        ok(driver.cuCtxSetCurrent(context));
        Card { driver, context }
    }

    /// A stream that the legacy default stream doesn't wait for.
    pub fn stream(self) -> Handle {
        out(|stream| self.driver.cuStreamCreate(stream, 1))
    }

    pub fn blocking_stream(self) -> Handle {
        out(|stream| self.driver.cuStreamCreate(stream, 0))
    }

    pub fn event(self) -> Handle {
        out(|event| self.driver.cuEventCreate(event, 2))
    }

    pub fn memory(self, len: usize) -> Handle {
        out(|address| self.driver.cuMemAlloc_v2(address, len))
    }

    /// Fills memory with one word, and waits for it.
    pub fn set(self, address: Handle, word: u32, len: usize) {
        ok(self.driver.cuMemsetD32_v2(address, word, len / 4));
        ok(self.driver.cuStreamSynchronize(0));
    }

    /// The words at an address, read by a synchronous copy.
    pub fn words(self, address: Handle, count: usize) -> Vec<u32> {
        let mut words = vec![0_u32; count];
        ok(self.driver.cuMemcpyDtoH_v2(words.as_mut_ptr().cast(), address, count * 4));
        words
    }

    pub fn word(self, address: Handle) -> u32 {
        self.words(address, 1)[0]
    }

    pub fn free_bytes(self) -> usize {
        let mut total = 0;
        out(|free| self.driver.cuMemGetInfo_v2(free, &mut total))
    }

    /// Memory that travels as a descriptor.
    pub fn shareable(self, len: usize) -> Handle {
        out(|handle| self.driver.cuMemCreate(handle, len, &prop(1), 0))
    }

    pub fn exported(self, handle: Handle) -> c_int {
        out(|descriptor| self.driver.cuMemExportToShareableHandle(descriptor, handle, 1, 0))
    }

    pub fn imported(self, descriptor: c_int) -> Handle {
        let descriptor = usize::try_from(descriptor).unwrap();
        out(|handle| self.driver.cuMemImportFromShareableHandle(handle, descriptor, 1))
    }

    pub fn mapped(self, handle: Handle, len: usize, flags: c_int) -> Handle {
        let address = out(|address| self.driver.cuMemAddressReserve(address, len, 0, 0, 0));
        ok(self.driver.cuMemMap(address, len, 0, handle, 0));
        ok(self.driver.cuMemSetAccess(address, len, &Access { location_kind: 1, location: 0, flags }, 1));
        address
    }

    /// A function of the kernels that the tests bring.
    pub fn kernel(self, name: &str) -> Handle {
        self.kernel_of(include_str!("../../../tests/gpu/src/kernels.ptx"), name)
    }

    /// A function of other PTX.
    pub fn kernel_of(self, ptx: &str, name: &str) -> Handle {
        let ptx = CString::new(ptx).unwrap();
        let module = out(|module| self.driver.cuModuleLoadData(module, ptx.as_ptr()));
        let name = CString::new(name).unwrap();
        out(|function| self.driver.cuModuleGetFunction(function, module, name.as_ptr()))
    }

    pub fn launch(self, function: Handle, stream: Handle, arguments: &mut [u64]) -> c_int {
        let mut places: Vec<*mut c_void> =
            arguments.iter_mut().map(|value| ptr::from_mut(value).cast()).collect();
        let places = places.as_mut_ptr();
        self.driver.cuLaunchKernel(function, 1, 1, 1, 32, 1, 1, 0, stream, places, ptr::null_mut())
    }
}

pub fn prop(handle_types: c_int) -> Prop {
    Prop { kind: 1, handle_types, location_kind: 1, location: 0, win32: 0, flags: [0; 8] }
}

pub fn pool_props(handle_types: c_int) -> PoolProps {
    PoolProps {
        kind: 1,
        handle_types,
        location_kind: 1,
        location: 0,
        win32: 0,
        max_size: 0,
        reserved: [0; 56],
    }
}

/// A page of the host that several processes can share, registered; pages are never unmapped here.
pub struct Words {
    pub host: *mut c_void,
    pub device: Handle,
}

impl Words {
    pub fn new(card: Card) -> Words {
        let file = rustix::fs::memfd_create("words", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        rustix::fs::ftruncate(&file, 4096).unwrap();
        Words::over(card, &file)
    }

    pub fn over(card: Card, file: &impl std::os::fd::AsFd) -> Words {
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping disturbs no other.
        let host = unsafe { mmap(ptr::null_mut(), 4096, protection, MapFlags::SHARED, file, 0) }.unwrap();
        ok(card.driver.cuMemHostRegister_v2(host, 4096, 2));
        let device = out(|device| card.driver.cuMemHostGetDevicePointer_v2(device, host, 0));
        Words { host, device }
    }

    pub fn word(&self, index: usize) -> &std::sync::atomic::AtomicU32 {
        assert!(index < 1024);
        // SAFETY: inside of the page.
        let place = unsafe { self.host.cast::<u32>().add(index) };
        // SAFETY: the page stays, and is used through atomics.
        unsafe { std::sync::atomic::AtomicU32::from_ptr(place) }
    }

    pub fn at(&self, index: usize) -> Handle {
        self.device + 4 * index as u64
    }
}
