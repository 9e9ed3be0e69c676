// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames on a GPU, as the command sends, receives and shows them. On the stand-in driver (`cargo xtask test standin`)
//! or on a card; without either these tests are skipped, with a word.

use std::process::Command;

use serde_json::{Value, json};
use uncopy::cuda::list_devices;

use crate::place::{Done, Place, Running};

/// The UUID of the first device; without one the test is skipped.
fn card() -> Option<String> {
    match list_devices() {
        Ok(devices) if !devices.is_empty() => Some(devices[0].uuid.to_string()),
        _ if std::env::var_os("UNCOPY_TEST_NEEDS_CUDA").is_some() => panic!("there is no CUDA device"),
        other => {
            println!("SKIP no CUDA device: {:?}", other.err().map(|error| error.to_string()));
            None
        }
    }
}

/// The same, for what the stand-in alone can be made to do.
fn standin() -> Option<String> {
    if std::env::var_os("UNCOPY_STANDIN").is_none() {
        println!("SKIP the driver is not the stand-in");
        return None;
    }
    card()
}

/// A link with three frames of the test picture on a GPU, or on the host.
fn sender(place: &Place, name: &str, more: &[&str]) -> Running {
    let args = ["send", name, "--pattern", "--size", "65x49", "--frames", "3", "--fast", "--hold", "--crc"];
    let mut sender = place.start(&[&args[..], more].concat());
    sender.says("stays open");
    sender
}

const ON_GPU: &[&str] = &["--device", "cuda"];
const MIRRORED: &[&str] = &["--device", "cuda:0", "--mirror"];

fn with(mut command: Command, name: &str, value: &str) -> Done {
    command.env(name, value);
    Done::of(command)
}

#[test]
fn a_frame_on_a_gpu_is_the_same_picture_as_one_in_host_memory() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let _senders = [sender(&place, "host", &[]), sender(&place, "gpu", ON_GPU)];
    for name in ["host", "gpu"] {
        place.run(&["recv", name, "--png", &format!("{name}.png")]).ended_with(0);
    }
    let [host, gpu] = ["host.png", "gpu.png"].map(|file| std::fs::read(place.file(file)).unwrap());
    assert_eq!(gpu, host);
    let [host, gpu] =
        ["host", "gpu"].map(|name| place.run(&["recv", name, "--raw", "--frames", "1"]).ended_with(0).out);
    assert_eq!((gpu.len(), &gpu), (65 * 49 * 4, &host));
}

#[test]
fn copies_to_and_from_a_gpu_are_named() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let _sender = sender(&place, "camera", ON_GPU);
    let text = place.run(&["recv", "camera", "--png", "a.png"]).ended_with(0).text();
    for words in
        ["on cuda:0", "1 frame (13 kB) from cuda:0 to cpu, to look at them here", "1 checked, 0 torn"]
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    let data = place.run(&["recv", "camera", "--frames", "1", "--json"]).ended_with(0).json();
    assert_eq!((&data["device"], &data["torn"], &data["checked"]), (&json!("cuda:0"), &json!(0), &json!(1)));
    let [sent, own] = [&data["copies"], &data["own_copies"]].map(|copies| {
        assert_eq!(copies.as_array().unwrap().len(), 1, "{data}");
        let copy = &copies[0];
        [&copy["reason"], &copy["from"], &copy["to"], &copy["bytes"]].map(Value::clone)
    });
    assert_eq!(sent, [json!("send"), json!("cpu"), json!("cuda:0"), json!(65 * 49 * 4)]);
    assert_eq!(own, [json!("device"), json!("cuda:0"), json!("cpu"), json!(65 * 49 * 4)]);
}

#[test]
fn a_mirror_is_received_without_a_copy_of_ones_own() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let _sender = sender(&place, "camera", MIRRORED);
    let args = ["recv", "camera", "--on", "host", "--frames", "1", "--json"];
    let data = place.run(&args).ended_with(0).json();
    assert_eq!((&data["device"], &data["own_copies"]), (&json!("cpu"), &json!([])));
    assert_eq!((&data["torn"], &data["checked"]), (&json!(0), &json!(1)));
    assert_eq!(data["copies"][1]["reason"], "mirror");
    // Nothing of a driver is needed for it.
    let broken = place.file("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("libcuda.so.1"), "").unwrap();
    let done = with(place.command(&args), "LD_LIBRARY_PATH", broken.to_str().unwrap());
    assert_eq!(done.ended_with(0).json()["torn"], 0);
}

#[test]
fn without_a_driver_and_without_a_mirror_a_consumer_is_told_why() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let _sender = sender(&place, "camera", ON_GPU);
    let broken = place.file("broken");
    std::fs::create_dir(&broken).unwrap();
    std::fs::write(broken.join("libcuda.so.1"), "").unwrap();
    let command = place.command(&["recv", "camera", "--frames", "1"]);
    let done = with(command, "LD_LIBRARY_PATH", broken.to_str().unwrap());
    assert_ne!(done.code, Some(0));
    assert!(done.error().contains("libcuda.so.1"), "{done:?}");
}

