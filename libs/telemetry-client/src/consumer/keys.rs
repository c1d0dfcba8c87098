//! The names of everything a consumer keeps in Redis.

use uuid::Uuid;

use super::queue::Source;

/// The keys of one consumer of one queue, all in one slot of a Redis Cluster.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub(super) queue: String,
    pub(super) dead: String,
    pub(super) consumers: String,
    tagged: String,
}

impl Keys {
    pub(super) fn new(queue: &str, source: &Source) -> Self {
        let tagged = if has_hash_tag(queue) { queue.to_owned() } else { format!("{{{queue}}}") };
        Self {
            queue: queue.to_owned(),
            dead: format!("{tagged}:dead"),
            consumers: match source {
                Source::List => format!("{tagged}:consumers"),
                Source::Stream { group } => format!("{tagged}:consumers:{group}"),
            },
            tagged,
        }
    }

    /// What `consumer` has taken and not acknowledged.
    pub(super) fn processing(&self, consumer: &Uuid) -> String {
        format!("{}:processing:{consumer}", self.tagged)
    }

    /// Exists while `consumer` lives.
    pub(super) fn alive(&self, consumer: &Uuid) -> String {
        format!("{}:alive:{consumer}", self.tagged)
    }
}

/// Whether a Cluster hashes only a part of the key: what stands between the first brace and the next closing one.
fn has_hash_tag(key: &str) -> bool {
    key.split_once('{').and_then(|(_, rest)| rest.split_once('}')).is_some_and(|(tag, _)| !tag.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_in_the_slot_of_the_queue() {
        assert_eq!(Keys::new("telemetry:queue", &Source::List).dead, "{telemetry:queue}:dead");
        assert_eq!(Keys::new("telemetry:{7}:queue", &Source::List).dead, "telemetry:{7}:queue:dead");
        assert_eq!(Keys::new("{}queue", &Source::List).consumers, "{{}queue}:consumers");
        let stream = Source::Stream { group: "exporter".to_owned() };
        assert_eq!(Keys::new("queue", &stream).consumers, "{queue}:consumers:exporter");
    }
}
