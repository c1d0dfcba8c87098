//! A watch for pipes and files: one line an event.

use std::io;

use serde_json::{Value, json};
use telemetry_client::WatchEvent;
use telemetry_proto::v1::{DeliveryState, DeliveryUpdate, MissedEvents};

use super::feed::{self, AtEnd, Update};
use super::outages::Outages;
use crate::exit::Exit;
use crate::messages::{line, message_json, numbers, reason};
use crate::output::{self, Output};
use crate::session::Session;

/// Writes events until every watch has ended.
pub(super) async fn run(session: &Session, output: &Output) -> io::Result<Exit> {
    let mut updates = feed::start(&session.targets, AtEnd::Stop, !output.is_json());
    let mut outages = vec![Outages::default(); session.targets.len()];
    let mut failed = 0;
    while failed < session.targets.len() {
        let Some((index, update)) = updates.recv().await else { break };
        let target = &session.targets[index].name;
        let text = match update {
            Update::Event(event) if output.is_json() => {
                Some(json!({"target": target, "event": event_json(event)?}).to_string())
            }
            Update::Event(event) => event_line(&event).map(|line| format!("{target} {line}")),
            Update::Failed(failure) => {
                failed += 1;
                if output.is_json() {
                    Some(json!({"target": target, "error": failure}).to_string())
                } else {
                    output::warn(&format!("{target}: {failure}"));
                    None
                }
            }
            Update::Health(health) => {
                for line in outages[index].changes(&health) {
                    output::write(&format!("{target} {line}\n"))?;
                }
                None
            }
            Update::Begun => None,
        };
        if let Some(text) = text {
            output::write(&format!("{text}\n"))?;
        }
    }
    Ok(Exit::of_targets(failed, session.targets.len()))
}

/// A line for people. That a message is delivered is what they expect, and takes none.
fn event_line(event: &WatchEvent) -> Option<String> {
    match event {
        WatchEvent::Message(message) => Some(line(message)),
        WatchEvent::Missed(count) => Some(format!("{count} events missed: this reader is too slow")),
        WatchEvent::Delivery { numbers: lost, state: DeliveryState::Lost, reason: why } => {
            let ranges = lost.iter().map(|range| (*range.start(), *range.end()));
            let why = reason(why.unwrap_or_default());
            Some(format!("LOST ({why}): messages {}", numbers(ranges)))
        }
        _ => None,
    }
}

/// A `WatchSnapshotsResponse` in the schema's JSON.
fn event_json(event: WatchEvent) -> serde_json::Result<Value> {
    Ok(match event {
        WatchEvent::Message(message) => json!({"message": message_json(&message)?}),
        WatchEvent::Missed(count) => json!({"missed": MissedEvents { count }}),
        WatchEvent::Delivery { numbers, state, reason } => {
            let numbers = numbers.into_iter().map(Into::into).collect();
            let reason = reason.map(Into::into);
            json!({"delivery": DeliveryUpdate { numbers, state: state.into(), reason }})
        }
        _ => json!({}),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use telemetry_proto::v1::{GapReason, WatchSnapshotsResponse, watch_snapshots_response};

    use super::*;

    fn lost() -> WatchEvent {
        let reason = Some(GapReason::OutboxFull);
        WatchEvent::Delivery { numbers: vec![3..=5, 9..=9], state: DeliveryState::Lost, reason }
    }

    #[test]
    fn tells_what_is_lost_and_not_what_is_delivered() {
        assert_eq!(event_line(&lost()).unwrap(), "LOST (outbox full): messages 3-5, 9");
        let delivered = WatchEvent::Delivery { numbers: vec![1..=1], state: DeliveryState::Acknowledged, reason: None };
        assert_eq!(event_line(&delivered), None);
    }

    #[test]
    fn writes_events_in_the_json_of_the_schema() {
        let json = event_json(lost()).unwrap();
        let parsed: WatchSnapshotsResponse = serde_json::from_value(json).unwrap();
        let Some(watch_snapshots_response::Event::Delivery(update)) = parsed.event else { panic!("{parsed:?}") };
        assert_eq!((update.numbers[0].first, update.reason()), (3, GapReason::OutboxFull));
        let missed = event_json(WatchEvent::Missed(7)).unwrap();
        assert_eq!(missed, json!({"missed": {"count": "7"}}));
    }
}
