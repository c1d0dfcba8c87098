//! The queue's commands on the wire.

use std::num::NonZeroU64;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind, Value, from_redis_value};
use telemetry_outbox::{Batch, EncodedMessage};
use telemetry_redis::{QueueMode, mark_key};

use super::script::{Answer, PushOnce};
use super::settings::{DeliveryMode, RedisSettings};
use crate::publishers::Acknowledgement;

/// How messages get into one queue.
pub(super) struct Commands {
    key: String,
    mode: QueueMode,
    cap: Option<NonZeroU64>,
    /// Set when no message may be taken twice.
    once: Option<PushOnce>,
    replicas: Option<Replicas>,
}

/// How many replicas must have a message, and how long they have to say so.
struct Replicas {
    wanted: u32,
    patience: Duration,
}

/// What Redis said to a push.
#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    /// It has every message.
    Pushed(Pushed),
    /// It took nothing, since it lost what comes after `newest`.
    Behind { newest: u64 },
}

/// A push that Redis acknowledged.
#[derive(Debug, PartialEq)]
pub(super) struct Pushed {
    /// What the queue looks like now.
    pub(super) acknowledgement: Acknowledgement,
    /// Why the cap was not applied, if it was not. The messages are in the queue all the same.
    pub(super) trim_error: Option<String>,
    /// Replicas that have them, when that was asked for.
    pub(super) replicas: Option<u64>,
}

impl Commands {
    pub(super) fn new(settings: &RedisSettings) -> Self {
        Self {
            key: settings.key.clone(),
            mode: settings.mode,
            cap: settings.cap(),
            once: (settings.delivery == DeliveryMode::ExactlyOnce).then(|| PushOnce::new(settings.mode)),
            // Half of the time to answer, so that the answer itself is not late.
            replicas: (settings.wait_replicas > 0)
                .then(|| Replicas { wanted: settings.wait_replicas, patience: settings.response_timeout / 2 }),
        }
    }

    /// The question how long the queue is.
    pub(super) fn length(&self) -> Cmd {
        let command = match self.mode {
            QueueMode::List => "LLEN",
            QueueMode::Stream => "XLEN",
        };
        redis::cmd(command).arg(&self.key).to_owned()
    }

