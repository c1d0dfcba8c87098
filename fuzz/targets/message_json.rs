#![no_main]

#[path = "../../libs/telemetry-proto/tests/support/laws.rs"]
#[allow(dead_code)]
mod laws;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| laws::json(bytes));
