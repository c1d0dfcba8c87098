//! What subscriptions are told of the messages in memory.

use telemetry_proto::v1::DeliveryState::{Acknowledged, Lost, Pending};
use telemetry_proto::v1::DeliveryUpdate;

use super::*;
use crate::feed::{FEED_EVENTS_MAX, FEED_RANGES_MAX, FeedEvent, Tally};
use crate::testing::Told;

fn delivery(event: Option<FeedEvent>) -> DeliveryUpdate {
    match event {
        Some(FeedEvent::Delivery(update)) => (*update).clone(),
        other => panic!("not a delivery update: {other:?}"),
    }
}

#[tokio::test]
async fn tells_messages_as_they_are_in_the_queue_and_what_becomes_of_them() {
    let outbox = outbox(usize::MAX);
    let mut following = outbox.feed().subscribe();
    assert_eq!(delivery(following.next().await), DeliveryUpdate { state: Pending.into(), ..Default::default() });

    outbox.append(sample()).unwrap();
    let queued = take(&outbox).await;
    assert_eq!(following.next().await, Some(FeedEvent::Message(Arc::new(queued[0].clone()))));
    let acknowledged = DeliveryUpdate { numbers: vec![(1..=1).into()], state: Acknowledged.into(), reason: None };
    assert_eq!(delivery(following.next().await), acknowledged);
    assert_eq!(following.try_next(), None);
}

#[tokio::test]
async fn tells_what_is_lost_why_and_the_gap_record_that_names_it() {
    let outbox = outbox(3 * sample_bytes());
    let mut following = outbox.feed().subscribe();
    for _ in 0..7 {
        outbox.append(sample()).unwrap();
    }
    outbox.append(broken()).unwrap_err();
    let mut told = Told::default();
    told.read(&mut following);
    assert_eq!(told.that_are(Lost), [1, 2, 3, 4, 8]);
    assert_eq!(told.states[&1], (Lost, Some(GapReason::OutboxFull)));
    assert_eq!(told.states[&8], (Lost, Some(GapReason::Invalid)));
    assert_eq!(told.that_are(Pending), [5, 6, 7]);

    take_all(&outbox).await;
    told.read(&mut following);
    // The gap records.
    assert_eq!((told.newest, told.that_are(Pending)), (10, vec![]));
    assert_eq!(told.that_are(Acknowledged), [5, 6, 7, 9, 10]);
}

#[tokio::test]
async fn tells_nothing_of_the_numbers_of_other_instances() {
    let outbox = outbox(usize::MAX);
    outbox.append(sample()).unwrap();
    let mut following = outbox.feed().subscribe();
    outbox.report([Loss { instance_id: Uuid::from_u128(7), numbers: vec![1..=1], reason: GapReason::SpoolFull }]);
    let mut told = Told::default();
    told.read(&mut following);
    assert_eq!(told.that_are(Pending), [1]);
}

#[tokio::test]
async fn tells_a_slow_subscription_how_many_events_it_missed() {
    let outbox = outbox(usize::MAX);
    let mut slow = outbox.feed().subscribe();
    for _ in 0..FEED_EVENTS_MAX + 5 {
        outbox.append(sample()).unwrap();
    }
    assert_eq!(delivery(slow.try_next()).numbers, []);
    assert_eq!(slow.try_next(), Some(FeedEvent::Missed(5)));
    let Some(FeedEvent::Message(oldest)) = slow.try_next() else { panic!() };
    assert_eq!(oldest.sequence, 6);
    assert_eq!(std::iter::from_fn(|| slow.try_next()).count(), FEED_EVENTS_MAX - 1);
}

#[tokio::test]
async fn keeps_nothing_for_subscriptions_that_have_ended_or_read_everything() {
    let outbox = outbox(usize::MAX);
    let mut following = outbox.feed().subscribe();
    let read = outbox.append(sample()).unwrap();
    while following.try_next().is_some() {}
    let unread = outbox.append(sample()).unwrap();
    drop(following);
    let unfollowed = outbox.append(sample()).unwrap();
    assert_eq!([read, unread, unfollowed].map(|message| Arc::strong_count(&message)), [1, 1, 1]);
}

#[tokio::test]
async fn names_many_ranges_in_several_updates() {
    let outbox = outbox(usize::MAX);
    for _ in 0..2 * FEED_RANGES_MAX + 20 {
        outbox.append(sample()).unwrap();
    }
    let even = (1..=FEED_RANGES_MAX as u64 + 10).map(|half| 2 * half..=2 * half).collect();
    outbox.report([Loss { instance_id: outbox.instance_id(), numbers: even, reason: GapReason::Decimated }]);
    let mut following = outbox.feed().subscribe();
    let lengths = [delivery(following.try_next()), delivery(following.try_next())].map(|update| update.numbers.len());
    assert_eq!((lengths, following.try_next()), ([FEED_RANGES_MAX, 10], None));
}

