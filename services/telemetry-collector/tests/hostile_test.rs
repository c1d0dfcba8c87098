//! Hostile clients: whatever they send, no tick is skipped, others are answered, memory stays within a bound, and nobody gets in
//! who should not. Runs the real collector, a real Redis and real sockets.
//!
//! Every case ends with the same check (`hostile::verdict`). A table of all cases is printed at the end. docs/security.md
//! describes the cases.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod hostile;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use hostile::table::Table;
use hostile::{cases, verdict};

/// Number of cases that run in parallel. They mostly wait; of those that need the processor, one runs at a time.
const AT_ONCE: usize = 4;

fn main() -> ExitCode {
    if let Some(code) = cases::connect_as_another_user() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let table = Table::default();
    let cases = cases::all().into_iter().map(|(name, run)| trial(name, run, table.clone()));
    let trials = std::iter::once(verdict_trial()).chain(cases).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        print!("{}", table.render());
    }
    conclusion.exit_code()
}

fn verdict_trial() -> Trial {
    Trial::test("verdict_detects_every_kind_of_fault", || {
        verdict::detects_every_kind_of_fault();
        Ok(())
    })
}

fn trial(name: &'static str, run: cases::Run, table: Table) -> Trial {
    Trial::test(name, move || {
        table.started(name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        table.passed(name, runtime.block_on(run()));
        Ok(())
    })
}
