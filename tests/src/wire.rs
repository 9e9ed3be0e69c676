// SPDX-License-Identifier: MIT OR Apache-2.0
//! Protocol v1 by hand, from `docs/protocol/link-v1.md` alone: a second implementation, small and willing to lie.
//!
//! The product's constants are not used here on purpose. A number that changes there and not in the document fails a
//! test.

use std::sync::atomic::Ordering::SeqCst;

use uncopy::os::{Connection, Mapping, ProcessId, Received, RuntimeDir, SharedMemory, Words};
use uncopy::{Access, ShareHandle};

use crate::peer::HANGS_AFTER;

/// Kinds of messages.
pub mod kind {
    /// Client to producer: who I am.
    pub const HELLO: u16 = 1;
    /// Consumer to producer: ring this.
    pub const WATCH: u16 = 8;
    /// Producer to client: come in.
    pub const WELCOME: u16 = 2;
    /// Producer to client: stay out.
    pub const REFUSE: u16 = 3;
    /// Producer to consumer: new frame memory.
    pub const EPOCH: u16 = 4;
    /// Consumer to producer: it has arrived.
    pub const EPOCH_TAKEN: u16 = 5;
    /// Either way: I leave.
    pub const BYE: u16 = 6;
    /// Client to producer: give me the name.
    pub const TAKE_OVER: u16 = 7;
}

/// Role of a HELLO that takes a place.
pub const CONSUMER: u32 = 1;
/// Role of a HELLO that only looks.
pub const OBSERVER: u32 = 2;

/// Length of the header of the control memory.
pub const HEADER_BYTES: usize = 256;
/// Where the live words start.
pub const LIVE: usize = 256;
/// Who sleeps until the next frame.
pub const SLEEPERS: usize = 384;
/// Whose doorbells are to be rung.
pub const ARMED: usize = 388;
/// Whether the producer waits for room.
pub const WANTS_ROOM: usize = 640;
/// Where the places start, and how far they are apart.
pub const PLACES: usize = 2048;
/// Where the slot blocks start.
pub const BLOCKS: usize = 4096;
/// How far the slot blocks are apart.
pub const BLOCK_BYTES: usize = 384;

/// A message of protocol 1.0.
#[must_use]
pub fn message(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = b"UNCP".to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend([1, 0]);
    bytes.extend((16 + body.len() as u32).to_le_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

/// A message of protocol 1.1 of a kind that 1.0 does not have.
#[must_use]
pub fn newer_message() -> Vec<u8> {
    let mut bytes = message(99, &[0xA5; 24]);
    bytes[7] = 1;
    bytes
}

/// The HELLO of this process.
#[must_use]
pub fn hello(role: u32) -> Vec<u8> {
    hello_of(role, 0)
}

/// The HELLO of this process as a consumer of every frame.
#[must_use]
pub fn hello_every() -> Vec<u8> {
    hello_of(CONSUMER, 1)
}

fn hello_of(role: u32, read: u64) -> Vec<u8> {
    let me = ProcessId::current();
    let mut body = role.to_le_bytes().to_vec();
    body.extend(me.pid.to_le_bytes());
    body.extend(me.start_ticks.to_le_bytes());
    body.extend(0u64.to_le_bytes());
    body.extend(read.to_le_bytes());
    message(kind::HELLO, &body)
}

/// What a WELCOME says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The consumer's place.
    pub place: u32,
    /// Number of slots.
    pub slots: u32,
    /// Bytes of the control memory.
    pub control_len: u64,
    /// Bytes from one slot to the next.
    pub stride: u64,
    /// Bytes of the frame memory.
    pub frames_len: u64,
    /// The current epoch.
    pub epoch: u32,
}

impl Welcome {
    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut body = self.place.to_le_bytes().to_vec();
        body.extend(self.slots.to_le_bytes());
        body.extend(self.control_len.to_le_bytes());
        body.extend(epoch_of_host_memory(self.epoch, self.stride, self.frames_len));
        message(kind::WELCOME, &body)
    }

    /// From bytes.
    ///
    /// # Panics
    /// When they are too short.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let (u32_at, u64_at) = (|at: usize| u32_of(bytes, at), |at: usize| u64_of(bytes, at));
        Self {
            place: u32_at(16),
            slots: u32_at(20),
            control_len: u64_at(24),
            epoch: u32_at(32),
            stride: u64_at(40),
            frames_len: u64_at(48),
        }
    }
}

/// The body of an EPOCH, and the end of a WELCOME's: frame memory in host memory, without a mirror.
#[must_use]
pub fn epoch_of_host_memory(epoch: u32, stride: u64, frames_len: u64) -> Vec<u8> {
    let mut body = epoch.to_le_bytes().to_vec();
    body.extend(0u32.to_le_bytes());
    for number in [stride, frames_len, 0] {
        body.extend(number.to_le_bytes());
    }
    body.extend([0; 16]);
    body
}