#[tokio::test]
async fn ends_with_the_outbox() {
    let outbox = outbox(usize::MAX);
    let mut following = outbox.feed().subscribe();
    following.next().await.unwrap();
    outbox.append(sample()).unwrap();
    drop(outbox);
    assert!(matches!(following.next().await, Some(FeedEvent::Message(_))));
    assert_eq!(following.next().await, None);
}

/// What can happen to an outbox.
#[derive(Debug, Clone, Copy)]
enum Happens {
    Append,
    AppendBroken,
    Deliver,
    /// A batch leaves and comes back.
    GiveBack,
    /// The spool, if there were one, loses the numbers up to here.
    LoseUpTo(u64),
    /// The destination has the same batch twice.
    DeliverTwice,
    /// The destination has lost everything from here on and gets it again.
    Forget(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        8 => Just(Happens::Append),
        1 => Just(Happens::AppendBroken),
        4 => Just(Happens::Deliver),
        2 => Just(Happens::GiveBack),
        1 => (1_u64..60).prop_map(Happens::LoseUpTo),
        1 => Just(Happens::DeliverTwice),
        1 => (1_u64..60).prop_map(Happens::Forget),
    ]
}

fn happen(outbox: &Outbox, happens: Happens, delivered: &mut BTreeSet<u64>) {
    let mut acknowledge = |batch: Batch| {
        delivered.extend(batch.messages.iter().map(|message| message.sequence));
        outbox.acknowledge(batch);
    };
    match happens {
        Happens::Append => drop(outbox.append(sample()).unwrap()),
        Happens::AppendBroken => drop(outbox.append(broken()).unwrap_err()),
        Happens::Deliver => outbox.try_next_batch().into_iter().for_each(acknowledge),
        Happens::GiveBack => outbox.try_next_batch().into_iter().for_each(|batch| outbox.give_back(batch)),
        Happens::LoseUpTo(last) => {
            let instance_id = outbox.instance_id();
            let last = last.min(outbox.ledger().stamper.last_sequence());
            // What is in memory is not lost on disk.
            let first_in_memory = outbox.ledger().waiting.front().map_or(u64::MAX, |message| message.sequence);
            let numbers = (1..=last.min(first_in_memory - 1)).filter(|number| !delivered.contains(number));
            let numbers = numbers.map(|number| number..=number).collect();
            outbox.report([Loss { instance_id, numbers, reason: GapReason::SpoolDamaged }]);
        }
        Happens::DeliverTwice => {
            if let Some(batch) = outbox.try_next_batch() {
                outbox.note_acknowledged(&batch);
                acknowledge(batch);
            }
        }
        Happens::Forget(first) => {
            let again: Vec<u64> = delivered.range(first..).copied().collect();
            outbox.note_pending_again(again.clone());
            outbox.ledger().account.acknowledged(again);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever happens, and whenever somebody begins to follow: each number is told as pending and then once as acknowledged
    /// or lost, messages come in the order of their numbers, and in the end it is what became of them. A subscription that
    /// begins late knows of what is pending what one from the beginning knows. The tally counts what was told.
    #[test]
    fn each_number_is_told_once(
        all in proptest::collection::vec(happens(), 1..100),
        late in 0_usize..100,
        room in 1_usize..12,
        on_full in prop_oneof![Just(OnFull::DropOldest), Just(OnFull::Decimate)],
    ) {
        let outbox = outbox_that(on_full, room * sample_bytes());
        let (mut from_the_beginning, mut told) = (outbox.feed().subscribe(), Told::default());
        let (mut following_late, mut told_late) = (None, Told::default());
        let mut delivered = BTreeSet::new();
        for (index, happens) in all.iter().enumerate() {
            if index == late {
                told_late.newest = outbox.ledger().stamper.last_sequence();
                following_late = Some(outbox.feed().subscribe());
            }
            happen(&outbox, *happens, &mut delivered);
            told.again.clear();
            told_late.again.clear();
            told.read(&mut from_the_beginning);
            let [pending, acknowledged, lost] =
                [Pending, Acknowledged, Lost].map(|state| told.that_are(state).len() as u64);
            prop_assert_eq!(outbox.feed().tally(), Tally { pending, acknowledged, lost });
            following_late.iter_mut().for_each(|late| told_late.read(late));
            prop_assert_eq!(following_late.is_none() || told.that_are(Pending) == told_late.that_are(Pending), true);
        }
        outbox.close();
        while let Some(batch) = outbox.try_next_batch() {
            delivered.extend(batch.messages.iter().map(|message| message.sequence));
            outbox.acknowledge(batch);
        }
        told.read(&mut from_the_beginning);
        prop_assert_eq!(told.that_are(Pending), Vec::<u64>::new());
        prop_assert_eq!(told.that_are(Acknowledged), delivered.into_iter().collect::<Vec<_>>());
        let numbered = outbox.ledger().stamper.last_sequence();
        prop_assert_eq!(told.states.keys().copied().collect::<Vec<_>>(), (1..=numbered).collect::<Vec<_>>());
    }
}
