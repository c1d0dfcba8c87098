//! Fault injection: no message is lost silently between collector and Redis. Runs the real collector and real servers.
//!
//! Every case ends with the same check of the whole list: each sequence number of each instance arrived in order, or a
//! gap record reports it. A table of all cases is printed at the end. docs/reliability.md describes each case.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod fault;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use fault::cases;
use fault::ledger;
use fault::table::Table;

/// Number of cases that run in parallel. They mostly wait, so it can exceed the number of CPUs.
const AT_ONCE: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let table = Table::default();
    let cases = cases::all().into_iter().map(|(name, run)| trial(name, run, table.clone()));
    let trials = std::iter::once(ledger_trial()).chain(cases).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        print!("{}", table.render());
    }
    conclusion.exit_code()
}

fn ledger_trial() -> Trial {
    Trial::test("ledger_detects_every_kind_of_fault", || {
        ledger::detects_every_kind_of_fault();
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
