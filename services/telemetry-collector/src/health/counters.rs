//! What each component has counted, for `Health`.

use std::collections::BTreeMap;

use super::Component;
use crate::instruments::{Counter, instruments};

/// The counters of `component`, by their short names.
pub(super) fn of(component: Component) -> BTreeMap<String, u64> {
    counters(component).into_iter().map(|counter| (counter.short_name(), counter.total())).collect()
}

fn counters(component: Component) -> Vec<&'static Counter> {
    let all = instruments();
    match component {
        Component::Sampler => vec![&all.samples, &all.collection_errors, &all.ticks_skipped],
        Component::Sink => vec![
            &all.messages_delivered,
            &all.messages_lost,
            &all.messages_trimmed,
            &all.messages_forgotten,
            &all.publish_errors,
        ],
        Component::Control => vec![&all.control_changes],
        Component::Spool => vec![&all.spool_errors],
        Component::StateFile => vec![&all.state_file_errors],
    }
}