/// The number at `at`.
#[must_use]
pub fn u32_of(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

/// The number at `at`.
#[must_use]
pub fn u64_of(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

/// A message as it came.
#[derive(Debug)]
pub struct Letter {
    /// All of it.
    pub bytes: Vec<u8>,
    /// What came with it.
    pub handles: Vec<ShareHandle>,
}

impl Letter {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> u16 {
        u16::from_le_bytes([self.bytes[4], self.bytes[5]])
    }

    /// Code and words of a REFUSE.
    #[must_use]
    pub fn refusal(&self) -> (i32, String) {
        assert_eq!(self.kind(), kind::REFUSE, "{:?}", self.bytes);
        let len = u32_of(&self.bytes, 20) as usize;
        let text = String::from_utf8(self.bytes[24..24 + len].to_vec()).expect("UTF-8");
        (u32_of(&self.bytes, 16).cast_signed(), text)
    }
}

/// Waits for the next message; `None` when the other side has hung up.
///
/// # Panics
/// When nothing comes.
#[must_use]
pub fn receive(connection: &Connection) -> Option<Letter> {
    let mut buffer = [0; 1024];
    loop {
        match connection.recv(&mut buffer).expect("a socket of ours") {
            Received::Message { len, handles, .. } => {
                return Some(Letter { bytes: buffer[..len].to_vec(), handles });
            }
            Received::Closed => return None,
            Received::WouldBlock => {
                let woken = connection.wait_readable(Some(HANGS_AFTER)).expect("a socket of ours");
                assert_ne!(woken, uncopy::os::Woken::TimedOut, "no answer");
            }
        }
    }
}

/// Connects to the producer of `name` and says `first`.
///
/// # Panics
/// When nobody listens.
#[must_use]
pub fn knock(dir: &RuntimeDir, name: &str, first: &[u8]) -> Connection {
    let connection = Connection::connect(dir, &format!("{name}.sock")).expect("somebody listens");
    // A producer that refuses at the door hangs up before it has heard this.
    let _ = connection.send(first, &[]);
    connection
}

/// A link as somebody who connected by hand has it.
pub struct Guest {
    /// The socket.
    pub connection: Connection,
    /// What the producer said.
    pub welcome: Welcome,
    /// The control memory, writable as for any peer.
    pub control: Mapping,
    /// Handles as they came: control memory, and frame memory where there was any.
    pub handles: Vec<ShareHandle>,
}

impl Guest {
    /// Joins the link `name` as `role`.
    ///
    /// # Panics
    /// When it is not let in.
    #[must_use]
    pub fn join(dir: &RuntimeDir, name: &str, role: u32) -> Self {
        let connection = knock(dir, name, &hello(role));
        let letter = receive(&connection).expect("an answer");
        assert_eq!(letter.kind(), kind::WELCOME, "{:?}", letter.bytes);
        let welcome = Welcome::decode(&letter.bytes);
        let control = Mapping::open(&letter.handles[0], welcome.control_len as usize, Access::ReadWrite)
            .expect("control memory can be mapped");
        Self { connection, welcome, control, handles: letter.handles }
    }

    /// `len` bytes of the control memory at `at`.
    #[must_use]
    pub fn bytes(&self, at: usize, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.control.words().load_bytes(at, &mut bytes).expect("inside the control memory");
        bytes
    }
}

/// Bytes of a control memory for `slots` slots.
#[must_use]
pub fn control_len(slots: usize) -> usize {
    device_offset(slots) + (slots * 256).next_multiple_of(4096)
}

/// Where the device words start.
#[must_use]
pub fn device_offset(slots: usize) -> usize {
    ages_offset(slots) + 16 * 512
}

/// Where the ages start.
#[must_use]
pub fn ages_offset(slots: usize) -> usize {
    meta_offset(slots) + slots * 4096
}

/// Where the users' metadata starts.
#[must_use]
pub fn meta_offset(slots: usize) -> usize {
    (BLOCKS + slots * BLOCK_BYTES).next_multiple_of(4096)
}

/// The header of a link that follows the protocol, made by this process.
#[must_use]
pub fn header(name: &str, slots: usize) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    let me = ProcessId::current();
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, b"UNCOPY\x01\n");
    put(8, &1u16.to_le_bytes());
    put(12, &256u32.to_le_bytes());
    put(16, &(control_len(slots) as u64).to_le_bytes());
    put(40, &[0x11; 16]);
    put(56, &uncopy::os::boot_id());
    put(72, &me.pid.to_le_bytes());
    put(76, &(slots as u32).to_le_bytes());
    put(80, &me.start_ticks.to_le_bytes());
    put(88, &uncopy::os::monotonic_nanos().to_le_bytes());
    let numbers = [4096, 384, 2048, 128, meta_offset(slots) as u32, 4096];
    for (index, number) in numbers.into_iter().enumerate() {
        put(96 + index * 4, &number.to_le_bytes());
    }
    put(120, name.as_bytes());
    put(184, &(ages_offset(slots) as u32).to_le_bytes());
    put(188, &512u32.to_le_bytes());
    put(192, &(device_offset(slots) as u32).to_le_bytes());
    put(196, &256u32.to_le_bytes());
    seal_header(&mut bytes);
    bytes
}

