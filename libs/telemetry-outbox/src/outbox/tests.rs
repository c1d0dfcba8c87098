#![allow(clippy::unwrap_used)]

mod feed;

use std::time::Duration;

use std::collections::BTreeSet;

use proptest::prelude::*;

use telemetry_proto::v1::{ControlEvent, GapRecord, TelemetryData};

use super::*;
use crate::batch::Encoding;
use crate::testing::{outbox_with, sample};

fn outbox(max_bytes: usize) -> Outbox {
    outbox_that(OnFull::DropOldest, max_bytes)
}

fn outbox_that(on_full: OnFull, max_bytes: usize) -> Outbox {
    outbox_with(OutboxSettings { max_bytes, on_full, encoding: Encoding::Json })
}

/// Bytes that one waiting sample takes.
fn sample_bytes() -> usize {
    let outbox = outbox(usize::MAX);
    outbox.append(sample()).unwrap();
    outbox.status().bytes + 16
}

fn broken() -> TelemetryData {
    let mut broken = sample();
    broken.metadata.as_mut().unwrap().hostname.clear();
    broken
}

async fn take(outbox: &Outbox) -> Vec<TelemetryMessage> {
    let batch = outbox.next_batch().await.unwrap();
    let messages = read(&batch);
    outbox.acknowledge(batch);
    messages
}

async fn take_all(outbox: &Outbox) -> Vec<TelemetryMessage> {
    let mut messages = Vec::new();
    while outbox.status().messages > 0 {
        messages.extend(take(outbox).await);
    }
    messages
}

async fn take_all_of_closed(outbox: &Outbox) -> Vec<TelemetryMessage> {
    outbox.close();
    let mut messages = Vec::new();
    while let Some(batch) = outbox.next_batch().await {
        messages.extend(read(&batch));
        outbox.acknowledge(batch);
    }
    messages
}

fn read(batch: &Batch) -> Vec<TelemetryMessage> {
    batch.messages.iter().map(|message| TelemetryMessage::from_either(&message.body).unwrap()).collect()
}

fn sequences(messages: &[TelemetryMessage]) -> Vec<u64> {
    messages.iter().map(|message| message.sequence).collect()
}

fn gap(message: &TelemetryMessage) -> &GapRecord {
    match &message.payload {
        Some(Payload::Gap(gap)) => gap,
        other => panic!("not a gap record: {other:?}"),
    }
}

#[tokio::test]
async fn messages_leave_in_the_order_of_their_numbers() {
    let outbox = outbox(usize::MAX);
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    let messages = take(&outbox).await;
    assert_eq!(sequences(&messages), [1, 2, 3]);
    assert!(messages.iter().all(|message| message.instance_id == messages[0].instance_id));
    assert_eq!(outbox.status(), OutboxStatus::default());
}

#[tokio::test]
async fn a_batch_counts_until_it_is_acknowledged() {
    let outbox = outbox(usize::MAX);
    outbox.append(sample()).unwrap();
    let full = outbox.status();
    let batch = outbox.next_batch().await.unwrap();
    assert_eq!(outbox.status(), full);
    outbox.acknowledge(batch);
    assert_eq!(outbox.status(), OutboxStatus::default());
}

#[tokio::test]
async fn a_batch_is_bounded_in_messages() {
    let outbox = outbox(usize::MAX);
    for _ in 0..=BATCH_MAX_MESSAGES {
        outbox.append(sample()).unwrap();
    }
    assert_eq!(take(&outbox).await.len(), BATCH_MAX_MESSAGES);
    assert_eq!(take(&outbox).await.len(), 1);
}

#[tokio::test]
async fn a_batch_is_bounded_in_bytes_but_never_empty() {
    let outbox = outbox(usize::MAX);
    let mut wide = sample();
    wide.metadata.as_mut().unwrap().labels.insert("wide".to_owned(), "w".repeat(BATCH_MAX_BYTES));
    outbox.append(wide).unwrap();
    outbox.append(sample()).unwrap();
    assert_eq!(sequences(&take(&outbox).await), [1]);
    assert_eq!(sequences(&take(&outbox).await), [2]);
}

#[tokio::test]
async fn when_there_is_no_room_the_oldest_go_and_a_gap_record_names_them() {
    let outbox = outbox(3 * sample_bytes());
    for _ in 0..7 {
        outbox.append(sample()).unwrap();
    }
    assert_eq!((outbox.status().lost, outbox.status().unreported), (4, 4));
    let messages = take_all(&outbox).await;
    assert_eq!(sequences(&messages), [5, 6, 7, 8]);
    assert_eq!(*gap(&messages[3]), GapRecord::new([1..=4], GapReason::OutboxFull));
    assert_eq!((outbox.status().lost, outbox.status().unreported), (4, 0));
}