#[test]
fn a_changed_byte_is_noticed_on_a_gpu_too() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let _sender = sender(&place, "camera", &[ON_GPU, &["--break-frame", "3"]].concat());
    let done = place.run(&["recv", "camera", "--frames", "1"]).ended_with(1);
    assert!(done.error().contains("number 3"), "{done:?}");
}

#[test]
fn who_looks_sees_where_frames_lie() {
    let Some(uuid) = card() else { return };
    let place = Place::new();
    let _senders =
        [sender(&place, "gpu", ON_GPU), sender(&place, "both", MIRRORED), sender(&place, "host", &[])];
    let expected = |kind: &str, mirror: bool| {
        let uuid = if kind == "cuda" { json!(uuid) } else { Value::Null };
        json!({ "kind": kind, "uuid": uuid, "mirror": mirror })
    };
    for (name, kind, mirror) in [("gpu", "cuda", false), ("both", "cuda", true), ("host", "host", false)] {
        let info = place.run(&["info", name, "--json"]).ended_with(0).json();
        let mut memory = info["memory"].clone();
        let shown = memory.as_object_mut().unwrap();
        assert_eq!(shown.remove("device").unwrap().is_null(), kind == "host", "{info}");
        let called = shown.remove("name").unwrap();
        assert_eq!(memory, expected(kind, mirror), "{info}");
        let text = place.run(&["info", name]).ended_with(0).text();
        assert_eq!(text.contains(&uuid), kind == "cuda", "{text}");
        assert_eq!(text.contains("mirrored in host memory"), mirror, "{text}");
        let short = match called.as_str() {
            Some(called) if mirror => format!("{called} + host  "),
            Some(called) => format!("{called}  "),
            None => "  host  ".to_owned(),
        };
        for looking in [&["list"][..], &["top", "--once"]] {
            let text = place.run(looking).ended_with(0).text();
            let row = text.lines().find(|line| line.starts_with(name)).unwrap();
            assert!(row.contains(&short), "{short:?}: {row}");
        }
    }
    // A mirror is memory as well.
    let bytes = |name| place.run(&["info", name, "--json"]).json()["memory_bytes"].as_u64().unwrap();
    assert!(bytes("both") > bytes("gpu"));
}

#[test]
fn the_rate_of_a_link_on_a_gpu_is_measured_as_any_other() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let args = ["send", "camera", "--pattern", "--size", "8x8", "--device", "cuda", "--fps", "200"];
    let mut sender = place.start(&args);
    sender.says("sending");
    let done = place.run(&["hz", "camera", "--count", "3", "--every", "0.2", "--json"]).ended_with(0);
    let text = done.text();
    let last: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert!(last["links"][0]["frames"].as_u64().unwrap() > 0, "{text}");
}

#[test]
fn the_demo_uses_the_gpu_and_says_so() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    let args = ["demo", "--consumers", "rust", "--frames", "5", "--json"];
    let done = place.run(&args).ended_with(0);
    assert!(done.err.contains("frames lie on cuda:0 ("), "{done:?}");
    let data = done.json();
    let consumer = &data["consumers"][0];
    assert_eq!((&consumer["device"], &consumer["frames"]), (&json!("cuda:0"), &json!(5)));
    assert_eq!(consumer["own_copies"][0]["frames"], 5);
    assert!(place.file("uncopy-demo.png").is_file());
    let done = place.run(&[&args[..], &["--device", "cpu"]].concat()).ended_with(0);
    assert!(done.err.contains("in host memory, as asked"), "{done:?}");
    assert_eq!(done.json()["consumers"][0]["device"], "cpu");
    let done = place.run(&["demo", "--consumers", "rust", "--frames", "9", "--break"]).ended_with(1);
    assert!(done.error().contains("was torn: rust saw it"), "{done:?}");
    place.is_clean();
}

#[test]
fn a_sender_that_ends_waits_until_its_last_frame_is_there() {
    if standin().is_none() {
        return;
    }
    let place = Place::new();
    let mut command = place.command(&["demo", "--consumers", "rust", "--frames", "3", "--json"]);
    command.env("UNCOPY_STANDIN_LAG_US", "150000");
    let data = Done::of(command).ended_with(0).json();
    assert_eq!(data["consumers"][0]["last_frame"], 3);
}

