// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two processes and one memory.

use std::path::PathBuf;

use uncopy_cuda::CudaDevice;
use uncopy_os::{Connection, Listener, Received, RuntimeDir, Sent};
use uncopy_tensor::{Accelerator, Access, DeviceMemory, ShareHandle};

use crate::support::{Child, Role, device, hear, pattern, read, tell, write};

pub const ROLES: &[Role] = &[("peers/importer", importer), ("peers/exporter", exporter)];

const LEN_BYTES: usize = 5 << 20;
const DIRECTORY: &str = "UNCOPY_TEST_DIRECTORY";

/// A socket by which a child gets or gives handles.
struct Meeting {
    directory: PathBuf,
    listener: Listener,
}

impl Meeting {
    fn new(name: &str) -> Meeting {
        let directory = std::env::temp_dir().join(format!("uncopy-cuda-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let place = RuntimeDir::open_at(directory.join("run")).unwrap();
        let listener = Listener::bind(&place, "meeting").unwrap();
        Meeting { directory, listener }
    }

    fn start(&self, role: &str) -> Child {
        Child::start_with(role, |command| {
            command.env(DIRECTORY, &self.directory);
        })
    }

    /// The child's connection, once it says that it has called.
    fn accept(&self, child: &mut Child) -> Connection {
        assert_eq!(child.hear(), "called");
        self.listener.accept().unwrap().expect("the child has connected")
    }
}

impl Drop for Meeting {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// In a child: calls the parent.
fn call() -> Connection {
    let directory = PathBuf::from(std::env::var_os(DIRECTORY).unwrap()).join("run");
    let connection = Connection::connect(&RuntimeDir::open_at(directory).unwrap(), "meeting").unwrap();
    tell("called");
    connection
}

fn give_handle(connection: &Connection, handle: &ShareHandle) {
    assert!(matches!(connection.send(b"memory", &[handle]).unwrap(), Sent::Done));
}

fn take_handle(connection: &Connection) -> ShareHandle {
    connection.wait_readable(None).unwrap();
    match connection.recv(&mut [0; 16]).unwrap() {
        Received::Message { mut handles, .. } => handles.pop().expect("a handle comes along"),
        other => panic!("no message: {other:?}"),
    }
}

#[test]
fn another_process_sees_the_bytes_and_its_death_changes_nothing() {
    let Some(device) = device() else { return };
    let meeting = Meeting::new("import");
    let mut child = meeting.start("peers/importer");
    let connection = meeting.accept(&mut child);
    let memory = device.allocate(LEN_BYTES).unwrap();
    let bytes = pattern(LEN_BYTES, 7);
    write(&device, &bytes, &memory.region());
    give_handle(&connection, &memory.share().unwrap());
    assert_eq!(child.hear(), "the bytes are right");
    child.tell("write");
    assert_eq!(child.hear(), "written");
    let expected = pattern(LEN_BYTES, 8);
    assert_eq!(read(&device, &memory.region(), LEN_BYTES), expected, "the peer's bytes are seen");
    child.kill();
    assert_eq!(read(&device, &memory.region(), LEN_BYTES), expected);
}

fn importer() {
    let device = device().unwrap();
    let connection = call();
    let region = device.import(take_handle(&connection), LEN_BYTES, Access::ReadWrite).unwrap();
    assert_eq!(read(&device, &region, LEN_BYTES), pattern(LEN_BYTES, 7));
    tell("the bytes are right");
    assert_eq!(hear(), "write");
    write(&device, &pattern(LEN_BYTES, 8), &region);
    tell("written");
    hear();
}

#[test]
fn f01_memory_outlives_the_process_that_made_it() {
    let Some(device) = device() else { return };
    let meeting = Meeting::new("export");
    let mut child = meeting.start("peers/exporter");
    let connection = meeting.accept(&mut child);
    let handle = take_handle(&connection);
    let region = device.import(handle.try_clone().unwrap(), LEN_BYTES, Access::ReadOnly).unwrap();
    child.kill();
    assert_eq!(read(&device, &region, LEN_BYTES), pattern(LEN_BYTES, 9));
    drop(region);
    // A descriptor that is still open keeps it as well.
    let again = device.import(handle, LEN_BYTES, Access::ReadOnly).unwrap();
    assert_eq!(read(&device, &again, LEN_BYTES), pattern(LEN_BYTES, 9));
}

fn exporter() {
    let device = device().unwrap();
    let memory = exported(&device);
    let connection = call();
    give_handle(&connection, &memory.share().unwrap());
    hear();
}

fn exported(device: &CudaDevice) -> Box<dyn DeviceMemory> {
    let memory = device.allocate(LEN_BYTES).unwrap();
    write(device, &pattern(LEN_BYTES, 9), &memory.region());
    memory
}
