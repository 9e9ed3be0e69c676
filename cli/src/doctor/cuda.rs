// SPDX-License-Identifier: MIT OR Apache-2.0
//! NVIDIA GPUs: the driver, each card, and whether frames on it can cross processes. What the driver promises is tried:
//! a little memory is made and shared, and a stream writes a word that the processor reads.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use serde::Serialize;
use uncopy::cuda::{CudaDevice, CudaError, DeviceReport, Driver, Mps, NoCuda, Reach, list_reaches};
use uncopy::os::SharedMemory;
use uncopy::{Accelerator, Device, TimelinePoint};

use super::{Finding, Heading};
use crate::units;

const TOPIC: &str = "cuda";
/// A page: what words of a stream need at least.
const WORDS_LEN_BYTES: usize = 4096;
/// What a stream writes there.
const WRITTEN: u32 = 0x5a0c_231b;

/// Where the kernel module tells its release. Not on WSL2, whose driver is Windows'.
const MODULE: &str = "/proc/driver/nvidia/version";

/// The release in what the kernel module says of itself: the first word that is numbers with dots.
fn release_in(text: &str) -> Option<String> {
    let is_release = |word: &&str| {
        word.contains('.')
            && word.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    text.split_whitespace().find(is_release).map(str::to_owned)
}

/// What `--json` says of GPUs.
#[derive(Serialize, Default)]
pub(super) struct Gpus {
    /// What the driver supports, such as `13.0`; `null` without a driver.
    driver: Option<String>,
    /// The release of its kernel module, such as `580.159.04`; `null` where the system does not tell.
    release: Option<String>,
    /// Why there is none that can be used.
    absent: Option<String>,
    cards: Vec<Card>,
    /// Each ordered pair of cards.
    reaches: Vec<Reaching>,
}

/// Whether streams of one card use the memory of another where it lies.
#[derive(Serialize)]
struct Reaching {
    by: String,
    of: String,
    direct: bool,
}

/// What the driver says of a card, and what was tried on it.
#[derive(Serialize)]
struct Card {
    device: String,
    uuid: String,
    name: String,
    pci_bus_id: Option<String>,
    compute_capability: [i32; 2],
    memory_bytes: usize,
    virtual_memory: bool,
    memory_descriptors: bool,
    stream_memory_operations: bool,
    host_registration: bool,
    legacy_ipc_events: bool,
    /// The driver gave a legacy handle of memory: tried.
    legacy_ipc_memory: bool,
    /// `on`, `off`, `likely_on` or `likely_off`.
    mps: &'static str,
    mig: bool,
    wsl2: bool,
    /// Frames on it can cross processes: tried.
    carries_links: bool,
}

pub(super) fn look() -> (Vec<Finding>, Gpus) {
    let driver = match Driver::get() {
        Ok(driver) => driver,
        Err(reason) => {
            let gpus = Gpus { absent: Some(reason.to_string()), ..Gpus::default() };
            return (vec![no_driver(&reason, is_card_in_machine())], gpus);
        }
    };
    let version = driver.version();
    let release = std::fs::read_to_string(MODULE).ok().as_deref().and_then(release_in);
    let known = release.as_ref().map(|release| format!(" {release}")).unwrap_or_default();
    let says = format!("the driver{known} supports CUDA {version}");
    let mut gpus = Gpus { driver: Some(version.to_string()), release, ..Gpus::default() };
    let mut findings = vec![Finding::ok(TOPIC, Heading::Driver, says)];
    let count = match driver.device_count() {
        Ok(count) => count,
        Err(error) => {
            findings.push(unreadable(&error));
            return (findings, gpus);
        }
    };
    for ordinal in 0..count {
        match DeviceReport::of(ordinal) {
            Ok(report) => {
                let (trial, legacy) = (tried(&report), legacy_tried(&report));
                gpus.cards.push(Card::of(&report, trial.is_ok(), legacy.is_ok()));
                findings.extend(findings_of(&report, trial, legacy));
            }
            Err(error) => findings.push(unreadable(&error)),
        }
    }
    match list_reaches() {
        Ok(reaches) => {
            findings.extend(pairs(&reaches));
            gpus.reaches = reaches.iter().map(Reaching::of).collect();
        }
        Err(error) => findings.push(unreadable(&error)),
    }
    (findings, gpus)
}

/// One finding for each pair of cards.
fn pairs(reaches: &[Reach]) -> impl Iterator<Item = Finding> {
    let back = |there: &Reach| reaches.iter().find(|back| (back.by, back.of) == (there.of, there.by));
    reaches.iter().filter(|there| there.by.id < there.of.id).map(move |there| {
        let (one, other) = (there.by, there.of);
        let says = match (there.is_direct, back(there).is_some_and(|back| back.is_direct)) {
            (true, true) => format!(
                "{one} and {other} reach each other: frames of one are read on the other where they lie, with no copy"
            ),
            (false, false) => format!(
                "{one} and {other} do not reach each other: a frame of one that is received on the other is copied \
                 once, through the host"
            ),
            (true, false) => half(one, other),
            (false, true) => half(other, one),
        };
        Finding::ok(TOPIC, Heading::Sharing, says)
    })
}

fn half(by: Device, of: Device) -> String {
    format!(
        "{by} reaches the memory of {of}, and not the other way round: frames of {by} that are received on {of} are \
         copied once, through the host"
    )
}

/// Without a card there is nothing to miss.
fn no_driver(reason: &NoCuda, is_card_there: bool) -> Finding {
    let says = format!("frames can't lie on a GPU: {reason}");
    match reason {
        NoCuda::NoLibrary { .. } if !is_card_there => {
            Finding::ok(TOPIC, Heading::Driver, format!("{says} if there is a card"))
        }
        NoCuda::NoLibrary { .. } => Finding::warn(
            TOPIC,
            Heading::Driver,
            format!("{says}; there is an NVIDIA card in this machine"),
            "install NVIDIA's driver; in a container, start it with its GPUs (docker run --gpus all)",
        ),
        _ => Finding::warn(TOPIC, Heading::Driver, says, "nvidia-smi, which says whether the driver works"),
    }
}

fn unreadable(error: &CudaError) -> Finding {
    let says = format!("the driver can't be asked about its cards: {error}");
    Finding::warn(TOPIC, Heading::Driver, says, "nvidia-smi, which says whether the driver works")
}

/// Whether the machine has a card of NVIDIA's, driver or not: vendor 10de on the PCI bus.
fn is_card_in_machine() -> bool {
    let devices = std::fs::read_dir("/sys/bus/pci/devices").into_iter().flatten().flatten();
    let of = |device: &std::fs::DirEntry, file| {
        std::fs::read_to_string(device.path().join(file)).unwrap_or_default()
    };
    // Class 03: display controllers. NVIDIA makes other things, too.
    devices
        .into_iter()
        .any(|device| of(&device, "vendor").trim() == "0x10de" && of(&device, "class").starts_with("0x03"))
}

/// Makes memory, shares it, and has a stream write a word, as a link does.
fn tried(report: &DeviceReport) -> Result<(), String> {
    let missing = lacks(report);
    if !missing.is_empty() {
        return Err(format!("its driver has no {}", missing.join(", no ")));
    }
    let failed = |error: std::io::Error| error.to_string();
    let device = CudaDevice::with_ordinal(report.device.id).map_err(|error| error.to_string())?;
    let memory = device.allocate(1).map_err(failed)?;
    memory.share().map_err(failed)?;
    let words = SharedMemory::create("doctor", WORDS_LEN_BYTES).map_err(|error| error.to_string())?;
    let words = Arc::new(words);
    let pages = words.shared_pages(0, WORDS_LEN_BYTES).map_err(|error| error.to_string())?;
    let (timeline, stream) = (device.timeline(pages).map_err(failed)?, device.stream().map_err(failed)?);
    timeline.write(&[stream], TimelinePoint { offset_bytes: 0, value: WRITTEN }).map_err(failed)?;
    device.synchronize(stream).map_err(|error| error.to_string())?;
    let word = words.words().u32_at(0).map(|word| word.load(Acquire));
    match word {
        Some(WRITTEN) => Ok(()),
        other => Err(format!("a word that its stream wrote reads {other:x?}, not {WRITTEN:x}")),
    }
}

/// Asks for a legacy handle of memory, as programs do that share memory by `cuIpcGetMemHandle`; the driver's answer.
fn legacy_tried(report: &DeviceReport) -> Result<(), String> {
    let device = CudaDevice::with_ordinal(report.device.id).map_err(|error| error.to_string())?;
    device.context().try_legacy_memory_handle().map_err(|error| error.to_string())
}

/// What frames on it would need and the driver says that it has not.
fn lacks(report: &DeviceReport) -> Vec<&'static str> {
    let needed = [
        (report.has_virtual_memory, "memory apart from addresses (VMM)"),
        (report.has_memory_descriptors, "memory that is shared by descriptor"),
        (report.has_stream_memory_operations, "stream memory operations"),
        (report.has_host_registration, "registration of host memory"),
    ];
    needed.into_iter().filter(|(has, _)| !has).map(|(_, what)| what).collect()
}

