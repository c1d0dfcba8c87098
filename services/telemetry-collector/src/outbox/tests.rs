#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::clock::WallClock;
use crate::testing::sample;

fn outbox(max_bytes: usize) -> Outbox {
    Outbox::new(max_bytes, Stamper::new(WallClock::system()))
}

/// Bytes that one waiting sample takes.
fn sample_bytes() -> usize {
    let outbox = outbox(usize::MAX);
    outbox.append(sample()).unwrap();
    outbox.status().bytes + 16
}

async fn take(outbox: &Outbox) -> Vec<TelemetryMessage> {
    let batch = outbox.next_batch().await.unwrap();
    let messages = read(&batch);
    outbox.acknowledge(batch);
    messages
}

fn read(batch: &Batch) -> Vec<TelemetryMessage> {
    batch.messages().iter().map(|message| TelemetryMessage::from_json(&message.json).unwrap()).collect()
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
    assert_eq!(outbox.status().lost, 4);
    assert_eq!(sequences(&take(&outbox).await), [5, 6, 7]);

    let told = take(&outbox).await;
    assert_eq!(sequences(&told), [8]);
    assert_eq!(*gap(&told[0]), GapRecord::new([1..=4], GapReason::OutboxFull));
}

#[tokio::test]
async fn messages_on_their_way_are_not_given_up() {
    let outbox = outbox(2 * sample_bytes());
    outbox.append(sample()).unwrap();
    let on_its_way = outbox.next_batch().await.unwrap();
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    assert_eq!(sequences(&read(&on_its_way)), [1]);
    outbox.acknowledge(on_its_way);
    let rest = take(&outbox).await;
    assert_eq!(sequences(&rest), [4, 5]);
    assert_eq!(*gap(&rest[1]), GapRecord::new([2..=3], GapReason::OutboxFull));
}

#[tokio::test]
async fn a_gap_record_that_is_lost_is_told_again() {
    let outbox = outbox(2 * sample_bytes());
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    take(&outbox).await;
    // Number 4 is the gap record of number 1; samples push it out.
    for _ in 0..3 {
        outbox.append(sample()).unwrap();
    }
    take(&outbox).await;
    let told = take(&outbox).await;
    assert_eq!(*gap(&told[0]), GapRecord::new([1..=1, 4..=5], GapReason::OutboxFull));
}

#[tokio::test]
async fn a_sample_that_breaks_the_schema_is_refused_and_its_number_named() {
    let outbox = outbox(usize::MAX);
    let mut broken = sample();
    broken.metadata.as_mut().unwrap().hostname.clear();
    let error = outbox.append(broken).unwrap_err();
    assert!(crate::errors::report(&error).contains("data.metadata.hostname"), "{error:?}");

    outbox.append(sample()).unwrap();
    assert_eq!(sequences(&take(&outbox).await), [2]);
    assert_eq!(*gap(&take(&outbox).await[0]), GapRecord::new([1..=1], GapReason::Invalid));
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The promise itself: whatever the order of samples and deliveries and however small the outbox, each number is
    /// delivered once and in order, or named once in a gap record.
    #[test]
    fn every_number_is_delivered_or_named(deliveries in proptest::collection::vec(any::<bool>(), 1..120), room in 1_usize..6) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let outbox = outbox(room * sample_bytes());
            let mut delivered = Vec::new();
            let mut last = 0;
            for deliver in deliveries {
                if deliver && outbox.status().messages > 0 {
                    delivered.extend(take(&outbox).await);
                } else {
                    last = outbox.append(sample()).unwrap().sequence;
                }
                prop_assert!(outbox.status().bytes <= room * sample_bytes());
            }
            outbox.close();
            while let Some(batch) = outbox.next_batch().await {
                delivered.extend(read(&batch));
                outbox.acknowledge(batch);
            }
            let mut accounted = sequences(&delivered);
            prop_assert!(accounted.windows(2).all(|pair| pair[0] < pair[1]), "{accounted:?}");
            for message in &delivered {
                if let Some(Payload::Gap(gap)) = &message.payload {
                    accounted.extend(gap.missing.iter().flat_map(|range| range.first..=range.last));
                }
            }
            accounted.sort_unstable();
            let all: Vec<u64> = (1..=*accounted.last().unwrap_or(&0)).collect();
            prop_assert_eq!(accounted, all);
            prop_assert!(delivered.last().is_none_or(|message| message.sequence >= last));
            Ok(())
        })?;
    }
}
