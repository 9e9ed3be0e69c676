// SPDX-License-Identifier: MIT OR Apache-2.0
//! The numbers of protocol v1: where each word of the control memory lies and how the socket messages read.
//!
//! `docs/protocol/link-v1.md` is the law; each block here cites its heading. Everything is little endian. Decoding
//! never trusts a length, never panics, and says what it found.

use uncopy_core::ErrorKind;

/// Major version: another one can't be read. (link-v1.md, "Versions")
pub(crate) const VERSION_MAJOR: u16 = 1;
/// Minor version: a newer one only adds.
pub(crate) const VERSION_MINOR: u16 = 0;
/// Feature bits that a reader must know to read a link at all. None is defined in 1.0.
pub(crate) const KNOWN_REQUIRED_FEATURES: u64 = 0;

/// The fewest slots of a link: one to read, one to write.
pub const MIN_SLOTS: usize = 2;
/// The most slots of a link.
pub const MAX_SLOTS: usize = 64;
/// The most consumers of a link: one bit each in a slot's word.
pub const MAX_CONSUMERS: usize = 16;
/// The most bytes of one frame.
pub const MAX_FRAME_BYTES: usize = 1 << 34;
/// Slots start on a page, so that a kernel can protect and a device can register them one by one.
pub(crate) const SLOT_ALIGN_BYTES: usize = 4096;

/// Control memory, static header. (link-v1.md, "Control memory: header")
pub(crate) mod header {
    pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"UNCOPY\x01\n");
    pub(crate) const OFFSET_MAGIC: usize = 0;
    pub(crate) const OFFSET_VERSION_MAJOR: usize = 8;
    pub(crate) const OFFSET_VERSION_MINOR: usize = 10;
    pub(crate) const OFFSET_HEADER_LEN: usize = 12;
    pub(crate) const OFFSET_TOTAL_LEN: usize = 16;
    pub(crate) const OFFSET_REQUIRED: usize = 24;
    pub(crate) const OFFSET_OPTIONAL: usize = 32;
    pub(crate) const OFFSET_LINK_ID: usize = 40;
    pub(crate) const OFFSET_BOOT_ID: usize = 56;
    pub(crate) const OFFSET_PID: usize = 72;
    pub(crate) const OFFSET_SLOTS: usize = 76;
    pub(crate) const OFFSET_START_TICKS: usize = 80;
    pub(crate) const OFFSET_CREATED: usize = 88;
    pub(crate) const OFFSET_BLOCKS: usize = 96;
    pub(crate) const OFFSET_BLOCK_STRIDE: usize = 100;
    pub(crate) const OFFSET_PLACES: usize = 104;
    pub(crate) const OFFSET_PLACE_STRIDE: usize = 108;
    pub(crate) const OFFSET_META: usize = 112;
    pub(crate) const OFFSET_META_STRIDE: usize = 116;
    pub(crate) const OFFSET_NAME: usize = 120;
    pub(crate) const NAME_LEN: usize = 64;
    pub(crate) const OFFSET_AGES: usize = 184;
    pub(crate) const OFFSET_AGES_STRIDE: usize = 188;
    pub(crate) const OFFSET_DEVICE: usize = 192;
    pub(crate) const OFFSET_DEVICE_STRIDE: usize = 196;
    pub(crate) const OFFSET_CRC: usize = 252;
    pub(crate) const LEN: usize = 256;
}

/// Control memory, words that change. (link-v1.md, "Control memory: live words")
pub(crate) mod live {
    pub(crate) const LATEST: usize = 256;
    pub(crate) const SLEEPERS: usize = 384;
    pub(crate) const ARMED: usize = 388;
    pub(crate) const PRODUCER_STATE: usize = 512;
    pub(crate) const EPOCH: usize = 516;
    pub(crate) const DROPPED: usize = 520;
    pub(crate) const SLOT_STRIDE: usize = 528;
    pub(crate) const WHEN_FULL: usize = 536;
    pub(crate) const EVICTED: usize = 544;
    pub(crate) const BLOCKED: usize = 552;
    pub(crate) const MEMORY_KIND: usize = 560;
    pub(crate) const HAS_MIRROR: usize = 564;
    pub(crate) const DEVICE_UUID: usize = 568;
    pub(crate) const WANTS_ROOM: usize = 640;
    pub(crate) const ROOM: usize = 644;
}

