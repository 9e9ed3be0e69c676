// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is measured on a GPU, as far as any driver can run it: that it ends, and that its rows are there. How fast they are
//! says a card.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail by panicking")]

use std::process::Command;

use serde_json::Value;

#[test]
fn f01_f02_deaths_with_work_under_way_leave_nobody_in_the_dark_and_are_measured() {
    if let Err(error) = uncopy_cuda::CudaDevice::with_ordinal(0) {
        assert!(std::env::var_os("UNCOPY_TEST_NEEDS_CUDA").is_none(), "no device: {error}");
        println!("SKIP no CUDA device: {error}");
        return;
    }
    let program = env!("CARGO_BIN_EXE_uncopy-bench");
    let done = Command::new(program).args(["gpu-deaths", "--deaths", "2"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let said: Value = serde_json::from_slice(&done.stdout).unwrap();
    let rows = said["rows"].as_array().unwrap();
    let names: Vec<&str> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["producer_death_told", "producer_death_stream_on", "consumer_death_slot_back"]);
    for row in rows {
        assert_eq!((&row["size"], &row["unit"], &row["n"]), (&"any".into(), &"us".into(), &2.into()));
        assert!(row["min"].as_f64().unwrap() > 0.0, "{row}");
    }
}