#[tokio::test]
async fn messages_in_flight_are_not_given_up() {
    let outbox = outbox(3 * sample_bytes());
    outbox.append(sample()).unwrap();
    let in_flight = outbox.next_batch().await.unwrap();
    for _ in 0..4 {
        outbox.append(sample()).unwrap();
    }
    assert_eq!(sequences(&read(&in_flight)), [1]);
    outbox.acknowledge(in_flight);
    let rest = take_all(&outbox).await;
    assert_eq!(sequences(&rest), [4, 5, 6]);
    assert_eq!(*gap(&rest[2]), GapRecord::new([2..=3], GapReason::OutboxFull));
}

#[tokio::test]
async fn what_a_lost_gap_record_named_is_named_again() {
    let outbox = outbox(2 * sample_bytes());
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    take(&outbox).await;
    // Number 4 is the gap record of number 1; samples push it out.
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    let messages = take_all(&outbox).await;
    let told = messages.iter().filter(|message| matches!(message.payload, Some(Payload::Gap(_)))).collect::<Vec<_>>();
    assert_eq!(*gap(told[0]), GapRecord::new([1..=1, 3..=5], GapReason::OutboxFull), "{messages:?}");
}

#[tokio::test]
async fn an_outage_keeps_the_newest_in_a_small_outbox() {
    let outbox = outbox(8 * sample_bytes());
    for _ in 0..8 {
        outbox.append(sample()).unwrap();
    }
    let in_flight = outbox.next_batch().await.unwrap();
    for _ in 0..100 {
        outbox.append(sample()).unwrap();
    }
    assert!(in_flight.messages.len() <= 2);
    assert!(outbox.status().messages >= 7, "{:?}", outbox.status());
}

#[tokio::test]
async fn messages_in_protobuf_keep_every_promise() {
    let settings = OutboxSettings { max_bytes: 300, on_full: OnFull::DropOldest, encoding: Encoding::Protobuf };
    let outbox = outbox_with(settings);
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    take(&outbox).await;
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    let messages = take_all_of_closed(&outbox).await;
    let told: Vec<_> = messages.iter().filter(|message| matches!(message.payload, Some(Payload::Gap(_)))).collect();
    assert_eq!(*gap(told[0]), GapRecord::new([1..=2, 4..=6], GapReason::OutboxFull), "{messages:?}");
}

#[tokio::test]
async fn a_decimated_outbox_spans_the_whole_outage() {
    let outbox = outbox_that(OnFull::Decimate, 16 * sample_bytes());
    for _ in 0..64 {
        outbox.append(sample()).unwrap();
    }
    let kept = take_all(&outbox).await;
    let samples: Vec<u64> = sequences(&kept).into_iter().filter(|sequence| *sequence <= 64).collect();
    assert_eq!((samples.first(), samples.last()), (Some(&1), Some(&64)), "{samples:?}");
    let widest = samples.windows(2).map(|pair| pair[1] - pair[0]).max();
    assert!(samples.len() > 8 && widest <= Some(8), "{samples:?}");
    assert!(kept.iter().skip(samples.len()).all(|told| gap(told).reason() == GapReason::Decimated), "{kept:?}");
}

#[tokio::test]
async fn decimation_keeps_control_events() {
    let outbox = outbox_that(OnFull::Decimate, 16 * sample_bytes());
    let control_event = || ControlEvent {
        hostname: "testhost".to_owned(),
        previous_interval: Some(Duration::from_secs(1).into()),
        interval: Some(Duration::from_millis(200).into()),
        ..ControlEvent::default()
    };
    let mut events = Vec::new();
    for number in 0..64 {
        outbox.append(sample()).unwrap();
        if number % 20 == 7 {
            events.push(outbox.append(control_event()).unwrap());
        }
    }
    let mut kept = take_all(&outbox).await;
    kept.retain(|message| matches!(message.payload, Some(Payload::Control(_))));
    assert_eq!(kept.into_iter().map(Arc::new).collect::<Vec<_>>(), events);
}

#[tokio::test]
async fn a_batch_that_is_given_back_is_the_next_one_again() {
    let outbox = outbox(usize::MAX);
    outbox.append(sample()).unwrap();
    outbox.append(sample()).unwrap();
    let batch = outbox.next_batch().await.unwrap();
    outbox.append(sample()).unwrap();
    outbox.give_back(batch);
    assert_eq!(sequences(&take(&outbox).await), [1, 2, 3]);
}

#[tokio::test]
async fn batches_that_come_back_in_any_order_leave_in_that_of_their_numbers() {
    let outbox = outbox(usize::MAX);
    let mut batches = Vec::new();
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
        batches.push(outbox.next_batch().await.unwrap());
    }
    outbox.append(sample()).unwrap();
    let woken = outbox.changed();
    batches.into_iter().for_each(|batch| outbox.give_back(batch));
    woken.await;
    assert_eq!(sequences(&take_all(&outbox).await), [1, 2, 3, 4]);
}

