//! Fault injection: no message is lost silently between collector and Redis. Runs the real collector and real servers.
//!
//! Every case ends with the same check of the whole list: each sequence number of each instance arrived in order, or a
//! gap record reports it. A table of all cases is printed at the end. docs/reliability.md describes each case.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod fault;
mod support;

use std::process::ExitCode;

use libtest_mimic::Trial;

use fault::cases;
use fault::ledger;
use fault::table;

/// Number of cases that run in parallel. They mostly wait, so it can exceed the number of CPUs.
const AT_ONCE: usize = 12;

fn main() -> ExitCode {
    let self_test = Trial::test("ledger_detects_every_kind_of_fault", || {
        ledger::detects_every_kind_of_fault();
        Ok(())
    });
    support::cases::run(AT_ONCE, self_test, cases::all(), table::render)
}