    /// What a user must be allowed to do, for people to read.
    pub(super) fn permissions(&self) -> &'static str {
        match (self.mode, &self.once) {
            (QueueMode::List, None) => "LPUSH, LTRIM, LLEN and PING",
            (QueueMode::Stream, None) => "XADD, XTRIM, XLEN and PING",
            (QueueMode::List, Some(_)) => {
                "EVALSHA, SCRIPT LOAD, GET, SET, LPUSH, LTRIM, LLEN, PING and WAIT for exactly_once"
            }
            (QueueMode::Stream, Some(_)) => {
                "EVALSHA, SCRIPT LOAD, GET, SET, XADD, XTRIM, XLEN, PING and WAIT for exactly_once"
            }
        }
    }

    /// Pushes a batch in its order and trims the queue to its cap, all in one round trip.
    pub(super) async fn push(&self, connection: &mut impl ConnectionLike, batch: &Batch) -> RedisResult<Outcome> {
        match (&self.once, self.mode) {
            (Some(script), _) => self.push_once(connection, script, batch).await,
            (None, QueueMode::List) => self.push_to_list(connection, &batch.messages).await,
            (None, QueueMode::Stream) => self.push_to_stream(connection, batch).await,
        }
    }

    /// Each reply is judged by itself: an error of LTRIM must not hide that LPUSH was acknowledged.
    async fn push_to_list(
        &self,
        connection: &mut impl ConnectionLike,
        messages: &[EncodedMessage],
    ) -> RedisResult<Outcome> {
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.ignore_errors().add_command(lpush(&self.key, messages));
        let Some(cap) = self.cap else {
            let (length,): (RedisResult<u64>,) = pipeline.query_async(connection).await?;
            return Ok(pushed(length?, 0, None));
        };
        pipeline.cmd("LTRIM").arg(&self.key).arg(0).arg(cap.get() - 1);
        let (length, trim): (RedisResult<u64>, RedisResult<()>) = pipeline.query_async(connection).await?;
        let length = length?;
        let trimmed = if trim.is_ok() { length.saturating_sub(cap.get()) } else { 0 };
        Ok(pushed(length - trimmed, trimmed, trim.err()))
    }

    /// XTRIM once a batch rather than `MAXLEN` with each XADD: it is the same trimming, and it says how many went.
    async fn push_to_stream(&self, connection: &mut impl ConnectionLike, batch: &Batch) -> RedisResult<Outcome> {
        let instance_id = batch.instance_id.to_string();
        let mut pipeline = Pipeline::with_capacity(batch.messages.len() + 2);
        pipeline.ignore_errors();
        for message in &batch.messages {
            pipeline.add_command(xadd(&self.key, &instance_id, message));
        }
        if let Some(cap) = self.cap {
            pipeline.cmd("XTRIM").arg(&self.key).arg("MAXLEN").arg("~").arg(cap.get());
        }
        pipeline.add_command(self.length());

        let replies: Vec<RedisResult<Value>> = pipeline.query_async(connection).await?;
        let mut replies = replies.into_iter();
        for added in replies.by_ref().take(batch.messages.len()) {
            added?;
        }
        let (trimmed, trim_error) = match self.cap.and_then(|_| replies.next()) {
            Some(Ok(trimmed)) => (from_redis_value(trimmed)?, None),
            Some(Err(error)) => (0, Some(error)),
            None => (0, None),
        };
        // A user who may not ask for the length can publish all the same.
        let length = replies.next().and_then(Result::ok).map(from_redis_value).transpose()?.unwrap_or_default();
        Ok(pushed(length, trimmed, trim_error))
    }

    async fn push_once(
        &self,
        connection: &mut impl ConnectionLike,
        script: &PushOnce,
        batch: &Batch,
    ) -> RedisResult<Outcome> {
        let mut pipeline = Pipeline::with_capacity(2);
        let mark = mark_key(&self.key, batch.instance_id);
        pipeline.ignore_errors().add_command(script.call(&self.key, &mark, self.cap, batch));
        if let Some(Replicas { wanted, patience }) = &self.replicas {
            pipeline.cmd("WAIT").arg(wanted).arg(patience.as_millis().max(1) as u64);
        }
        let mut replies: Vec<RedisResult<Value>> = pipeline.query_async(connection).await?;
        if replies.first().is_some_and(is_unknown_script) {
            // A server that was started or promoted since does not have it.
            script.load(connection).await?;
            replies = pipeline.query_async(connection).await?;
        }

        let mut replies = replies.into_iter();
        let answer = replies.next().unwrap_or(Ok(Value::Nil))?;
        match Answer::of(from_redis_value(answer)?) {
            Answer::Behind { newest } => Ok(Outcome::Behind { newest }),
            Answer::Taken { length, trimmed, trim_error } => Ok(Outcome::Pushed(Pushed {
                acknowledgement: Acknowledgement { queue_length: length, trimmed, ..Acknowledgement::default() },
                trim_error: (!trim_error.is_empty()).then_some(trim_error),
                replicas: replies.next().transpose()?.map(from_redis_value).transpose()?,
            })),
        }
    }
}

fn pushed(queue_length: u64, trimmed: u64, trim_error: Option<RedisError>) -> Outcome {
    Outcome::Pushed(Pushed {
        acknowledgement: Acknowledgement { queue_length, trimmed, ..Acknowledgement::default() },
        trim_error: trim_error.map(|error| error.to_string()),
        replicas: None,
    })
}