#[test]
fn doctor_tries_what_a_link_does_on_each_card() {
    let Some(uuid) = card() else { return };
    let place = Place::new();
    let data = place.run(&["doctor", "--json"]).ended_with(0).json();
    let first = &data["gpus"]["cards"][0];
    assert_eq!((&first["device"], &first["uuid"]), (&json!("cuda:0"), &json!(uuid)));
    assert_eq!(first["carries_links"], true, "{data}");
    assert!(data["gpus"]["driver"].is_string() && data["gpus"]["absent"].is_null());
    let text = place.run(&["doctor"]).ended_with(0).text();
    for words in [&format!("({uuid})")[..], "memory was shared by descriptor (VMM)", "MPS "] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn doctor_tries_legacy_ipc_and_quotes_the_driver_where_it_is_refused() {
    if card().is_none() {
        return;
    }
    let place = Place::new();
    // Of a card either is true: some virtual ones refuse it.
    let text = place.run(&["doctor"]).ended_with(0).text();
    assert!(
        text.contains("legacy IPC works on cuda:0") || text.contains("legacy IPC is refused on cuda:0"),
        "{text}"
    );
    if standin().is_none() {
        return;
    }
    assert!(text.contains("legacy IPC works on cuda:0: the driver gave a handle of memory"), "{text}");
    let data = place.run(&["doctor", "--json"]).ended_with(0).json();
    assert_eq!(data["gpus"]["cards"][0]["legacy_ipc_memory"], true, "{data}");
    for (faults, words) in [
        (
            "cuIpcGetMemHandle:1=801",
            "legacy IPC is refused on cuda:0: cuIpcGetMemHandle failed: CUDA_ERROR_NOT_SUPPORTED",
        ),
        ("cuMemAlloc_v2:1=2", "legacy IPC is refused on cuda:0: cuMemAlloc"),
    ] {
        let text = with(place.command(&["doctor"]), "UNCOPY_STANDIN_FAULTS", faults).ended_with(0).text();
        assert!(text.contains(words), "{text}");
        // It is no reason to worry: links don't need it.
        assert!(
            text.contains("links need neither") && text.contains("was shared by descriptor (VMM)"),
            "{text}"
        );
        let data = with(place.command(&["doctor", "--json"]), "UNCOPY_STANDIN_FAULTS", faults).json();
        let card = &data["gpus"]["cards"][0];
        assert_eq!(
            (&card["legacy_ipc_memory"], &card["carries_links"]),
            (&json!(false), &json!(true)),
            "{data}"
        );
    }
    let done = with(place.command(&["doctor"]), "UNCOPY_STANDIN_WITHOUT", "cuIpcGetMemHandle").ended_with(0);
    assert!(
        done.text().contains("legacy IPC is refused on cuda:0") && done.text().contains("cuIpcGetMemHandle"),
        "{done:?}"
    );
}

#[test]
fn doctor_says_of_each_pair_of_cards_whether_they_reach_each_other() {
    if standin().is_none() {
        return;
    }
    let place = Place::new();
    for (reaches, words) in [("1", "reach each other"), ("0", "do not reach each other")] {
        let command = |args: &[&str]| {
            let mut command = place.command(args);
            command.env("UNCOPY_STANDIN_DEVICES", "2").env("UNCOPY_STANDIN_PEER", reaches);
            Done::of(command).ended_with(0)
        };
        let text = command(&["doctor"]).text();
        assert!(text.contains(&format!("cuda:0 and cuda:1 {words}")), "{text}");
        let data = command(&["doctor", "--json"]).json();
        let pair = |by: &str, of: &str| json!({ "by": by, "of": of, "direct": reaches == "1" });
        let pairs = json!([pair("cuda:0", "cuda:1"), pair("cuda:1", "cuda:0")]);
        assert_eq!(data["gpus"]["reaches"], pairs);
    }
}

#[test]
fn doctor_names_the_call_that_a_driver_refuses_in_spite_of_its_promise() {
    if standin().is_none() {
        return;
    }
    let place = Place::new();
    for call in ["cuMemExportToShareableHandle", "cuMemHostRegister_v2", "cuStreamWriteValue32_v2"] {
        let faults = format!("{call}:1+=801");
        let done = with(place.command(&["doctor", "--json"]), "UNCOPY_STANDIN_FAULTS", &faults);
        let data = done.ended_with(0).json();
        assert_eq!(data["gpus"]["cards"][0]["carries_links"], false, "{data}");
        let findings = data["findings"].as_array().unwrap();
        let see = "docs/troubleshooting.md#frames-on-a-gpu";
        let told = findings.iter().find(|finding| finding["level"] == "warn" && finding["see"] == see);
        assert!(told.unwrap()["says"].as_str().unwrap().contains(call.trim_end_matches("_v2")), "{told:?}");
    }
    let done = with(place.command(&["doctor"]), "UNCOPY_STANDIN_VERSION", "11000").ended_with(0);
    assert!(done.text().contains("CUDA 11.0, but 11.4 is needed"), "{done:?}");
    let done = with(place.command(&["doctor"]), "CUDA_VISIBLE_DEVICES", "").ended_with(0);
    assert!(done.text().contains("shows no device"), "{done:?}");
}
