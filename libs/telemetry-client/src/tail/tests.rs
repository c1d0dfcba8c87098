//! A tail beside collectors and consumers that do anything in any order: what it tells is true.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use telemetry_proto::v1::{GapReason, GapRecord, Stamp, TelemetryMessage};
use telemetry_testing::RedisServer;
use uuid::Uuid;

use super::{QueueTail, TailEvent, TailSettings};

const QUEUE: &str = "telemetry:queue";
const STEPS: usize = 150;
/// A push is repeated with up to so many messages: more than the tail takes for known ones in a row.
const MAX_PUSH: u64 = 60;

type Number = (Uuid, u64);

/// The queue, and what is known of it.
struct World {
    redis: RedisServer,
    random: SmallRng,
    /// The highest number of each instance.
    instances: BTreeMap<Uuid, u64>,
    /// What the list holds, newest first.
    list: VecDeque<Number>,
    payloads: BTreeMap<Number, Vec<u8>>,
    /// The numbers of each instance's last push.
    last_push: BTreeMap<Uuid, RangeInclusive<u64>>,
    /// What a consumer has taken, oldest first.
    taken: Vec<Number>,
    told: BTreeSet<Number>,
    missing: BTreeSet<Number>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let random = SmallRng::seed_from_u64(seed);
        let instances = (1..=3).map(|instance| (Uuid::from_u128(instance), 0)).collect();
        let (list, payloads) = (VecDeque::new(), BTreeMap::new());
        let (last_push, taken) = (BTreeMap::new(), Vec::new());
        let (told, missing) = (BTreeSet::new(), BTreeSet::new());
        let redis = RedisServer::start().await;
        Self { redis, random, instances, list, payloads, last_push, taken, told, missing }
    }

    async fn push(&mut self, instance: Uuid, count: u64) {
        let numbers = self.instances[&instance] + 1..=self.instances[&instance] + count;
        for sequence in numbers.clone() {
            let (message_id, collected_at) = (Uuid::now_v7(), SystemTime::now());
            let stamp = Stamp { message_id, instance_id: instance, sequence, collected_at };
            let record = GapRecord::new([u64::MAX - 1..=u64::MAX - 1], GapReason::OutboxFull);
            let message = TelemetryMessage::new(stamp, record);
            self.payloads.insert((instance, sequence), message.to_json().unwrap());
        }
        self.instances.insert(instance, *numbers.end());
        self.last_push.insert(instance, numbers);
        self.push_again(instance).await;
    }

    /// As after a push whose answer was lost.
    async fn push_again(&mut self, instance: Uuid) {
        let mut command = redis::cmd("LPUSH");
        command.arg(QUEUE);
        for number in self.last_push[&instance].clone().map(|sequence| (instance, sequence)) {
            command.arg(&self.payloads[&number]);
            self.list.push_front(number);
        }
        self.redis.run(&command).await;
    }

    async fn take(&mut self, count: usize) {
        for _ in 0..count {
            let Some(number) = self.list.pop_back() else { return };
            self.redis.run(redis::cmd("RPOP").arg(QUEUE)).await;
            self.taken.push(number);
        }
    }

    async fn give_back(&mut self) {
        for number in std::mem::take(&mut self.taken).into_iter().rev() {
            self.redis.run(redis::cmd("RPUSH").arg(QUEUE).arg(&self.payloads[&number])).await;
            self.list.push_back(number);
        }
    }

    async fn trim(&mut self, length: usize) {
        self.redis.run(redis::cmd("LTRIM").arg(QUEUE).arg(0).arg(length - 1)).await;
        self.list.truncate(length);
    }

    async fn step(&mut self) {
        let instance = Uuid::from_u128(self.random.random_range(1..=3));
        match self.random.random_range(0..10) {
            0..4 => {
                let most = if self.random.random_ratio(1, 4) { MAX_PUSH } else { 3 };
                let count = self.random.random_range(1..=most);
                self.push(instance, count).await;
            }
            4 => self.push_again(instance).await,
            5 | 6 => {
                let most = if self.random.random_ratio(1, 4) { self.list.len() + 1 } else { 5 };
                let count = self.random.random_range(1..=most);
                self.take(count).await;
            }
            7 => self.give_back().await,
            8 => self.taken.clear(),
            _ => {
                let length = self.random.random_range(1..200);
                self.trim(length).await;
            }
        }
    }

    /// Takes down what one look tells.
    async fn look(&mut self, tail: &mut QueueTail) {
        assert!(tail.look().await.is_ok());
        for event in tail.ready.drain(..) {
            match event {
                TailEvent::Message(message) => {
                    let number = (message.instance_id.parse().unwrap(), message.sequence);
                    assert!(self.list.contains(&number), "{number:?} is not in the queue");
                    assert!(self.told.insert(number), "{number:?} is told twice");
                }
                TailEvent::Missing { instance_id, numbers } => {
                    for number in numbers {
                        let number = (instance_id, number);
                        assert!(!self.list.contains(&number), "{number:?} is in the queue");
                        assert!(!self.told.contains(&number), "{number:?} was told");
                        assert!(self.missing.insert(number), "{number:?} is missing twice");
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn tells_each_message_once_and_only_what_is_not_in_the_queue_as_missing() {
    for seed in 0..20 {
        println!("seed {seed}");
        let mut world = World::new(seed).await;
        let settings = TailSettings::new(world.redis.unix_url(), QUEUE).last(100).missing_after(Duration::ZERO);
        let mut tail = QueueTail::connect(settings).unwrap();
        let instances: Vec<_> = world.instances.keys().copied().collect();
        for instance in &instances {
            world.push(*instance, 1).await;
        }
        world.look(&mut tail).await;
        for _ in 0..STEPS {
            world.step().await;
            if world.random.random_ratio(1, 3) {
                world.look(&mut tail).await;
            }
        }
        // A later number shows what was missing before.
        for instance in instances {
            world.push(instance, 1).await;
        }
        world.look(&mut tail).await;
        for (instance, highest) in &world.instances {
            for number in (1..=*highest).map(|sequence| (*instance, sequence)) {
                assert!(world.told.contains(&number) || world.missing.contains(&number), "{number:?} is not told");
                assert!(world.told.contains(&number) || !world.list.contains(&number), "{number:?} is in the queue");
            }
        }
    }
}