fn is_unknown_script(reply: &RedisResult<Value>) -> bool {
    reply.as_ref().is_err_and(|error| error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
}

/// One command takes all messages, so that Redis takes all or none of them.
fn lpush(key: &str, messages: &[EncodedMessage]) -> Cmd {
    const NAME: &str = "LPUSH";
    let size = NAME.len() + key.len() + messages.iter().map(|message| message.body.len()).sum::<usize>();
    let mut command = Cmd::with_capacity(messages.len() + 2, size);
    command.arg(NAME).arg(key);
    for message in messages {
        command.arg(message.body.as_ref());
    }
    command
}

fn xadd(key: &str, instance_id: &str, message: &EncodedMessage) -> Cmd {
    let mut command = Cmd::with_capacity(9, key.len() + instance_id.len() + message.body.len() + 64);
    command.arg("XADD").arg(key).arg("*").arg("instance_id").arg(instance_id);
    command.arg("sequence").arg(message.sequence).arg("message").arg(message.body.as_ref());
    command
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use redis::parse_redis_value;
    use redis_test::{MockCmd, MockRedisConnection};
    use uuid::Uuid;

    use super::*;

    /// The queue `queue`, with a cap of 10 messages or none.
    fn commands(mode: QueueMode, max_length: u64) -> Commands {
        Commands::new(&RedisSettings { mode, max_length, ..RedisSettings::new("", "queue") })
    }

    fn list(max_length: u64) -> Commands {
        commands(QueueMode::List, max_length)
    }

    /// A server that expects `request`, in words, a line a command, and answers with `replies`, as on the wire.
    fn server(request: &[&str], replies: &[&str]) -> MockRedisConnection {
        let mut pipeline = redis::pipe();
        for line in request {
            let mut words = line.split(' ');
            pipeline.cmd(words.next().unwrap());
            for word in words {
                pipeline.arg(word);
            }
        }
        let replies: Vec<Value> =
            replies.iter().map(|reply| parse_redis_value(format!("{reply}\r\n").as_bytes()).unwrap()).collect();
        MockRedisConnection::new([MockCmd::with_values(pipeline, Ok(replies))]).assert_all_commands_consumed()
    }

    fn batch(json: &[&str]) -> Batch {
        let message = |(json, sequence): (&&str, u64)| EncodedMessage {
            sequence,
            body: Bytes::copy_from_slice(json.as_bytes()),
            is_gap_record: false,
            is_sample: true,
        };
        Batch { instance_id: Uuid::nil(), acknowledged: 0, messages: json.iter().zip(1..).map(message).collect() }
    }

    fn acknowledged(queue_length: u64, trimmed: u64) -> Outcome {
        pushed(queue_length, trimmed, None)
    }

    #[tokio::test]
    async fn a_push_with_a_cap_is_one_lpush_and_one_ltrim() {
        let mut server = server(&["LPUSH queue a b c", "LTRIM queue 0 9"], &[":3", "+OK"]);
        let pushed = list(10).push(&mut server, &batch(&["a", "b", "c"])).await;
        assert_eq!(pushed, Ok(acknowledged(3, 0)));
    }

    #[tokio::test]
    async fn a_push_without_a_cap_is_one_lpush() {
        let mut server = server(&["LPUSH queue a"], &[":1000000"]);
        let pushed = list(0).push(&mut server, &batch(&["a"])).await;
        assert_eq!(pushed, Ok(acknowledged(1_000_000, 0)));
    }

    #[tokio::test]
    async fn what_the_cap_pushes_out_is_counted() {
        let mut server = server(&["LPUSH queue a b c", "LTRIM queue 0 9"], &[":12", "+OK"]);
        let pushed = list(10).push(&mut server, &batch(&["a", "b", "c"])).await;
        assert_eq!(pushed, Ok(acknowledged(10, 2)));
    }

    #[tokio::test]
    async fn a_refused_trim_does_not_undo_the_acknowledgement() {
        let refusal = "-NOPERM this user has no permissions to run the 'ltrim' command";
        let mut server = server(&["LPUSH queue a", "LTRIM queue 0 9"], &[":12", refusal]);
        let Outcome::Pushed(pushed) = list(10).push(&mut server, &batch(&["a"])).await.unwrap() else { panic!() };
        assert_eq!((pushed.acknowledgement.queue_length, pushed.acknowledgement.trimmed), (12, 0));
        assert!(pushed.trim_error.unwrap().contains("no permissions to run the 'ltrim' command"));
    }

    #[tokio::test]
    async fn a_refused_push_is_an_error_whatever_became_of_the_trim() {
        let refusal = "-OOM command not allowed when used memory > 'maxmemory'.";
        let mut server = server(&["LPUSH queue a", "LTRIM queue 0 9"], &[refusal, "+OK"]);
        let error = list(10).push(&mut server, &batch(&["a"])).await.unwrap_err();
        assert_eq!(error.code(), Some("OOM"));
    }

    #[tokio::test]
    async fn a_reply_that_is_no_length_is_an_error() {
        let mut server = server(&["LPUSH queue a"], &["+QUEUED"]);
        let error = list(0).push(&mut server, &batch(&["a"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse);
    }

    #[tokio::test]
    async fn a_push_to_a_stream_is_an_entry_a_message_one_trim_and_the_length() {
        let mut server = server(
            &[
                "XADD queue * instance_id 00000000-0000-0000-0000-000000000000 sequence 1 message a",
                "XADD queue * instance_id 00000000-0000-0000-0000-000000000000 sequence 2 message b",
                "XTRIM queue MAXLEN ~ 10",
                "XLEN queue",
            ],
            &["$3\r\n1-0", "$3\r\n2-0", ":5", ":12"],
        );
        let pushed = commands(QueueMode::Stream, 10).push(&mut server, &batch(&["a", "b"])).await;
        assert_eq!(pushed, Ok(acknowledged(12, 5)));
    }

    #[tokio::test]
    async fn an_entry_that_was_refused_fails_the_batch() {
        let mut server = server(
            &["XADD queue * instance_id 00000000-0000-0000-0000-000000000000 sequence 1 message a", "XLEN queue"],
            &["-OOM command not allowed when used memory > 'maxmemory'.", ":0"],
        );
        let error = commands(QueueMode::Stream, 0).push(&mut server, &batch(&["a"])).await.unwrap_err();
        assert_eq!(error.code(), Some("OOM"));
    }
}