/// Writes the checksum that the rest of the header asks for.
pub fn seal_header(bytes: &mut [u8; HEADER_BYTES]) {
    let checksum = crc32(&bytes[..252]);
    bytes[252..].copy_from_slice(&checksum.to_le_bytes());
}

/// CRC-32 of IEEE 802.3.
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 },
        )
    })
}

/// A description of a frame, every field free to be wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Sequence number.
    pub seq: u64,
    /// Epoch.
    pub epoch: u32,
    /// Axes.
    pub ndim: u8,
    /// DLPack code, bits and lanes.
    pub dtype: (u8, u8, u16),
    /// Length of the user's metadata.
    pub meta_len: u16,
    /// Records of copies.
    pub copies: u8,
    /// Planes.
    pub planes: u8,
    /// Form number, 24 bits.
    pub form_number: u32,
    /// Bytes of the frame.
    pub len_bytes: u64,
    /// Length and stride of each axis.
    pub dims: [(u64, i64); 8],
}

impl Description {
    /// A correct one: `shape` of bytes in C order, frame 1 of epoch 1.
    #[must_use]
    pub fn of_bytes(shape: &[u64]) -> Self {
        let mut dims = [(0, 0); 8];
        let mut stride = 1;
        for (axis, len) in shape.iter().enumerate().rev() {
            dims[axis] = (*len, stride);
            stride *= len.cast_signed();
        }
        Self {
            seq: 1,
            epoch: 1,
            ndim: shape.len() as u8,
            dtype: (1, 8, 1),
            meta_len: 0,
            copies: 0,
            planes: 1,
            form_number: 1,
            len_bytes: shape.iter().product(),
            dims,
        }
    }
}

/// The word that names the newest frame.
#[must_use]
pub fn latest(seq: u64, slot: usize) -> u64 {
    seq << 12 | (slot as u64) << 6
}

/// The slot of the newest frame.
#[must_use]
pub fn newest_slot(words: &Words) -> usize {
    (load_u64(words, LIVE) >> 6 & 63) as usize
}

/// Makes a control memory for a link, with a correct header and state.
///
/// # Panics
/// When there is no memory.
#[must_use]
pub fn control(name: &str, slots: usize) -> SharedMemory {
    let memory = SharedMemory::create("uncopy-test-control", control_len(slots)).expect("a few pages");
    memory.words().store_bytes(0, &header(name, slots)).expect("room for a header");
    store_u32(memory.words(), 512, 1);
    memory.seal().expect("memory that was just made");
    memory
}

/// Publishes a description in a slot: block, word and *latest*.
pub fn publish(words: &Words, slot: usize, description: &Description) {
    let at = BLOCKS + slot * BLOCK_BYTES;
    let Description { seq, epoch, ndim, dtype: (code, bits, lanes), .. } = *description;
    store_u64(words, at + 8, seq);
    store_u64(words, at + 16, uncopy::os::monotonic_nanos());
    store_u64(words, at + 32, u64::from(epoch) | u64::from(ndim) << 32);
    store_u64(words, at + 40, u64::from(code) | u64::from(bits) << 8 | u64::from(lanes) << 16);
    let Description { meta_len, copies, planes, form_number, .. } = *description;
    let counts = u64::from(copies) << 24 | u64::from(planes) << 32;
    let meta = u64::from(meta_len) | counts | u64::from(form_number) << 40;
    store_u64(words, at + 48, meta);
    store_u64(words, at + 56, description.len_bytes);
    for (axis, (len, stride)) in description.dims.iter().enumerate() {
        store_u64(words, at + 64 + axis * 16, *len);
        store_u64(words, at + 72 + axis * 16, stride.cast_unsigned());
    }
    store_u64(words, at, 1 << 36 | 2 << 32);
    store_u64(words, LIVE, latest(seq, slot));
}

/// Stores a number in control memory.
///
/// # Panics
/// When it lies outside.
pub fn store_u64(words: &Words, at: usize, value: u64) {
    words.u64_at(at).expect("inside the control memory").store(value, SeqCst);
}

/// Stores a number in control memory.
///
/// # Panics
/// When it lies outside.
pub fn store_u32(words: &Words, at: usize, value: u32) {
    words.u32_at(at).expect("inside the control memory").store(value, SeqCst);
}

/// Loads a number from control memory.
///
/// # Panics
/// When it lies outside.
#[must_use]
pub fn load_u64(words: &Words, at: usize) -> u64 {
    words.u64_at(at).expect("inside the control memory").load(SeqCst)
}
