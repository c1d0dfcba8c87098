//! The script that takes each message once.

use std::num::NonZeroU64;
use std::time::Duration;

use redis::aio::ConnectionLike;
use redis::{Cmd, RedisResult, Script};
use telemetry_outbox::Batch;
use telemetry_redis::QueueMode;

/// How long the server remembers an instance that sends nothing.
const MARK_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// `KEYS`: queue, mark. `ARGV`: what was acknowledged, the cap or 0, the mark's lifetime, the instance, then number and
/// text of each message. The answer: whether it took them, the mark or the length, what it trimmed, why it could not trim.
///
/// A message is new if its number is above the mark and above all numbers before it in the batch: a batch that has a number
/// twice, or goes back to an earlier one, leaves no duplicate.
///
/// Everything that can be refused is refused before the first message is in the queue, or undone. A number is exact in
/// Lua up to 2^53. The mark is written even when nothing is new, so that a WAIT behind it speaks of what an earlier
/// connection pushed.
const HEAD: &str = r"
local queue, key = KEYS[1], KEYS[2]
local acknowledged, cap, lifetime, instance = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4]
local before = tonumber(redis.call('GET', key) or '0') or 0
if before < acknowledged then
  return {'behind', before, 0, ''}
end
local after, new, count = before, {}, 0
for i = 5, #ARGV, 2 do
  local sequence = tonumber(ARGV[i])
  if sequence > after then
    after, count = sequence, count + 1
    new[count] = i
  end
end
local set = redis.pcall('SET', key, string.format('%.0f', after), 'EX', lifetime)
if set.err then
  return set
end
local function undo(failure)
  redis.call('SET', key, string.format('%.0f', before), 'EX', lifetime)
  return failure
end
local trimmed, trim_error = 0, ''
";

const LIST: &str = r"
local length
if count > 0 then
  local command = {'LPUSH', queue}
  for n = 1, count do
    command[n + 2] = ARGV[new[n] + 1]
  end
  length = redis.pcall(unpack(command))
else
  length = redis.pcall('LLEN', queue)
end
if type(length) == 'table' and length.err then
  return undo(length)
end
if cap > 0 and length > cap then
  local trim = redis.pcall('LTRIM', queue, 0, cap - 1)
  if trim.err then
    trim_error = trim.err
  else
    trimmed = length - cap
    length = cap
  end
end
return {'taken', length, trimmed, trim_error}
";

const STREAM: &str = r"
local length = redis.pcall('XLEN', queue)
if type(length) == 'table' and length.err then
  return undo(length)
end
for n = 1, count do
  local i = new[n]
  local id = redis.pcall('XADD', queue, '*', 'instance_id', instance, 'sequence', ARGV[i], 'message', ARGV[i + 1])
  if type(id) == 'table' and id.err then
    return undo(id)
  end
  length = length + 1
end
if cap > 0 then
  local trim = redis.pcall('XTRIM', queue, 'MAXLEN', '~', cap)
  if type(trim) == 'table' and trim.err then
    trim_error = trim.err
  else
    trimmed = trim
    length = length - trim
  end
end
return {'taken', length, trimmed, trim_error}
";

/// The script for one kind of queue.
pub(super) struct PushOnce {
    script: Script,
}

/// What the script said.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It has every message.
    Taken {
        length: u64,
        trimmed: u64,
        /// Why the cap was not applied; empty when it was.
        trim_error: String,
    },
    /// It took nothing, since the mark is below what was acknowledged.
    Behind { newest: u64 },
}

impl PushOnce {
    pub(super) fn new(mode: QueueMode) -> Self {
        let tail = match mode {
            QueueMode::List => LIST,
            QueueMode::Stream => STREAM,
        };
        Self { script: Script::new(&format!("{HEAD}{tail}")) }
    }

    /// The call that pushes `batch` to `queue` and remembers it under `mark`.
    pub(super) fn call(&self, queue: &str, mark: &str, cap: Option<NonZeroU64>, batch: &Batch) -> Cmd {
        let size: usize = batch.messages.iter().map(|message| message.body.len() + 20).sum();
        let mut command = Cmd::with_capacity(9 + 2 * batch.messages.len(), 256 + queue.len() + mark.len() + size);
        command.arg("EVALSHA").arg(self.script.get_hash()).arg(2).arg(queue).arg(mark);
        command.arg(batch.acknowledged).arg(cap.map_or(0, NonZeroU64::get)).arg(MARK_LIFETIME.as_secs());
        command.arg(batch.instance_id.to_string());
        for message in &batch.messages {
            command.arg(message.sequence).arg(message.body.as_ref());
        }
        command
    }

    /// Gives the server the script.
    pub(super) async fn load(&self, connection: &mut impl ConnectionLike) -> RedisResult<()> {
        self.script.load_async(connection).await.map(drop)
    }
}

impl Answer {
    pub(super) fn of((outcome, number, trimmed, trim_error): (String, u64, u64, String)) -> Self {
        match outcome.as_str() {
            "behind" => Self::Behind { newest: number },
            _ => Self::Taken { length: number, trimmed, trim_error },
        }
    }
}