/// Values of the producer's state word.
pub(crate) mod producer_state {
    pub(crate) const LIVE: u32 = 1;
    pub(crate) const CLOSED: u32 = 2;
    pub(crate) const SUPERSEDED: u32 = 3;
}

/// Values of the word that says what the producer does when every slot is held.
pub(crate) mod when_full {
    pub(crate) const DROP: u32 = 0;
    pub(crate) const BLOCK: u32 = 1;
}

/// Which frames a consumer wants.
pub(crate) mod read {
    pub(crate) const LATEST: u32 = 0;
    pub(crate) const EVERY: u32 = 1;
}

/// Control memory, the newest frames by number. (link-v1.md, "Control memory: trail")
pub(crate) mod trail {
    pub(crate) const TABLE: usize = 1024;
    /// As many as there can be slots: what is not in it was overwritten.
    pub(crate) const LEN: usize = 64;
}

/// Control memory, one row per consumer. (link-v1.md, "Control memory: places")
pub(crate) mod place {
    pub(crate) const TABLE: usize = 2048;
    pub(crate) const STRIDE: usize = 128;
    pub(crate) const STATE: usize = 0;
    pub(crate) const PID: usize = 4;
    pub(crate) const START_TICKS: usize = 8;
    pub(crate) const READ: usize = 16;
    pub(crate) const RECEIVED: usize = 64;
    pub(crate) const MISSED: usize = 72;
    pub(crate) const CURSOR: usize = 80;
    pub(crate) const FREE: u32 = 0;
    pub(crate) const ATTACHED: u32 = 1;
    /// Its socket hung up but its process is not known to be dead: its holds stay.
    pub(crate) const QUARANTINED: u32 = 2;
    /// It kept slots from the producer for too long: its holds stay, it gets nothing new.
    pub(crate) const EVICTED: u32 = 3;
}

/// Control memory, one block per slot. (link-v1.md, "Control memory: slot blocks")
pub(crate) mod block {
    pub(crate) const TABLE: usize = 4096;
    pub(crate) const STRIDE: usize = 384;
    pub(crate) const WORD: usize = 0;
    pub(crate) const SEQ: usize = 8;
    pub(crate) const PUBLISHED: usize = 16;
    pub(crate) const CAPTURED: usize = 24;
    pub(crate) const EPOCH_NDIM: usize = 32;
    pub(crate) const TYPE: usize = 40;
    pub(crate) const META: usize = 48;
    pub(crate) const LEN_BYTES: usize = 56;
    pub(crate) const DIMS: usize = 64;
    pub(crate) const COPIES: usize = 192;
    pub(crate) const META_STRIDE: usize = 4096;
}

/// Control memory, one row of counts per consumer. (link-v1.md, "Control memory: ages")
pub(crate) mod ages {
    pub(crate) const STRIDE: usize = 512;
}

/// Control memory, one row per slot of words that devices write. (link-v1.md, "Control memory: device words")
pub(crate) mod device {
    pub(crate) const STRIDE: usize = 256;
    /// Written by the producer's stream: how many writes of the slot are done.
    pub(crate) const READY: usize = 0;
    /// The same of its host mirror.
    pub(crate) const MIRRORED: usize = 4;
    /// What these reach when the frame that the slot describes is there.
    pub(crate) const PROMISED: usize = 8;
    /// One per consumer: its last ticket, written by its CPU.
    pub(crate) const WANTED: usize = 64;
    /// One per consumer: its last ticket that is done, written by its stream.
    pub(crate) const DONE: usize = 128;
}

