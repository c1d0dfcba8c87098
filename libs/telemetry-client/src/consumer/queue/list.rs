//! The commands of a list.

use redis::aio::MultiplexedConnection;
use redis::{Pipeline, RedisResult};
use uuid::Uuid;

use super::super::delivery::Settlement;
use super::{BATCH, BLOCK, BURY, Element, Queue};

/// Gives back what a consumer had taken, oldest at the head again, unless it lives. One that had nothing is forgotten; one
/// that had something is forgotten the next time, since a server may still serve a connection of its own.
const RECLAIM: &str = "
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local moved = 0
while redis.call('LMOVE', KEYS[2], KEYS[3], 'LEFT', 'RIGHT') do moved = moved + 1 end
if moved == 0 then redis.call('SREM', KEYS[4], ARGV[1]) end
return moved";

/// Puts a message that this consumer still has back to the head of the queue.
const RETURN: &str = "
if redis.call('LREM', KEYS[1], -1, ARGV[1]) == 1 then redis.call('RPUSH', KEYS[2], ARGV[1]) end";

impl Queue {
    pub(super) async fn take_of_list(
        &self,
        connection: &mut MultiplexedConnection,
        room: usize,
    ) -> RedisResult<Vec<Element>> {
        let (first, waiting): (Option<Vec<u8>>, usize) = redis::pipe()
            .cmd("BLMOVE")
            .arg(&[&self.keys.queue, &self.processing, "RIGHT", "LEFT"])
            .arg(BLOCK.as_secs())
            .cmd("LLEN")
            .arg(&self.keys.queue)
            .query_async(connection)
            .await?;
        let Some(first) = first else { return Ok(Vec::new()) };
        let mut taken = vec![Element::of_list(first)];
        let more = waiting.min(room - 1).min(BATCH - 1);
        if more > 0 {
            let mut moves = Pipeline::new();
            for _ in 0..more {
                moves.cmd("LMOVE").arg(&[&self.keys.queue, &self.processing, "RIGHT", "LEFT"]);
            }
            let moved: Vec<Option<Vec<u8>>> = moves.query_async(connection).await?;
            taken.extend(moved.into_iter().flatten().map(Element::of_list));
        }
        Ok(taken)
    }

    pub(super) async fn held_of_list(&self, connection: &mut MultiplexedConnection) -> RedisResult<Vec<Element>> {
        let held: Vec<Vec<u8>> =
            redis::cmd("LRANGE").arg(&self.processing).arg(0).arg(-1).query_async(connection).await?;
        Ok(held.into_iter().rev().map(Element::of_list).collect())
    }

    pub(super) fn settle_in_list(&self, commands: &mut Pipeline, Element { payload, .. }: &Element, how: &Settlement) {
        match how {
            // By value: a place in the list would be another's after this consumer was taken for dead.
            Settlement::Acknowledged => commands.cmd("LREM").arg(&self.processing).arg(-1).arg(payload),
            Settlement::Returned => {
                commands.cmd("EVAL").arg(RETURN).arg(2).arg(&[&self.processing, &self.keys.queue]).arg(payload)
            }
            Settlement::Dead(reason) => {
                let script = format!("if redis.call('LREM', KEYS[1], -1, ARGV[3]) == 1 then {BURY} end");
                self.bury(commands, &script, &self.processing, payload, reason).arg(payload)
            }
        }
        .ignore();
    }

    pub(super) fn reclaim_in_list(&self, commands: &mut Pipeline, consumer: Uuid) {
        let keys = [
            self.keys.alive(consumer),
            self.keys.processing(consumer),
            self.keys.queue.clone(),
            self.keys.consumers.clone(),
        ];
        commands.cmd("EVAL").arg(RECLAIM).arg(keys.len()).arg(&keys).arg(consumer.to_string());
    }
}
