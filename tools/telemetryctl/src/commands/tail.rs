//! `telemetryctl tail`: the messages of the queue, which stay where they are.

use std::io;

use serde_json::{Value, json};
use telemetry_client::{QueueTail, TailError, TailEvent, TailSettings};
use telemetry_process::report;
use telemetry_proto::v1::SequenceRange;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_redis::environment::RedisEnvironment;
use tokio::sync::mpsc;

use super::CommandError;
use crate::cli::TailArgs;
use crate::exit::Exit;
use crate::messages::{line, message_json, numbers};
use crate::output::{self, Output, Style, clean};
use crate::queue::QueueVariables;
use crate::session::InvalidSettings;

/// Events that may wait to be written.
const WAITING: usize = 256;

pub(crate) async fn run(output: &Output, args: &TailArgs) -> Result<Exit, CommandError> {
    let queue = QueueVariables::here(&args.queue).read()?;
    let keys = queue.keys().map_err(|invalid| wrong(&telemetry_settings::InvalidSetting::from(invalid)))?;
    let (sender, mut events) = mpsc::channel(WAITING);
    let count = keys.len();
    for key in keys {
        let mut tail = QueueTail::connect(settings(&queue, &key, args)).map_err(|error| wrong(&error))?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while let Some(event) = tail.next().await {
                if sender.send(event).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut failed = 0;
    while let Some(event) = events.recv().await {
        match event {
            Ok(event) => output::write(&shown(output, &event).map_err(io::Error::from)?)?,
            Err(error) => {
                failed += 1;
                output::warn(&format!("{}; {}", report(&error), remedy(&error, args.follow)));
                if args.follow && !error.is_retryable() {
                    return Ok(Exit::AllFailed);
                }
            }
        }
    }
    Ok(Exit::of_targets(failed, count))
}

fn settings(queue: &RedisEnvironment, key: &str, args: &TailArgs) -> TailSettings {
    TailSettings::new(queue.url.expose(), key).tls(queue.tls.clone()).last(args.last).follow(args.follow)
}

fn wrong(error: &dyn std::error::Error) -> InvalidSettings {
    InvalidSettings(vec![report(error)])
}

fn remedy(error: &TailError, follows: bool) -> &'static str {
    match (error.is_retryable(), follows) {
        (true, true) => "trying again",
        (true, false) => "check that Redis runs, and TELEMETRY_REDIS__URL",
        (false, _) => "run telemetryctl doctor",
    }
}

fn shown(output: &Output, event: &TailEvent) -> serde_json::Result<String> {
    if output.is_json() {
        return Ok(format!("{}\n", event_json(event)?));
    }
    let (text, style) = event_line(event);
    Ok(output.paint().paint(&text, style) + "\n")
}

fn event_line(event: &TailEvent) -> (String, Style) {
    match event {
        TailEvent::Message(message) => {
            let style = match &message.payload {
                Some(Payload::Gap(_)) => Style::Bad,
                Some(Payload::Control(_)) => Style::Warning,
                _ => Style::Plain,
            };
            (line(message), style)
        }
        TailEvent::Missing { instance_id, numbers: missing } => {
            let range = numbers([(*missing.start(), *missing.end())]);
            (format!("MISSING: messages {range} of instance {instance_id}, without a gap record"), Style::Bad)
        }
        TailEvent::Unreadable { reason, payload } => {
            (clean(&format!("UNREADABLE: {} bytes: {reason}", payload.len())), Style::Bad)
        }
        TailEvent::Skipped => ("SKIPPED: more messages than can be shown came at once".to_owned(), Style::Warning),
        _ => ("an event that only a newer version knows".to_owned(), Style::Dim),
    }
}

fn event_json(event: &TailEvent) -> serde_json::Result<Value> {
    Ok(match event {
        TailEvent::Message(message) => json!({"message": message_json(message)?}),
        TailEvent::Missing { instance_id, numbers } => {
            json!({"missing": {"instance_id": instance_id.to_string(), "numbers": SequenceRange::from(numbers.clone())}})
        }
        TailEvent::Unreadable { reason, payload } => {
            json!({"unreadable": {"reason": reason, "payload": String::from_utf8_lossy(payload)}})
        }
        TailEvent::Skipped => json!({"skipped": {}}),
        _ => json!({}),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn marks_numbers_that_are_missing() {
        let missing = TailEvent::Missing { instance_id: Uuid::nil(), numbers: 3..=7 };
        let (text, style) = event_line(&missing);
        assert!(text.starts_with("MISSING: messages 3-7 of instance 00000000"), "{text}");
        assert_eq!(style, Style::Bad);
        assert_eq!(event_json(&missing).unwrap()["missing"]["numbers"], json!({"first": "3", "last": "7"}));
    }

    #[test]
    fn shows_no_control_character_of_an_element_that_is_no_message() {
        let event = TailEvent::Unreadable { reason: "bad\x1b[2J".to_owned(), payload: b"\x1b".to_vec() };
        assert_eq!(event_line(&event).0, "UNREADABLE: 1 bytes: bad\u{fffd}[2J");
    }
}