/// Kinds of frame memory. (link-v1.md, "Frame memory")
pub(crate) mod memory_kind {
    /// A memfd, which only its producer can write.
    pub(crate) const HOST: u32 = 0;
    /// Memory of an NVIDIA GPU, as the CUDA driver shares it by a file descriptor.
    pub(crate) const CUDA: u32 = 1;
}

/// Bytes of the control memory of a link with `slots` slots.
pub(crate) fn control_len_bytes(slots: usize) -> usize {
    device_offset(slots) + device_len_bytes(slots)
}

/// Where the device words of slot 0 start; whole pages, so that a driver can pin them.
pub(crate) fn device_offset(slots: usize) -> usize {
    ages_offset(slots) + MAX_CONSUMERS * ages::STRIDE
}

/// Bytes of all device words, in whole pages.
pub(crate) fn device_len_bytes(slots: usize) -> usize {
    (slots * device::STRIDE).next_multiple_of(4096)
}

/// Where the ages of place 0 start.
pub(crate) fn ages_offset(slots: usize) -> usize {
    meta_offset(slots) + slots * block::META_STRIDE
}

/// Whether epoch `one` came after `other`: numbers wrap. (link-v1.md, "Frame memory")
pub(crate) fn is_newer_epoch(one: u32, other: u32) -> bool {
    one.wrapping_sub(other).cast_signed() > 0
}

/// Where the metadata of slot 0 starts.
pub(crate) fn meta_offset(slots: usize) -> usize {
    (block::TABLE + slots * block::STRIDE).next_multiple_of(4096)
}

/// The frame memory of an epoch, as messages describe it; its descriptors travel beside it. (link-v1.md, "Messages")
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct MemoryInfo {
    /// One of [`memory_kind`].
    pub(crate) kind: u32,
    pub(crate) slot_stride: u64,
    pub(crate) len: u64,
    /// Which device has it; zeros for host memory.
    pub(crate) uuid: [u8; 16],
    /// Bytes of the mirror in host memory that goes with it, 0 for none.
    pub(crate) mirror_len: u64,
}

/// Messages on the socket. (link-v1.md, "Messages")
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Message {
    /// Client to producer, first: who I am and what I want.
    Hello { role: Role, pid: i32, start_ticks: u64, known_features: u64, read: u32 },
    /// Producer to client, with the control memory and, for a consumer, the slots of the current epoch.
    Welcome { place: u32, control_len: u64, epoch: u32, slots: u32, memory: MemoryInfo },
    /// Producer to client: why it may not join. The connection ends.
    Refuse { kind_code: i32, detail: String },
    /// Producer to consumer, with the slots of a new epoch.
    Epoch { epoch: u32, memory: MemoryInfo },
    /// Consumer to producer: the epoch has arrived; the next may be sent.
    EpochTaken { epoch: u32 },
    /// Either way: the sender leaves in good order and holds nothing of the other's any more.
    Bye { reason: u32 },
    /// Client to producer: give the name up to me.
    TakeOver { pid: i32 },
    /// Consumer to producer, with an eventfd: what to ring when frames are published while its bit in *armed* is set.
    Watch,
    /// Of a newer minor version, which may add kinds: to be ignored. Never sent.
    Newer { kind: u16 },
}

/// What a client wants to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// Takes a place, leases frames.
    Consumer,
    /// Takes no place and no lease: `list`, `info`.
    Observer,
}

/// Reasons of [`Message::Bye`].
pub(crate) const BYE_CLOSED: u32 = 1;
pub(crate) const BYE_SUPERSEDED: u32 = 2;

const MESSAGE_MAGIC: u32 = u32::from_le_bytes(*b"UNCP");
const MESSAGE_HEADER_LEN: usize = 16;
/// No message of protocol v1 is longer.
pub(crate) const MAX_MESSAGE_BYTES: usize = 512;
const MAX_DETAIL_BYTES: usize = 400;

