//! `telemetryctl tail`: the messages of the queue, which stay where they are.

use std::io;

use serde_json::{Value, json};
use telemetry_client::control::Config;
use telemetry_client::{QueueTail, TailError, TailEvent, TailSettings};
use telemetry_process::report;
use telemetry_proto::v1::SequenceRange;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_redis::RedisUrl;
use telemetry_redis::environment::{self, RedisEnvironment};
use tokio::sync::mpsc;

use super::CommandError;
use crate::cli::{TailArgs, TargetArgs};
use crate::exit::Exit;
use crate::fan_out::Answer;
use crate::messages::{line, message_json, numbers};
use crate::output::{self, Output, Style, clean};
use crate::queue::{QueueVariables, is_masked};
use crate::session::{InvalidSettings, Session};

/// Events that may wait to be written.
const WAITING: usize = 256;

pub(crate) async fn run(targets: &TargetArgs, output: &Output, args: &TailArgs) -> Result<Exit, CommandError> {
    let here = QueueVariables::here(&args.queue);
    let (queues, mut failed) =
        if targets.is_given() && !here.has_url() { of_targets(targets, &here).await? } else { (vec![here.read()?], 0) };
    let (sender, mut events) = mpsc::channel(WAITING);
    let mut count = failed;
    let mut looks = Vec::new();
    for queue in queues {
        let keys = settings(&queue, args)?;
        count += keys.len();
        for settings in &keys {
            let mut tail = QueueTail::connect(settings.clone()).map_err(|error| wrong(&error))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while let Some(event) = tail.next().await {
                    if sender.send(event).await.is_err() {
                        return;
                    }
                }
            });
        }
        looks.push(tokio::spawn(warn_if_empty(queue, keys)));
    }
    drop(sender);
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
    for look in looks {
        // A look that panicked has told it.
        let _ = look.await;
    }
    Ok(Exit::of_targets(failed, count))
}

/// The queues of collectors, each once, and how many collectors did not tell theirs.
async fn of_targets(
    targets: &TargetArgs,
    here: &QueueVariables,
) -> Result<(Vec<RedisEnvironment>, usize), InvalidSettings> {
    let answers = Session::open(targets).await?.ask(|client| async move { client.config().await }).await;
    let mut queues: Vec<RedisEnvironment> = Vec::new();
    let mut failed = 0;
    for Answer { target, result } in answers.0 {
        let queue = result.map_err(|failure| failure.to_string());
        match queue.and_then(|config| of_collector(&config, here)) {
            Ok(queue) => {
                let is_known = |known: &RedisEnvironment| {
                    (known.url.expose(), &known.key, known.shards) == (queue.url.expose(), &queue.key, queue.shards)
                };
                if !queues.iter().any(is_known) {
                    queues.push(queue);
                }
            }
            Err(problem) => {
                failed += 1;
                output::warn(&format!("{target}: {problem}"));
            }
        }
    }
    Ok((queues, failed))
}

fn of_collector(config: &Config, here: &QueueVariables) -> Result<RedisEnvironment, String> {
    let url = environment::URL.name;
    if config.setting(url).is_some_and(|setting| is_masked(&setting.value)) {
        return Err(format!(
            "the collector's URL of Redis holds a password, which it does not tell; set {url} or {url}_FILE"
        ));
    }
    QueueVariables::of_collector(config).overlaid_by(here.clone()).read().map_err(|invalid| invalid.to_string())
}

/// Of each key of the queue.
fn settings(queue: &RedisEnvironment, args: &TailArgs) -> Result<Vec<TailSettings>, InvalidSettings> {
    let keys = queue.keys().map_err(|invalid| wrong(&telemetry_settings::InvalidSetting::from(invalid)))?;
    let settings = |key: String| {
        TailSettings::new(queue.url.expose(), key).tls(queue.tls.clone()).last(args.last).follow(args.follow)
    };
    Ok(keys.into_iter().map(settings).collect())
}

/// Tells people why they see nothing: none of the keys holds anything. That Redis does not answer is what the tail tells.
async fn warn_if_empty(queue: RedisEnvironment, keys: Vec<TailSettings>) {
    for settings in keys {
        let Ok(mut newest) = QueueTail::connect(settings.last(1).follow(false)) else { return };
        if newest.next().await.is_some() {
            return;
        }
    }
    let url = queue.url.expose().parse::<RedisUrl>().map(|url| url.to_string()).unwrap_or_default();
    output::warn(&format!("{} at {url} is empty or does not exist", queue.key));
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
