// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which figures the picture of the sizes shows.

use super::origin;
use crate::{
    bench::results::{Figure, OfRounds, Percentile, Results, Series, Unit},
    gpu,
};

/// One transport, with other libraries' beside it.
pub struct Panel {
    pub name: String,
    /// The machine.
    pub origin: String,
    /// What the least is, what was measured of ours, and what of the other library, in words.
    pub floor: String,
    pub ours: String,
    pub peer: String,
    pub peer_name: String,
    pub lines: Vec<Line>,
}

/// The times of one size in nanoseconds, as far as they were measured.
pub struct Line {
    pub size: String,
    pub floor: Option<f64>,
    pub ours: Option<f64>,
    pub peer: Option<f64>,
}

const PICTURES: [(&str, &str, u64); 3] = [
    ("512", "512 x 512", 512 * 512),
    ("1080p", "1920 x 1080", 1920 * 1080),
    ("4k", "3840 x 2160", 3840 * 2160),
];
const DTYPES: [(&str, &str, u64); 3] = [("u8", "uint8", 1), ("f16", "float16", 2), ("f32", "float32", 4)];
const CHANNELS: u64 = 4;

/// Messages of the host, by the ends of the figures' names.
const MESSAGES: [(&str, &str); 7] = [
    ("64b", "64 B"),
    ("1kib", "1 KiB"),
    ("8kib", "8 KiB"),
    ("64kib", "64 KiB"),
    ("1mib", "1 MiB"),
    ("1080p", "1920 x 1080, uint8, 8.3 MB"),
    ("4k", "3840 x 2160, uint8, 33.2 MB"),
];

/// All of them; `results` are the newest first.
pub fn all(results: &[Results]) -> Vec<Panel> {
    vec![on_a_gpu(newest(results, gpu::TOPIC)), on_the_host(newest(results, "iceoryx2"))]
}

fn newest<'r>(results: &'r [Results], topic: &str) -> Option<&'r Results> {
    results.iter().find(|results| results.topic == topic && !results.is_quick)
}

fn on_a_gpu(results: Option<&Results>) -> Panel {
    let of_size = |(picture, pixels_name, pixels): (&str, &str, u64),
                   (dtype, dtype_name, bytes): (&str, &str, u64)| {
        let megabytes = (pixels * CHANNELS * bytes) as f64 / 1e6;
        let time = |row: &str| time(&figure(results, &format!("{row}_{picture}_{dtype}"))?.ours);
        Line {
            size: format!("{pixels_name}, {dtype_name}, {megabytes:.1} MB"),
            floor: time("floors_copy_known"),
            ours: time("send_known"),
            peer: time("torch_mp_known"),
        }
    };
    let lines = PICTURES.iter().flat_map(|picture| DTYPES.iter().map(|dtype| of_size(*picture, *dtype)));
    Panel {
        name: "A frame of four channels on a GPU: send until it is there and the other process knows"
            .to_string(),
        origin: origin(results),
        floor:
            "a copy on the card and a word that the card writes, read by the other CPU, with the bare driver"
                .to_string(),
        ours: "send, in Rust".to_string(),
        peer: "a copied tensor put into its Queue, until its data is there".to_string(),
        peer_name: "torch.multiprocessing".to_string(),
        lines: lines.collect(),
    }
}

fn on_the_host(results: Option<&Results>) -> Panel {
    let of_size = |(end, size): &(&str, &str)| {
        let both = figure(results, &format!("busy_{end}"));
        Line {
            size: size.to_string(),
            floor: figure(results, &format!("bare_busy_{end}")).and_then(|figure| time(&figure.ours)),
            ours: both.and_then(|figure| time(&figure.ours)),
            peer: both.and_then(|figure| time(figure.reference.as_ref()?)),
        }
    };
    Panel {
        name: "A loan in host memory: publish until the other process has read it, both spinning".to_string(),
        origin: origin(results),
        floor: "one word in shared memory, without any frame".to_string(),
        ours: "a loan published, its first and last 8 bytes read, in Rust".to_string(),
        peer: "its publish-subscribe, the same written and read".to_string(),
        peer_name: "iceoryx2".to_string(),
        lines: MESSAGES.iter().map(of_size).collect(),
    }
}

fn figure<'r>(results: Option<&'r Results>, name: &str) -> Option<&'r Figure> {
    results?.figures.iter().find(|figure| figure.name == name && figure.unit == Unit::Ns)
}

/// The median of its rounds; `None` without any.
fn time(series: &Series) -> Option<f64> {
    (!series.rounds.is_empty()).then(|| series.of(OfRounds::Median, Percentile::P50))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bench::results::{self, tests::figure, tests::results},
        repo::Repo,
    };

    #[test]
    fn a_line_holds_the_floor_ours_and_the_other_library_of_its_size() {
        let gpu = results(
            "gpu",
            "2000",
            vec![
                figure("send_known_4k_f16", Unit::Ns, &[30.0, 10.0, 20.0], None),
                figure("floors_copy_known_4k_f16", Unit::Ns, &[15.0], None),
                figure("torch_mp_known_4k_f16", Unit::Ns, &[400.0], None),
            ],
        );
        let host = results("iceoryx2", "2000", vec![figure("busy_8kib", Unit::Ns, &[6.0], Some(&[8.0]))]);
        let panels = all(&[gpu, host]);
        let found: Vec<_> = panels
            .iter()
            .flat_map(|panel| &panel.lines)
            .filter(|line| line.ours.is_some())
            .map(|line| (line.size.as_str(), line.floor, line.ours, line.peer))
            .collect();
        let expected = [
            ("3840 x 2160, float16, 66.4 MB", Some(15.0), Some(20.0), Some(400.0)),
            ("8 KiB", None, Some(6.0), Some(8.0)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_size_that_is_kept_is_shown() {
        let results = results::all(&Repo::this()).unwrap();
        for panel in all(&results) {
            for line in &panel.lines {
                assert!(line.floor.is_some() && line.ours.is_some(), "{}: {}", panel.name, line.size);
            }
            assert!(panel.lines.iter().any(|line| line.peer.is_some()), "{}", panel.name);
        }
    }
}