const KIND_HELLO: u16 = 1;
const KIND_WELCOME: u16 = 2;
const KIND_REFUSE: u16 = 3;
const KIND_EPOCH: u16 = 4;
const KIND_EPOCH_TAKEN: u16 = 5;
const KIND_BYE: u16 = 6;
const KIND_TAKE_OVER: u16 = 7;
const KIND_WATCH: u16 = 8;

/// Why bytes from a socket are no message.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum MessageError {
    #[error("a message of {got} bytes is shorter than the {need} that its kind has")]
    Short { got: usize, need: usize },
    #[error("a message starts with {got:#010x}, not with {MESSAGE_MAGIC:#010x}")]
    Magic { got: u32 },
    #[error("a message says it has {said} bytes and has {got}")]
    Length { said: u32, got: usize },
    #[error("protocol {major}.{minor}")]
    Version { major: u8, minor: u8 },
    #[error("message kind {0} is unknown")]
    Kind(u16),
    #[error("role {0} is unknown")]
    Role(u32),
}

impl Message {
    /// A refusal in the words of an error.
    pub(crate) fn refusal(kind: ErrorKind, detail: &str) -> Self {
        let mut end = detail.len().min(MAX_DETAIL_BYTES);
        while !detail.is_char_boundary(end) {
            end -= 1;
        }
        Self::Refuse { kind_code: kind.code(), detail: detail.get(..end).unwrap_or_default().to_owned() }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Writer(Vec::with_capacity(MAX_MESSAGE_BYTES));
        let kind = match self {
            Self::Hello { role, pid, start_ticks, known_features, read } => {
                body.u32(match role {
                    Role::Consumer => 1,
                    Role::Observer => 2,
                });
                body.u32(pid.cast_unsigned());
                body.u64(*start_ticks);
                body.u64(*known_features);
                body.u32(*read);
                body.u32(0);
                KIND_HELLO
            }
            Self::Welcome { place, control_len, epoch, slots, memory } => {
                body.u32(*place);
                body.u32(*slots);
                body.u64(*control_len);
                body.memory(*epoch, memory);
                KIND_WELCOME
            }
            Self::Refuse { kind_code, detail } => {
                body.u32(kind_code.cast_unsigned());
                body.u32(detail.len() as u32);
                body.0.extend_from_slice(detail.as_bytes());
                KIND_REFUSE
            }
            Self::Epoch { epoch, memory } => {
                body.memory(*epoch, memory);
                KIND_EPOCH
            }
            Self::EpochTaken { epoch } => {
                body.u32(*epoch);
                KIND_EPOCH_TAKEN
            }
            Self::Bye { reason } => {
                body.u32(*reason);
                KIND_BYE
            }
            Self::TakeOver { pid } => {
                body.u32(pid.cast_unsigned());
                KIND_TAKE_OVER
            }
            Self::Watch => KIND_WATCH,
            Self::Newer { kind } => *kind,
        };
        let mut out = Writer(Vec::with_capacity(MESSAGE_HEADER_LEN + body.0.len()));
        out.u32(MESSAGE_MAGIC);
        out.0.extend_from_slice(&kind.to_le_bytes());
        out.0.push(VERSION_MAJOR as u8);
        out.0.push(VERSION_MINOR as u8);
        out.u32((MESSAGE_HEADER_LEN + body.0.len()) as u32);
        out.u32(0);
        out.0.extend_from_slice(&body.0);
        out.0
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MessageError> {
        let mut r = Reader { bytes, at: 0, need: MESSAGE_HEADER_LEN };
        let magic = r.u32()?;
        if magic != MESSAGE_MAGIC {
            return Err(MessageError::Magic { got: magic });
        }
        let kind = u16::from_le_bytes(r.take()?);
        let [major] = r.take::<1>()?;
        let [minor] = r.take::<1>()?;
        if u16::from(major) != VERSION_MAJOR {
            return Err(MessageError::Version { major, minor });
        }
        let said = r.u32()?;
        let _reserved = r.u32()?;
        if said as usize != bytes.len() {
            return Err(MessageError::Length { said, got: bytes.len() });
        }
        r.need = bytes.len() + 1;
        match Self::decode_body(kind, &mut r) {
            Err(MessageError::Kind(kind)) if u16::from(minor) > VERSION_MINOR => Ok(Self::Newer { kind }),
            decoded => decoded,
        }
    }

    fn decode_body(kind: u16, r: &mut Reader<'_>) -> Result<Self, MessageError> {
        Ok(match kind {
            KIND_HELLO => {
                let role = match r.u32()? {
                    1 => Role::Consumer,
                    2 => Role::Observer,
                    other => return Err(MessageError::Role(other)),
                };
                let pid = r.u32()?.cast_signed();
                let (start_ticks, known_features, read) = (r.u64()?, r.u64()?, r.u32()?);
                let _reserved = r.u32()?;
                Self::Hello { role, pid, start_ticks, known_features, read }
            }
            KIND_WELCOME => {
                let place = r.u32()?;
                let slots = r.u32()?;
                let control_len = r.u64()?;
                let (epoch, memory) = r.memory()?;
                Self::Welcome { place, control_len, epoch, slots, memory }
            }
            KIND_REFUSE => {
                let kind_code = r.u32()?.cast_signed();
                let len = (r.u32()? as usize).min(MAX_DETAIL_BYTES);
                let detail = r.bytes.get(r.at..).unwrap_or_default();
                let detail = detail.get(..len.min(detail.len())).unwrap_or_default();
                Self::Refuse { kind_code, detail: String::from_utf8_lossy(detail).into_owned() }
            }
            KIND_EPOCH => {
                let (epoch, memory) = r.memory()?;
                Self::Epoch { epoch, memory }
            }
            KIND_EPOCH_TAKEN => Self::EpochTaken { epoch: r.u32()? },
            KIND_BYE => Self::Bye { reason: r.u32()? },
            KIND_TAKE_OVER => Self::TakeOver { pid: r.u32()?.cast_signed() },
            KIND_WATCH => Self::Watch,
            other => return Err(MessageError::Kind(other)),
        })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }
    fn memory(&mut self, epoch: u32, memory: &MemoryInfo) {
        self.u32(epoch);
        self.u32(memory.kind);
        self.u64(memory.slot_stride);
        self.u64(memory.len);
        self.u64(memory.mirror_len);
        self.0.extend_from_slice(&memory.uuid);
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    need: usize,
}

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], MessageError> {
        let short = MessageError::Short { got: self.bytes.len(), need: self.need };
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<N>()).ok_or(short)?;
        self.at += N;
        Ok(*bytes)
    }
    fn u32(&mut self) -> Result<u32, MessageError> {
        Ok(u32::from_le_bytes(self.take()?))
    }
    fn u64(&mut self) -> Result<u64, MessageError> {
        Ok(u64::from_le_bytes(self.take()?))
    }
    /// An epoch and its memory.
    fn memory(&mut self) -> Result<(u32, MemoryInfo), MessageError> {
        let (epoch, kind) = (self.u32()?, self.u32()?);
        let (slot_stride, len, mirror_len) = (self.u64()?, self.u64()?, self.u64()?);
        Ok((epoch, MemoryInfo { kind, slot_stride, len, uuid: self.take()?, mirror_len }))
    }
}

