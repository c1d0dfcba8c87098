#![no_main]

#[path = "../../services/telemetry-collector/tests/support/environment_law.rs"]
mod environment_law;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| environment_law::environment(bytes));