#[tokio::test]
async fn reported_losses_are_named_with_their_instance() {
    let outbox = outbox(usize::MAX);
    let other = Uuid::from_u128(7);
    outbox.report([
        Loss { instance_id: outbox.instance_id(), numbers: vec![2..=3], reason: GapReason::SpoolDamaged },
        Loss { instance_id: other, numbers: vec![9..=9], reason: GapReason::SpoolFull },
    ]);
    assert_eq!((outbox.status().lost, outbox.status().unreported), (3, 3));
    let told = take_all_of_closed(&outbox).await;
    assert_eq!(*gap(&told[0]), GapRecord::new([2..=3], GapReason::SpoolDamaged));
    assert_eq!(*gap(&told[1]), GapRecord::new([9..=9], GapReason::SpoolFull).of_instance(other));
}

#[tokio::test]
async fn a_message_larger_than_the_outbox_is_kept_until_the_next_comes() {
    let outbox = outbox(sample_bytes() / 2);
    outbox.append(sample()).unwrap();
    assert_eq!(sequences(&take(&outbox).await), [1]);
    outbox.append(sample()).unwrap();
    outbox.append(sample()).unwrap();
    assert_eq!(sequences(&take_all(&outbox).await), [3, 4]);
}

#[tokio::test]
async fn a_sample_that_breaks_the_schema_is_refused_and_its_number_named() {
    let outbox = outbox(usize::MAX);
    let error = outbox.append(broken()).unwrap_err();
    assert!(format!("{error:?}").contains("data.metadata.hostname"), "{error}");
    outbox.close();
    assert_eq!(*gap(&take(&outbox).await[0]), GapRecord::new([1..=1], GapReason::Invalid));
    assert!(outbox.next_batch().await.is_none());
}

#[tokio::test]
async fn a_closed_outbox_ends_once_it_is_empty() {
    let outbox = outbox(usize::MAX);
    outbox.append(sample()).unwrap();
    outbox.close();
    outbox.closed().await;
    assert_eq!(sequences(&take(&outbox).await), [1]);
    assert!(outbox.next_batch().await.is_none());
}

#[tokio::test]
async fn whoever_waits_is_woken_by_a_message_and_by_the_end() {
    let outbox = outbox(usize::MAX);
    let waiting = tokio::spawn({
        let outbox = outbox.clone();
        async move { (take(&outbox).await, outbox.next_batch().await.is_none()) }
    });
    tokio::task::yield_now().await;
    outbox.append(sample()).unwrap();
    tokio::task::yield_now().await;
    outbox.close();
    let (messages, ended) = waiting.await.unwrap();
    assert_eq!((sequences(&messages), ended), (vec![1], true));
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Append,
    AppendBroken,
    Deliver,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![6 => Just(Step::Append), 1 => Just(Step::AppendBroken), 3 => Just(Step::Deliver)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The promise itself: whatever the order of samples and deliveries and however small the outbox, each number is
    /// delivered once and in order, or named once in a gap record.
    #[test]
    fn every_number_is_delivered_or_named(
        steps in proptest::collection::vec(step(), 1..120),
        room in 1_usize..12,
        on_full in prop_oneof![Just(OnFull::DropOldest), Just(OnFull::Decimate)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let max_bytes = room * sample_bytes();
            let outbox = outbox_that(on_full, max_bytes);
            let mut delivered = Vec::new();
            for step in steps {
                match step {
                    Step::Append => {
                        outbox.append(sample()).unwrap();
                        let OutboxStatus { messages, bytes, .. } = outbox.status();
                        prop_assert!(bytes <= max_bytes || messages == 1);
                    }
                    Step::AppendBroken => { outbox.append(broken()).unwrap_err(); }
                    Step::Deliver if outbox.status().messages > 0 => delivered.extend(take(&outbox).await),
                    Step::Deliver => {}
                }
            }
            delivered.extend(take_all_of_closed(&outbox).await);
            let mut accounted = sequences(&delivered);
            prop_assert!(accounted.windows(2).all(|pair| pair[0] < pair[1]), "{accounted:?}");
            for message in &delivered {
                if let Some(Payload::Gap(gap)) = &message.payload {
                    accounted.extend(gap.missing.iter().flat_map(|range| range.first..=range.last));
                }
            }
            accounted.sort_unstable();
            let numbered = outbox.ledger().stamper.last_sequence();
            prop_assert_eq!(accounted, (1..=numbered).collect::<Vec<_>>());
            prop_assert_eq!(outbox.status().unreported, 0);
            Ok(())
        })?;
    }
}
