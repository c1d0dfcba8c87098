//! The names of all keys, chosen so that everything about one queue is in one slot of a Cluster.
//!
//! A Cluster hashes only the part of a key between its first `{` and the next `}`, its *hash tag*, when there is one and
//! it is not empty. A queue that has none is tagged with its whole name: `{queue}:dead` is in the slot of `queue`.

use uuid::Uuid;

use crate::setting::{InvalidSetting, Setting, SettingProblem};

/// What the key of a queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueMode {
    /// A list: pushed at the left, popped at the right.
    List,
    /// A stream, with an entry for each message.
    Stream,
}

/// The key of `host`'s queue when the queue is spread over `shards` keys.
///
/// The number of the shard is a hash tag, so that a Cluster spreads the keys over its nodes. A host stays in its shard as
/// long as the number of shards does, so its messages stay in order.
///
/// # Errors
/// [`SettingProblem::HashTag`] when the key has a hash tag already, which would put every shard on one node.
pub fn shard_key(key: &str, shards: u32, host: &str) -> Result<String, InvalidSetting> {
    if shards <= 1 {
        return Ok(key.to_owned());
    }
    untagged(key)?;
    Ok(shard(key, fnv1a(host.as_bytes()) % u64::from(shards)))
}

/// Every key that [`shard_key`] gives to some host, in the order of their numbers.
///
/// # Errors
/// As [`shard_key`].
pub fn shard_keys(key: &str, shards: u32) -> Result<Vec<String>, InvalidSetting> {
    if shards <= 1 {
        return Ok(vec![key.to_owned()]);
    }
    untagged(key)?;
    Ok((0..u64::from(shards)).map(|number| shard(key, number)).collect())
}

/// The key of the highest number that the queue `key` has of an instance.
#[must_use]
pub fn mark_key(key: &str, instance_id: Uuid) -> String {
    format!("{}:mark:{instance_id}", tagged(key))
}

/// The keys that the consumers of one queue share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueKeys {
    /// The list or stream itself.
    pub queue: String,
    /// The dead-letter list.
    pub dead: String,
    /// The set of the ids of all consumers.
    pub consumers: String,
    tagged: String,
}

impl QueueKeys {
    /// The keys of the list `queue`.
    #[must_use]
    pub fn of_list(queue: &str) -> Self {
        let tagged = tagged(queue);
        Self {
            queue: queue.to_owned(),
            dead: format!("{tagged}:dead"),
            consumers: format!("{tagged}:consumers"),
            tagged,
        }
    }

    /// The keys of the stream `queue` as the consumer group `group` reads it.
    #[must_use]
    pub fn of_stream(queue: &str, group: &str) -> Self {
        let keys = Self::of_list(queue);
        Self { consumers: format!("{}:{group}", keys.consumers), ..keys }
    }

    /// The processing list of `consumer`: messages that it has taken and not acknowledged.
    #[must_use]
    pub fn processing(&self, consumer: Uuid) -> String {
        format!("{}:processing:{consumer}", self.tagged)
    }

    /// The key that exists while `consumer` lives.
    #[must_use]
    pub fn alive(&self, consumer: Uuid) -> String {
        format!("{}:alive:{consumer}", self.tagged)
    }
}

fn shard(key: &str, number: u64) -> String {
    format!("{key}:{{{number}}}")
}

fn untagged(key: &str) -> Result<(), InvalidSetting> {
    let Some(tag) = hash_tag(key) else { return Ok(()) };
    let problem = SettingProblem::HashTag { key: key.to_owned(), tag: tag.to_owned() };
    Err(InvalidSetting::new(Setting::Key, problem))
}

/// What keys of the queue `key` begin with to be in its slot.
fn tagged(key: &str) -> String {
    if hash_tag(key).is_some() { key.to_owned() } else { format!("{{{key}}}") }
}

/// The part of a key that a Cluster hashes, when it is not the whole key.
fn hash_tag(key: &str) -> Option<&str> {
    let (_, rest) = key.split_once('{')?;
    rest.split_once('}').map(|(tag, _)| tag).filter(|tag| !tag.is_empty())
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
    fn gives_the_key_itself_for_one_shard() {
        assert_eq!(shard_key("{a}:queue", 1, "web-7").unwrap(), "{a}:queue");
    }

    #[test]
    fn never_changes_a_hosts_shard() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
        assert_eq!(shard_key("telemetry:queue", 8, "5e3f0c61d2b84f7a9c1d7be04a6f2c13").unwrap(), "telemetry:queue:{5}");
    }

    #[test]
    fn spreads_hosts_evenly() {
        let mut hosts = BTreeMap::<_, u32>::new();
        for host in 0..8_000 {
            *hosts.entry(shard_key("q", 8, &format!("web-{host}")).unwrap()).or_default() += 1;
        }
        assert_eq!(hosts.len(), 8);
        assert!(hosts.values().all(|count| (900..1100).contains(count)), "{hosts:?}");
    }

    #[test]
    fn rejects_shards_of_a_key_with_a_hash_tag() {
        let problem = "key: the hash tag \"{a}\" of \"{a}:queue\" would keep all shards on one node of a Cluster";
        assert_eq!(shard_key("{a}:queue", 2, "web-7").unwrap_err().to_string(), problem);
        assert_eq!(shard_keys("{a}:queue", 2).unwrap_err().to_string(), problem);
    }

    #[test]
    fn lists_every_shard() {
        assert_eq!(shard_keys("{a}:queue", 1).unwrap(), ["{a}:queue"]);
        let keys = shard_keys("q", 3).unwrap();
        assert_eq!(keys, ["q:{0}", "q:{1}", "q:{2}"]);
        assert!((0..100).all(|host| keys.contains(&shard_key("q", 3, &format!("web-{host}")).unwrap())));
    }

    #[test]
    fn every_key_is_in_the_slot_of_its_queue() {
        for (queue, tagged) in [
            ("queue", "{queue}"),
            ("{a}:queue", "{a}:queue"),
            ("queue:{3}", "queue:{3}"),
            ("a{}b{c}", "{a{}b{c}}"),
            ("a{b", "{a{b}"),
        ] {
            let (id, keys) = (Uuid::nil(), QueueKeys::of_stream(queue, "exporter"));
            assert_eq!(mark_key(queue, id), format!("{tagged}:mark:{id}"));
            assert_eq!(keys.queue, queue);
            assert_eq!(keys.dead, format!("{tagged}:dead"));
            assert_eq!(keys.consumers, format!("{tagged}:consumers:exporter"));
            assert_eq!(keys.processing(id), format!("{tagged}:processing:{id}"));
            assert_eq!(keys.alive(id), format!("{tagged}:alive:{id}"));
            assert_eq!(QueueKeys::of_list(queue).consumers, format!("{tagged}:consumers"));
        }
    }
}