/// CRC-32 (IEEE 802.3, reflected) of `bytes`: guards the static header. (link-v1.md, "Checksum")
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let mask = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_memory() -> impl Strategy<Value = MemoryInfo> {
        (any::<u32>(), any::<u64>(), any::<u64>(), any::<[u8; 16]>(), any::<u64>()).prop_map(
            |(kind, slot_stride, len, uuid, mirror_len)| MemoryInfo {
                kind,
                slot_stride,
                len,
                uuid,
                mirror_len,
            },
        )
    }

    fn any_message() -> impl Strategy<Value = Message> {
        prop_oneof![
            (any::<bool>(), any::<i32>(), any::<u64>(), any::<u64>(), any::<u32>()).prop_map(
                |(c, pid, t, f, read)| {
                    Message::Hello {
                        role: if c { Role::Consumer } else { Role::Observer },
                        pid,
                        start_ticks: t,
                        known_features: f,
                        read,
                    }
                }
            ),
            (any::<u32>(), any::<u64>(), any::<u32>(), any::<u32>(), any_memory()).prop_map(
                |(place, control_len, epoch, slots, memory)| Message::Welcome {
                    place,
                    control_len,
                    epoch,
                    slots,
                    memory
                }
            ),
            (any::<i32>(), "\\PC{0,60}")
                .prop_map(|(kind_code, detail)| Message::Refuse { kind_code, detail }),
            (any::<u32>(), any_memory()).prop_map(|(epoch, memory)| Message::Epoch { epoch, memory }),
            any::<u32>().prop_map(|epoch| Message::EpochTaken { epoch }),
            any::<u32>().prop_map(|reason| Message::Bye { reason }),
            any::<i32>().prop_map(|pid| Message::TakeOver { pid }),
            Just(Message::Watch),
        ]
    }

    proptest! {
        #[test]
        fn every_message_reads_back_as_it_was_written(message in any_message()) {
            prop_assert_eq!(Message::decode(&message.encode()), Ok(message));
        }

        #[test]
        fn no_bytes_make_decoding_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Message::decode(&bytes);
        }

        #[test]
        fn f20_a_damaged_message_is_refused_or_still_whole(message in any_message(), at in 0usize..64, flip in 1u8..) {
            let mut bytes = message.encode();
            let at = at % bytes.len();
            bytes[at] ^= flip;
            if at < 12 && at != 7 && at != 4 && at != 5 {
                prop_assert!(Message::decode(&bytes).is_err(), "byte {} of the header may not change", at);
            } else {
                let _ = Message::decode(&bytes);
            }
        }

        #[test]
        fn a_message_cut_short_is_refused(message in any_message(), keep in 0usize..64) {
            let bytes = message.encode();
            let keep = keep % bytes.len();
            prop_assert!(Message::decode(&bytes[..keep]).is_err());
        }
    }

    #[test]
    fn the_checksum_is_the_common_crc32() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn f20_another_major_version_is_named() {
        let mut bytes = Message::Bye { reason: BYE_CLOSED }.encode();
        bytes[6] = 2;
        assert_eq!(Message::decode(&bytes), Err(MessageError::Version { major: 2, minor: 0 }));
    }

    #[test]
    fn a_newer_minor_version_is_read() {
        let mut bytes = Message::Bye { reason: BYE_CLOSED }.encode();
        bytes[7] = 9;
        assert_eq!(Message::decode(&bytes), Ok(Message::Bye { reason: BYE_CLOSED }));
    }

    #[test]
    fn f20_an_unknown_kind_is_an_error_unless_a_newer_minor_version_may_have_it() {
        let mut bytes = Message::Bye { reason: BYE_CLOSED }.encode();
        bytes[4] = 99;
        assert_eq!(Message::decode(&bytes), Err(MessageError::Kind(99)));
        bytes[7] = VERSION_MINOR as u8 + 1;
        assert_eq!(Message::decode(&bytes), Ok(Message::Newer { kind: 99 }));
    }

    #[test]
    fn a_long_refusal_is_cut_at_a_character() {
        let text = "ä".repeat(400);
        let Message::Refuse { detail, .. } = Message::refusal(ErrorKind::PermissionDenied, &text) else {
            panic!("a refusal is a refusal")
        };
        assert!(detail.len() <= MAX_DETAIL_BYTES && text.starts_with(&detail) && !detail.is_empty());
    }
}
