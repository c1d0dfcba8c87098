//! Looks at a stream, without a consumer group.

use std::collections::HashMap;

use redis::RedisResult;
use redis::aio::MultiplexedConnection;

use super::Look;
use super::found::Found;

/// Entries that are read at once.
const PAGE: usize = 256;

type Entry = (String, HashMap<String, Vec<u8>>);

/// The newest entries. `last_id` becomes the id of the last one.
pub(super) async fn newest(
    connection: &mut MultiplexedConnection,
    key: &str,
    shown: usize,
    last_id: &mut String,
) -> RedisResult<Look> {
    let mut command = redis::cmd("XREVRANGE");
    command.arg(key).arg("+").arg("-").arg("COUNT").arg(shown.max(1));
    let mut entries: Vec<Entry> = command.query_async(connection).await?;
    entries.reverse();
    Ok(look(entries, last_id))
}

/// The entries after `last_id`, which becomes the id of the last one.
pub(super) async fn after(
    connection: &mut MultiplexedConnection,
    key: &str,
    last_id: &mut String,
) -> RedisResult<Look> {
    let mut command = redis::cmd("XREAD");
    command.arg("COUNT").arg(PAGE).arg("STREAMS").arg(key).arg(&*last_id);
    let streams: Option<Vec<(String, Vec<Entry>)>> = command.query_async(connection).await?;
    let entries: Vec<_> = streams.into_iter().flatten().flat_map(|(_, entries)| entries).collect();
    Ok(look(entries, last_id))
}

fn look(entries: Vec<Entry>, last_id: &mut String) -> Look {
    if let Some((id, _)) = entries.last() {
        last_id.clone_from(id);
    }
    let more = entries.len() >= PAGE;
    let payloads = entries.into_iter().map(|(_, mut fields)| fields.remove("message").unwrap_or_default());
    Look { found: payloads.map(Found::new).collect(), more, skipped: false }
}
