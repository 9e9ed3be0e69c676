// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine that measures: enough to judge a figure by, and nothing that tells whose it is.

use super::results::Machine;
use std::fs::read_to_string;

/// Words that say nothing.
const NOISE: &[&str] =
    &["intel", "amd", "nvidia", "cpu", "processor", "with", "core", "tm", "r", "gen", "unknown"];

/// This machine.
pub fn describe() -> Machine {
    let cpu_info = read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = field(&cpu_info, "model name").unwrap_or_else(|| "unknown CPU".to_string());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let is_virtual =
        field(&cpu_info, "flags").is_some_and(|flags| flags.split(' ').any(|f| f == "hypervisor"));
    Machine {
        name: name_of(&cpu, cores, is_virtual),
        cpu,
        cores,
        is_virtual,
        kernel: line_of("/proc/sys/kernel/osrelease").unwrap_or_default(),
        governor: line_of("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        memory_gib: memory_gib(&read_to_string("/proc/meminfo").unwrap_or_default()),
        load_before: line_of("/proc/loadavg").and_then(|line| line.split(' ').next()?.parse().ok()),
        pinning: "none".to_string(),
        gpu: None,
    }
}

/// `xeon-2c-vm`: what the processor is, how much of it there is, and whether it is shared with others unseen.
fn name_of(cpu: &str, cores: usize, is_virtual: bool) -> String {
    let mut telling = words_of(cpu.split('@').next().unwrap_or_default());
    telling.truncate(3);
    let cpu = if telling.is_empty() { "cpu".to_string() } else { telling.join("-") };
    format!("{cpu}-{cores}c{}", if is_virtual { "-vm" } else { "" })
}

/// The words of a product's name that tell it from others, as they stand in the name of a directory.
pub fn words_of(product: &str) -> Vec<String> {
    let lower = product.to_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    let is_telling = |word: &&str| !word.is_empty() && !NOISE.contains(word) && !word.ends_with("core");
    words.filter(is_telling).map(str::to_string).collect()
}

fn field(cpu_info: &str, name: &str) -> Option<String> {
    let line = cpu_info.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn line_of(path: &str) -> Option<String> {
    Some(read_to_string(path).ok()?.trim().to_string())
}

fn memory_gib(mem_info: &str) -> u64 {
    let kib = field(mem_info, "MemTotal").and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0).div_ceil(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_named_by_what_it_is() {
        assert_eq!(name_of("Intel(R) Xeon(R) Processor", 2, true), "xeon-2c-vm");
        assert_eq!(name_of("AMD Ryzen 9 7950X 16-Core Processor", 32, false), "ryzen-9-7950x-32c");
        assert_eq!(name_of("13th Gen Intel(R) Core(TM) i7-13700H", 20, false), "13th-i7-13700h-20c");
        assert_eq!(
            name_of("Intel(R) Xeon(R) Platinum 8480C CPU @ 2.00GHz", 16, true),
            "xeon-platinum-8480c-16c-vm"
        );
        assert_eq!(name_of("unknown CPU", 1, false), "cpu-1c");
    }

    #[test]
    fn a_card_is_named_without_its_maker() {
        assert_eq!(words_of("NVIDIA H100 80GB HBM3").join("-"), "h100-80gb-hbm3");
    }

    #[test]
    fn memory_is_rounded_up_to_what_was_bought() {
        assert_eq!(memory_gib("MemTotal:       24612345 kB\nMemFree: 1 kB\n"), 24);
    }
}
