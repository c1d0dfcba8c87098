//! Hostile clients: whatever they send, no tick is skipped, others are answered, memory stays within a bound, and nobody gets in
//! who should not. Runs the real collector, a real Redis and real sockets.
//!
//! Every case ends with the same check (`hostile::verdict`). A table of all cases is printed at the end. docs/security.md
//! describes the cases.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod hostile;
mod support;

use std::process::ExitCode;

use libtest_mimic::Trial;

use hostile::table;
use hostile::{cases, verdict};

/// Number of cases that run in parallel. They mostly wait; of those that need the processor, one runs at a time.
const AT_ONCE: usize = 4;

fn main() -> ExitCode {
    if let Some(code) = cases::connect_as_another_user() {
        return code;
    }
    let self_test = Trial::test("verdict_detects_every_kind_of_fault", || {
        verdict::detects_every_kind_of_fault();
        Ok(())
    });
    support::cases::run(AT_ONCE, self_test, cases::all(), table::render)
}
