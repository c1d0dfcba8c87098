//! Names of keys, chosen so that a Cluster can serve them.

use uuid::Uuid;

use crate::errors::{TelemetryError, TelemetryResult};

/// The key of `host`'s queue when the queue is spread over `shards` keys.
///
/// The number of the shard is a hash tag, so that a Cluster spreads the keys over its nodes. A host stays in its shard as
/// long as the number of shards does: its messages stay in order.
///
/// # Errors
/// [`Configuration`](TelemetryError::Configuration) when the key has a hash tag already, which would put every shard on
/// one node.
pub fn shard_key(key: &str, shards: u32, host: &str) -> TelemetryResult<String> {
    if shards <= 1 {
        return Ok(key.to_owned());
    }
    if let Some(tag) = hash_tag(key) {
        let problem = format!("the hash tag {{{tag}}} of {key:?} would keep all shards on one node of a Cluster");
        return Err(TelemetryError::setting("TELEMETRY_REDIS__KEY", problem));
    }
    Ok(format!("{key}:{{{}}}", fnv1a(host.as_bytes()) % u64::from(shards)))
}

/// The key of the highest number that the queue `key` has of an instance, in the queue's own slot.
pub(super) fn mark_key(key: &str, instance_id: Uuid) -> String {
    match hash_tag(key) {
        Some(_) => format!("{key}:mark:{instance_id}"),
        None => format!("{{{key}}}:mark:{instance_id}"),
    }
}

/// The part of a key that a Cluster hashes, when it is not the whole key.
fn hash_tag(key: &str) -> Option<&str> {
    let (_, behind) = key.split_once('{')?;
    behind.split_once('}').map(|(tag, _)| tag).filter(|tag| !tag.is_empty())
}

/// FNV-1a: the standard library's hash may differ from one release to the next, and with it the host's shard.
fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    bytes.iter().fold(OFFSET, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_shard_is_the_key_itself() {
        assert_eq!(shard_key("{a}:queue", 1, "web-7").unwrap(), "{a}:queue");
    }

    #[test]
    fn a_hosts_shard_never_changes() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(shard_key("telemetry:queue", 8, "5e3f0c61d2b84f7a9c1d7be04a6f2c13").unwrap(), "telemetry:queue:{5}");
    }

    #[test]
    fn hosts_spread_evenly() {
        let mut hosts = BTreeMap::<_, u32>::new();
        for host in 0..8_000 {
            *hosts.entry(shard_key("q", 8, &format!("web-{host}")).unwrap()).or_default() += 1;
        }
        assert_eq!(hosts.len(), 8);
        assert!(hosts.values().all(|count| (900..1100).contains(count)), "{hosts:?}");
    }

    #[test]
    fn a_key_with_a_hash_tag_cannot_be_sharded() {
        let error = shard_key("{a}:queue", 2, "web-7").unwrap_err();
        assert!(error.to_string().starts_with("TELEMETRY_REDIS__KEY: the hash tag {a} of"), "{error}");
    }

    #[test]
    fn a_mark_is_in_the_slot_of_its_queue() {
        for (key, mark) in [
            ("queue", "{queue}:mark:"),
            ("{a}:queue", "{a}:queue:mark:"),
            ("queue:{3}", "queue:{3}:mark:"),
            ("a{}b{c}", "{a{}b{c}}:mark:"),
            ("a{b", "{a{b}:mark:"),
        ] {
            assert_eq!(mark_key(key, Uuid::nil()), format!("{mark}{}", Uuid::nil()));
        }
    }
}
