//! The cases, by what breaks.

mod host;
mod network;
mod outbox;
mod rules;
mod server;

use std::pin::Pin;

use super::soak;
use super::table::Row;

/// Runs a case to its end. It panics when the case fails.
pub type Run = fn() -> Pin<Box<dyn Future<Output = Row>>>;

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        vec![$($((stringify!($case), || Box::pin($module::$case()))),+),+]
    };
}

/// Every case, with its name.
pub fn all() -> Vec<(&'static str, Run)> {
    let mut cases: Vec<(&'static str, Run)> = cases! {
        network: connection_cut, reset_in_mid_pipeline, reset_before_the_answer, black_hole, silence_to_the_server,
            silence_to_the_client, latency;
        server: down_at_start, killed_and_restarted, stopped_and_continued, memory_full_then_freed, flushed, valkey;
        outbox: outbox_overflows;
        host: clock_stepped_back, two_collectors_one_key;
        rules: key_of_another_type, password_changed, trimming_forbidden;
    };
    if soak::duration().is_some() {
        cases.push(("soak", || Box::pin(soak::soak())));
    }
    cases
}
