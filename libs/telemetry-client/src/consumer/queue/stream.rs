//! The commands of a stream and its consumer group. What a consumer has taken is in the group's list of pending entries.

use std::collections::HashMap;

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisResult};
use uuid::Uuid;

use super::super::delivery::Settlement;
use super::{BATCH, BLOCK, BURY, Element, Queue};

/// An entry: its id, and its fields unless it was trimmed away.
type Entry = (String, Option<HashMap<String, Vec<u8>>>);

/// Entries that are looked at when those of a consumer are counted or claimed; more than any may have in flight is no use.
const ALL: usize = 100_000;

/// How many entries a consumer has.
const COUNT: &str = "return #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', ARGV[2], ARGV[3])";

/// Claims what a consumer had taken, unless it lives. One that had nothing is forgotten.
const RECLAIM: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local pending = redis.call('XPENDING', KEYS[2], ARGV[1], '-', '+', ARGV[2], ARGV[3])
for _, entry in ipairs(pending) do redis.call('XCLAIM', KEYS[2], ARGV[1], ARGV[4], 0, entry[1], 'JUSTID') end
if #pending == 0 then
  redis.call('XGROUP', 'DELCONSUMER', KEYS[2], ARGV[1], ARGV[3])
  redis.call('SREM', KEYS[3], ARGV[3])
end
return #pending";

impl Queue {
    /// Makes the group, which begins with what the stream holds now, unless it is there.
    pub(super) async fn make_group(&self, connection: &mut MultiplexedConnection, group: &str) -> RedisResult<()> {
        let mut command = redis::cmd("XGROUP");
        command.arg("CREATE").arg(&self.keys.queue).arg(group).arg("0").arg("MKSTREAM");
        match command.query_async::<()>(connection).await {
            Err(error) if error.code() == Some("BUSYGROUP") => Ok(()),
            made => made,
        }
    }

    pub(super) async fn take_of_stream(
        &self,
        connection: &mut MultiplexedConnection,
        group: &str,
        room: usize,
    ) -> RedisResult<Vec<Element>> {
        let block = u64::try_from(BLOCK.as_millis()).unwrap_or(u64::MAX);
        let mut command = self.read_group(group);
        command.arg("COUNT").arg(room.min(BATCH)).arg("BLOCK").arg(block);
        entries(command.arg("STREAMS").arg(&self.keys.queue).arg(">"), connection).await
    }

    pub(super) async fn held_of_stream(
        &self,
        connection: &mut MultiplexedConnection,
        group: &str,
    ) -> RedisResult<Vec<Element>> {
        let mut command = self.read_group(group);
        entries(command.arg("COUNT").arg(ALL).arg("STREAMS").arg(&self.keys.queue).arg("0"), connection).await
    }

    fn read_group(&self, group: &str) -> Cmd {
        let mut command = redis::cmd("XREADGROUP");
        command.arg("GROUP").arg(group).arg(self.consumer.to_string());
        command
    }

    pub(super) fn settle_in_stream(&self, commands: &mut Pipeline, group: &str, element: &Element, how: &Settlement) {
        match how {
            Settlement::Acknowledged => commands.cmd("XACK").arg(&self.keys.queue).arg(group).arg(&element.id).ignore(),
            // It stays this consumer's, which looks for it there.
            Settlement::Returned => commands,
            Settlement::Dead(reason) => {
                let script = format!("if redis.call('XACK', KEYS[1], ARGV[3], ARGV[4]) == 1 then {BURY} end");
                let bury = self.bury(commands, &script, &self.keys.queue, &element.payload, reason);
                bury.arg(group).arg(&element.id).ignore()
            }
        };
    }

    pub(super) fn count_in_stream(&self, commands: &mut Pipeline, group: &str) {
        let command = commands.cmd("EVAL").arg(COUNT).arg(1).arg(&self.keys.queue);
        command.arg(group).arg(ALL).arg(self.consumer.to_string());
    }

    pub(super) fn reclaim_in_stream(&self, commands: &mut Pipeline, group: &str, consumer: Uuid) {
        let keys = [self.keys.alive(consumer), self.keys.queue.clone(), self.keys.consumers.clone()];
        let command = commands.cmd("EVAL").arg(RECLAIM).arg(keys.len()).arg(&keys);
        command.arg(group).arg(ALL).arg(consumer.to_string()).arg(self.consumer.to_string());
    }
}

/// What a command answers of one stream; nothing when its time is over.
async fn entries(command: &Cmd, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Element>> {
    let streams: Option<Vec<(String, Vec<Entry>)>> = command.query_async(connection).await?;
    let entries = streams.into_iter().flatten().flat_map(|(_, entries)| entries);
    let element = |(id, fields): Entry| {
        let payload = fields.and_then(|mut fields| fields.remove("message")).unwrap_or_default();
        Element { id, payload }
    };
    Ok(entries.map(element).collect())
}
