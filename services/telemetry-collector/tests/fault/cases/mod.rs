//! Fault cases, by the part that fails.

mod host;
mod network;
mod outbox;
mod rules;
mod server;
mod spool;
mod topology;

use super::ledger::Duplicates;
use super::soak;
use super::table::Row;
use crate::support::cases::Run;

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        vec![$($((stringify!($case), || Box::pin($module::$case()))),+),+]
    };
}

/// Network faults can cause duplicates, so these cases run in both delivery modes.
macro_rules! network_cases {
    ($($case:ident),+) => {
        vec![$(
            (stringify!($case), (|| Box::pin(network::$case(Duplicates::Allowed))) as Run<Row>),
            (concat!(stringify!($case), "_exactly_once"), || Box::pin(network::$case(Duplicates::Forbidden))),
        )+]
    };
}

/// All cases with their names.
pub fn all() -> Vec<(&'static str, Run<Row>)> {
    let mut cases: Vec<(&'static str, Run<Row>)> = cases! {
        server: down_at_start, killed_and_restarted, stopped_and_continued, memory_full_then_freed, flushed, valkey;
        outbox: outbox_overflows, outbox_decimates;
        spool: collector_killed_ten_times, ended_in_an_outage, acknowledged_and_forgotten, disk_full, spool_full, spool_removed, spool_with_flipped_bits,
            two_collectors_one_spool;
        host: clock_stepped_back, two_collectors_one_key;
        topology: master_killed_and_replica_promoted, replica_promoted_under_load, cluster_slot_moved, cluster_node_lost;
        rules: key_of_another_type, password_changed, trimming_forbidden;
    };
    cases.append(&mut network_cases! {
        connection_cut, reset_in_mid_pipeline, reset_before_the_answer, black_hole, silence_to_the_server,
        silence_to_the_client, latency
    });
    if soak::duration().is_some() {
        cases.push(("soak", || Box::pin(soak::soak())));
    }
    cases
}
