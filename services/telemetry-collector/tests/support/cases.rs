//! A suite of cases, each of which ends with a row of the table that is printed after all of them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use libtest_mimic::{Arguments, Trial};

/// Runs a case.
pub type Run<R> = fn() -> Pin<Box<dyn Future<Output = R>>>;
/// The rows by the name of the case. A case without a row has failed.
pub type Rows<R> = BTreeMap<String, Option<R>>;

/// Runs `self_test` and `cases`, or those that the arguments of the process choose, `at_once` at a time unless they say otherwise.
/// `render` makes the table.
pub fn run<R: Send + 'static>(
    at_once: usize,
    self_test: Trial,
    cases: Vec<(&'static str, Run<R>)>,
    render: fn(&Rows<R>) -> String,
) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(at_once);
    let rows = Arc::new(Mutex::new(Rows::new()));
    let cases = cases.into_iter().map(|(name, run)| trial(name, run, Arc::clone(&rows)));
    let conclusion = libtest_mimic::run(&arguments, std::iter::once(self_test).chain(cases).collect());
    if !arguments.list {
        print!("{}", render(&rows.lock().unwrap_or_else(PoisonError::into_inner)));
    }
    conclusion.exit_code()
}

fn trial<R: Send + 'static>(name: &'static str, run: Run<R>, rows: Arc<Mutex<Rows<R>>>) -> Trial {
    Trial::test(name, move || {
        let set = |row| rows.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), row);
        set(None);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let row = runtime.block_on(run());
        set(Some(row));
        Ok(())
    })
}