fn findings_of(report: &DeviceReport, trial: Result<(), String>, legacy: Result<(), String>) -> Vec<Finding> {
    let device = report.device;
    let (major, minor) = report.compute_capability;
    let memory = units::size(report.total_memory_bytes as u64);
    let what = format!(
        "{device} is {} ({}), {memory}, compute capability {major}.{minor}",
        report.name, report.uuid
    );
    let mut findings = vec![Finding::ok(TOPIC, Heading::Driver, what)];
    if report.is_mig {
        let says = format!("{device} is a part of a divided card (MIG): both sides must be given this part");
        findings.push(Finding::ok(TOPIC, Heading::Divided, says));
    }
    match trial {
        Ok(()) => {
            findings.push(Finding::ok(
                TOPIC,
                Heading::Sharing,
                format!(
                    "frames on {device} reach other processes: memory was shared by descriptor (VMM), and a stream \
                     wrote a shared word"
                ),
            ));
            findings.push(mps(report));
        }
        Err(why) => findings.push(no_links(report, &why)),
    }
    findings.push(legacy_finding(report, legacy));
    findings
}

/// Nothing of ours is wrong without legacy IPC, so that it is never a warning.
fn legacy_finding(report: &DeviceReport, tried: Result<(), String>) -> Finding {
    let device = report.device;
    let memory = match tried {
        Ok(()) => {
            format!("legacy IPC works on {device}: the driver gave a handle of memory (cuIpcGetMemHandle)")
        }
        Err(why) => format!("legacy IPC is refused on {device}: {why}"),
    };
    let events =
        if report.has_legacy_ipc_events { "events can be shared too" } else { "events can't be shared" };
    Finding::ok(TOPIC, Heading::Sharing, format!("{memory}; {events}; links need neither"))
}

