//! Numbers that are missing.

use std::collections::{BTreeMap, HashMap, VecDeque};

use rangemap::RangeInclusiveSet;
use uuid::Uuid;

use super::TailEvent;
use super::found::Found;
use crate::event::Event;

/// Numbers that are missing, by their instance.
#[derive(Debug, Default)]
pub(super) struct Missing(BTreeMap<Uuid, RangeInclusiveSet<u64>>);

impl Missing {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds those that the ledger tells.
    pub(super) fn extend(&mut self, overdue: Vec<Event>) {
        for event in overdue {
            if let Event::MissingNumbers { instance_id, numbers } = event {
                self.0.entry(instance_id).or_default().insert(numbers);
            }
        }
    }

    pub(super) fn has(&self, found: &Found) -> bool {
        let numbers = found.number().and_then(|(instance, number)| Some((self.0.get(&instance)?, number)));
        numbers.is_some_and(|(numbers, number)| numbers.contains(&number))
    }

    pub(super) fn remove(&mut self, found: &Found) {
        if let Some((instance, number)) = found.number()
            && let Some(numbers) = self.0.get_mut(&instance)
        {
            numbers.remove(number..=number);
        }
    }

    pub(super) fn into_events(self) -> impl Iterator<Item = TailEvent> {
        self.0.into_iter().flat_map(|(instance_id, numbers)| {
            numbers.into_iter().map(move |numbers| TailEvent::Missing { instance_id, numbers })
        })
    }

    /// Puts each range before the message that follows it, if that is among `events`.
    pub(super) fn placed_in(self, events: VecDeque<TailEvent>) -> VecDeque<TailEvent> {
        let mut before: HashMap<(String, u64), TailEvent> = HashMap::new();
        for missing in self.into_events() {
            if let TailEvent::Missing { instance_id, numbers } = &missing {
                before.insert((instance_id.to_string(), numbers.end().saturating_add(1)), missing);
            }
        }
        let mut placed = VecDeque::with_capacity(events.len());
        for event in events {
            if let TailEvent::Message(message) = &event {
                placed.extend(before.remove(&(message.instance_id.clone(), message.sequence)));
            }
            placed.push_back(event);
        }
        placed
    }
}
