//! The queue's commands on the wire.

use std::num::NonZeroU64;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisResult};

use crate::batch::EncodedMessage;
use crate::publishers::Acknowledgement;

/// A push that Redis acknowledged.
#[derive(Debug, PartialEq)]
pub(super) struct Pushed {
    /// What the queue looks like now.
    pub(super) acknowledgement: Acknowledgement,
    /// Why the cap was not applied, if it was not. The messages are in the queue all the same.
    pub(super) trim_error: Option<RedisError>,
}

/// Pushes `messages` in their order, all or none, and trims the queue to `cap` messages, all in one round trip.
pub(super) async fn push(
    connection: &mut impl ConnectionLike,
    key: &str,
    cap: Option<NonZeroU64>,
    messages: &[EncodedMessage],
) -> RedisResult<Pushed> {
    // Each reply is judged by itself: an error of LTRIM must not hide that LPUSH was acknowledged.
    let mut pipeline = Pipeline::with_capacity(2);
    pipeline.ignore_errors().add_command(lpush(key, messages));

    let Some(cap) = cap else {
        let (length,): (RedisResult<u64>,) = pipeline.query_async(connection).await?;
        let acknowledgement = Acknowledgement { queue_length: length?, trimmed: 0 };
        return Ok(Pushed { acknowledgement, trim_error: None });
    };

    pipeline.cmd("LTRIM").arg(key).arg(0).arg(cap.get() - 1);
    let (length, trim): (RedisResult<u64>, RedisResult<()>) = pipeline.query_async(connection).await?;
    let length = length?;
    let trim_error = trim.err();
    let trimmed = if trim_error.is_none() { length.saturating_sub(cap.get()) } else { 0 };
    Ok(Pushed { acknowledgement: Acknowledgement { queue_length: length - trimmed, trimmed }, trim_error })
}

/// One command takes all messages, so that Redis takes all or none of them.
fn lpush(key: &str, messages: &[EncodedMessage]) -> Cmd {
    const NAME: &str = "LPUSH";
    let size = NAME.len() + key.len() + messages.iter().map(|message| message.json.len()).sum::<usize>();
    let mut command = Cmd::with_capacity(messages.len() + 2, size);
    command.arg(NAME).arg(key);
    for message in messages {
        command.arg(message.json.as_ref());
    }
    command
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use redis::{ErrorKind, Value, parse_redis_value};
    use redis_test::{MockCmd, MockRedisConnection};

    use super::*;

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

    fn messages(json: &[&str]) -> Vec<EncodedMessage> {
        json.iter()
            .zip(1..)
            .map(|(json, sequence)| EncodedMessage {
                sequence,
                json: Bytes::copy_from_slice(json.as_bytes()),
                is_gap_record: false,
            })
            .collect()
    }

    fn acknowledged(queue_length: u64, trimmed: u64) -> Pushed {
        Pushed { acknowledgement: Acknowledgement { queue_length, trimmed }, trim_error: None }
    }

    #[tokio::test]
    async fn a_push_with_a_cap_is_one_lpush_and_one_ltrim() {
        let mut server = server(&["LPUSH queue a b c", "LTRIM queue 0 9"], &[":3", "+OK"]);
        let pushed = push(&mut server, "queue", NonZeroU64::new(10), &messages(&["a", "b", "c"])).await;
        assert_eq!(pushed, Ok(acknowledged(3, 0)));
    }

    #[tokio::test]
    async fn a_push_without_a_cap_is_one_lpush() {
        let mut server = server(&["LPUSH queue a"], &[":1000000"]);
        let pushed = push(&mut server, "queue", None, &messages(&["a"])).await;
        assert_eq!(pushed, Ok(acknowledged(1_000_000, 0)));
    }

    #[tokio::test]
    async fn what_the_cap_pushes_out_is_counted() {
        let mut server = server(&["LPUSH queue a b c", "LTRIM queue 0 9"], &[":12", "+OK"]);
        let pushed = push(&mut server, "queue", NonZeroU64::new(10), &messages(&["a", "b", "c"])).await;
        assert_eq!(pushed, Ok(acknowledged(10, 2)));
    }

    #[tokio::test]
    async fn a_refused_trim_does_not_undo_the_acknowledgement() {
        let refusal = "-NOPERM this user has no permissions to run the 'ltrim' command";
        let mut server = server(&["LPUSH queue a", "LTRIM queue 0 9"], &[":12", refusal]);
        let pushed = push(&mut server, "queue", NonZeroU64::new(10), &messages(&["a"])).await.unwrap();
        assert_eq!(pushed.acknowledgement, Acknowledgement { queue_length: 12, trimmed: 0 });
        assert_eq!(pushed.trim_error.unwrap().code(), Some("NOPERM"));
    }

    #[tokio::test]
    async fn a_refused_push_is_an_error_whatever_became_of_the_trim() {
        let refusal = "-OOM command not allowed when used memory > 'maxmemory'.";
        let mut server = server(&["LPUSH queue a", "LTRIM queue 0 9"], &[refusal, "+OK"]);
        let error = push(&mut server, "queue", NonZeroU64::new(10), &messages(&["a"])).await.unwrap_err();
        assert_eq!(error.code(), Some("OOM"));
    }

    #[tokio::test]
    async fn a_reply_that_is_no_length_is_an_error() {
        let mut server = server(&["LPUSH queue a"], &["+QUEUED"]);
        let error = push(&mut server, "queue", None, &messages(&["a"])).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse);
    }
}