fn no_links(report: &DeviceReport, why: &str) -> Finding {
    let says = format!("frames on {} can't reach other processes: {why}", report.device);
    if report.is_wsl2 {
        let says = format!("{says} (this is WSL2, where memory of a GPU is not shared by descriptor)");
        let advice = "copy frames to the host before they are sent, or use Linux without WSL2";
        return Finding::warn(TOPIC, Heading::Wsl2, says, advice);
    }
    let advice = "a newer driver; until then copy frames to the host before they are sent";
    Finding::warn(TOPIC, Heading::Sharing, says, advice)
}

fn mps(report: &DeviceReport) -> Finding {
    let device = report.device;
    let is_certain = if matches!(report.mps, Mps::LikelyOn | Mps::LikelyOff) { "seems to be" } else { "is" };
    match report.mps {
        Mps::On | Mps::LikelyOn => Finding::ok(
            TOPIC,
            Heading::Mps,
            format!("MPS {is_certain} on for {device}: kernels of several processes run side by side"),
        ),
        _ => Finding::warn(
            TOPIC,
            Heading::Mps,
            format!(
                "MPS {is_certain} off for {device}: a kernel of the process that receives waits for the card to \
                 change over, which makes a frame three to twelve times as late as with MPS"
            ),
            "nvidia-cuda-mps-control -d, before both sides start; frames that are only copied don't need it",
        ),
    }
}

