//! Nothing is lost between the host and Redis: the collector as people run it, real servers, and a fault in between.
//!
//! Each case ends in the same check, on the whole list: every number of every instance arrived in order, or a gap record
//! names it. The table of all cases is printed at the end. docs/reliability.md says what each case shows.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs, unreachable_pub)]

mod fault;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

use fault::cases;
use fault::ledger;
use fault::table::Table;

/// Cases that run at the same time. They wait most of the time, so that there may be many more of them than processors.
const AT_ONCE: usize = 12;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let table = Table::default();
    let cases = cases::all().into_iter().map(|(name, run)| trial(name, run, table.clone()));
    let trials = std::iter::once(check_of_the_check()).chain(cases).collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if !arguments.list {
        print!("{}", table.render());
    }
    conclusion.exit_code()
}

fn check_of_the_check() -> Trial {
    Trial::test("the_check_sees_what_it_is_there_for", || {
        ledger::the_check_sees_what_it_is_there_for();
        Ok(())
    })
}

fn trial(name: &'static str, run: cases::Run, table: Table) -> Trial {
    Trial::test(name, move || {
        table.began(name);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        table.passed(name, runtime.block_on(run()));
        Ok(())
    })
}