impl Reaching {
    fn of(reach: &Reach) -> Self {
        Self { by: reach.by.to_string(), of: reach.of.to_string(), direct: reach.is_direct }
    }
}

impl Card {
    fn of(report: &DeviceReport, carries_links: bool, legacy_ipc_memory: bool) -> Self {
        let (major, minor) = report.compute_capability;
        Self {
            device: report.device.to_string(),
            uuid: report.uuid.to_string(),
            name: report.name.clone(),
            pci_bus_id: report.pci_bus_id.clone(),
            compute_capability: [major, minor],
            memory_bytes: report.total_memory_bytes,
            virtual_memory: report.has_virtual_memory,
            memory_descriptors: report.has_memory_descriptors,
            stream_memory_operations: report.has_stream_memory_operations,
            host_registration: report.has_host_registration,
            legacy_ipc_events: report.has_legacy_ipc_events,
            legacy_ipc_memory,
            mps: match report.mps {
                Mps::On => "on",
                Mps::Off => "off",
                Mps::LikelyOn => "likely_on",
                Mps::LikelyOff => "likely_off",
            },
            mig: report.is_mig,
            wsl2: report.is_wsl2,
            carries_links,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;
    use uncopy::DeviceUuid;
    use uncopy::cuda::DriverVersion;

    fn report() -> DeviceReport {
        DeviceReport {
            device: Device::cuda(1),
            uuid: DeviceUuid([0x5a; 16]),
            name: "NVIDIA H200".to_owned(),
            pci_bus_id: None,
            driver_version: DriverVersion(13000),
            compute_capability: (9, 0),
            total_memory_bytes: 150_000_000_000,
            has_virtual_memory: true,
            has_memory_descriptors: true,
            has_stream_memory_operations: true,
            has_host_registration: true,
            has_memory_pools: true,
            has_legacy_ipc_events: true,
            is_integrated: false,
            is_mig: false,
            is_wsl2: false,
            mps: Mps::On,
        }
    }

    fn said(report: &DeviceReport, trial: Result<(), String>) -> (Vec<Heading>, String) {
        let found = findings_of(report, trial, Ok(()));
        let doubtful = found.iter().filter(|finding| finding.level != Level::Ok);
        let text = found.iter().map(|finding| finding.says.as_str()).collect::<Vec<_>>().join("\n");
        (doubtful.map(|finding| finding.see).collect(), text)
    }

    #[test]
    fn a_card_that_works_is_named_and_nothing_is_wrong() {
        let (doubtful, text) = said(&report(), Ok(()));
        assert_eq!(doubtful, []);
        for words in ["cuda:1 is NVIDIA H200 (GPU-5a5a5a5a-", "150 GB", "capability 9.0", "MPS is on"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn mps_that_is_off_is_worth_a_warning_that_says_what_it_would_gain() {
        for (mps, words) in [(Mps::Off, "MPS is off"), (Mps::LikelyOff, "MPS seems to be off")] {
            let (doubtful, text) = said(&DeviceReport { mps, ..report() }, Ok(()));
            assert_eq!(doubtful, [Heading::Mps]);
            assert!(text.contains(words) && text.contains("three to twelve times"), "{text}");
        }
        let (doubtful, text) = said(&DeviceReport { mps: Mps::LikelyOn, ..report() }, Ok(()));
        assert!(doubtful.is_empty() && text.contains("MPS seems to be on"), "{text}");
    }

    #[test]
    fn everything_that_a_driver_lacks_is_named() {
        let poor =
            DeviceReport { has_virtual_memory: false, has_stream_memory_operations: false, ..report() };
        let why = tried(&poor).unwrap_err();
        let (doubtful, text) = said(&poor, Err(why));
        assert_eq!(doubtful, [Heading::Sharing]);
        assert!(text.contains("(VMM)") && text.contains("stream memory operations"), "{text}");
    }

    #[test]
    fn the_release_is_found_in_what_either_kind_of_kernel_module_says() {
        let texts = [
            "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Tue Oct  7 17:41:02 UTC 2025\nGCC version: gcc 13.3.0",
            "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build",
        ];
        assert_eq!(texts.map(release_in), [Some("580.159.04".to_owned()), Some("580.159.04".to_owned())]);
        assert_eq!(release_in("no module is loaded. v1.x 1..2"), None);
    }

    #[test]
    fn a_refusal_on_wsl2_leads_to_what_is_known_of_wsl2() {
        let wsl2 = DeviceReport { is_wsl2: true, ..report() };
        assert_eq!(said(&wsl2, Err("refused".to_owned())).0, [Heading::Wsl2]);
    }

    #[test]
    fn a_part_of_a_divided_card_is_known_as_one() {
        let (doubtful, text) = said(&DeviceReport { is_mig: true, ..report() }, Ok(()));
        assert!(doubtful.is_empty() && text.contains("MIG"), "{text}");
    }

    #[test]
    fn legacy_ipc_works_or_is_refused_in_the_drivers_words_and_is_no_reason_to_worry() {
        let works = legacy_finding(&report(), Ok(()));
        assert!(
            works.says.contains("legacy IPC works on cuda:1")
                && works.says.contains("events can be shared too")
        );
        let poor = DeviceReport { has_legacy_ipc_events: false, ..report() };
        let why = "cuIpcGetMemHandle failed: CUDA_ERROR_NOT_SUPPORTED (801)".to_owned();
        let refused = legacy_finding(&poor, Err(why.clone()));
        assert!(
            refused.says.contains(&format!("legacy IPC is refused on cuda:1: {why}; events can't be shared"))
        );
        assert_eq!([works.level, refused.level], [Level::Ok; 2]);
    }

    #[test]
    fn each_pair_of_cards_is_told_once_with_what_it_means_for_frames() {
        let [a, b, c] = [0, 1, 2].map(Device::cuda);
        let reach = |by, of, is_direct| Reach { by, of, is_direct };
        let known = [
            reach(a, b, true),
            reach(a, c, false),
            reach(b, a, true),
            reach(b, c, false),
            reach(c, a, false),
            reach(c, b, true),
        ];
        let told: Vec<String> = pairs(&known).map(|finding| finding.says).collect();
        let words = [
            "cuda:0 and cuda:1 reach each other",
            "cuda:0 and cuda:2 do not",
            "cuda:2 reaches the memory of cuda:1, and not",
        ];
        assert_eq!(told.len(), words.len(), "{told:?}");
        assert!(told.iter().zip(words).all(|(told, words)| told.starts_with(words)), "{told:?}");
    }

    #[test]
    fn a_missing_driver_matters_where_there_is_a_card() {
        let reason = NoCuda::NoLibrary { tried: "libcuda.so.1", reason: "no such file".to_owned() };
        assert_eq!(no_driver(&reason, false).level, Level::Ok);
        let warned = no_driver(&reason, true);
        assert_eq!(warned.level, Level::Warn);
        assert!(warned.advice.unwrap().contains("--gpus"));
        assert_eq!(no_driver(&NoCuda::NoDevice, false).level, Level::Warn);
    }
}
