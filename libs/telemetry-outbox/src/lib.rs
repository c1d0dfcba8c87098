//! Keeps telemetry messages until their destination has acknowledged them: in memory, and on disk behind it.
//!
//! A program appends samples to an [`Outbox`], which numbers and encodes them. A [`Spool`], if there is one, writes them to
//! disk. A [`Backlog`] gives them out in batches and forgets a batch once the destination has acknowledged it. The crate knows
//! messages, memory and files. It knows no destination, reads no environment and writes no log: an [`Observer`] is told what
//! happens.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::{Duration, SystemTime};
//!
//! use telemetry_outbox::{
//!     Backlog, Encoding, NoObserver, OnFull, Outbox, OutboxSettings, Spool, SpoolSettings, Stamper, SyncPolicy,
//! };
//! # use telemetry_proto::v1::{CoreMetrics, CpuMetrics, TelemetryData, TelemetryMetadata};
//! # fn sample() -> TelemetryData {
//! #     let metadata = TelemetryMetadata {
//! #         hostname: "host".to_owned(),
//! #         collector_version: "1.0.0".to_owned(),
//! #         interval: Some(Duration::from_secs(1).into()),
//! #         scheduled_at: Some(SystemTime::UNIX_EPOCH.into()),
//! #         collection_duration: Some(Duration::ZERO.into()),
//! #         ..TelemetryMetadata::default()
//! #     };
//! #     TelemetryData::new(metadata, CpuMetrics::new(vec![CoreMetrics::new(0)]))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let directory = tempfile::tempdir()?;
//!
//! let memory = OutboxSettings { max_bytes: 16 << 20, on_full: OnFull::DropOldest, encoding: Encoding::Json };
//! let outbox = Outbox::new(memory, Stamper::new(SystemTime::now), Arc::new(NoObserver));
//! let disk = SpoolSettings {
//!     directory: directory.path().join("spool"),
//!     max_bytes: 1 << 30,
//!     sync: SyncPolicy::Within(Duration::from_secs(1)),
//!     retain: Duration::from_secs(60),
//!     on_full: OnFull::DropOldest,
//! };
//! let spool = Spool::start(disk, outbox.instance_id(), Arc::new(NoObserver))?;
//! let writing = tokio::spawn(spool.clone().fill_from(outbox.clone()));
//! let mut backlog = Backlog::new(outbox.clone(), Some(spool.clone()));
//!
//! // The program appends; a message is encoded, numbered and on its way to the disk.
//! for _ in 0..3 {
//!     outbox.append(sample())?;
//! }
//! outbox.close();
//!
//! // Another task delivers, until the outbox is closed and nothing is left.
//! let arrivals = backlog.arrivals();
//! let mut delivered = Vec::new();
//! loop {
//!     let (more, have_ended) = (arrivals.next(), arrivals.have_ended());
//!     match backlog.next_batch().await {
//!         Some(batch) => {
//!             // Here the batch is sent, and the destination acknowledges it.
//!             delivered.extend(batch.messages.iter().map(|message| message.sequence));
//!             backlog.acknowledge(batch);
//!         }
//!         None if have_ended => break,
//!         None => more.await,
//!     }
//! }
//! writing.await?;
//! spool.close().await;
//! assert_eq!(delivered, [1, 2, 3]);
//! # Ok(())
//! # }
//! ```
//!
//! # Invariants
//!
//! A message is identified by its *instance*, a UUID that each start of a program draws, and its *number*, which counts from 1
//! without a hole.
//!
//! 1. **Each number is delivered or named.** A number that was given out is acknowledged by the destination, or a gap record
//!    that is delivered names it, with the reason.
//! 2. **Order.** The messages of an instance are given out in ascending order. After a crash, or a rewind, the order begins
//!    again at an earlier number, and messages come again.
//! 3. **A crash costs nothing that was written.** Messages that are on disk when the process ends are delivered by the next
//!    start that uses the directory.
//! 4. **A power failure costs nothing that was synced**, and [`SyncPolicy`] says when that is.
//! 5. **What is given up is deleted last.** The files of messages that are given up stay until gap records that name them are
//!    on disk, and synced unless the policy is `Never`.
//! 6. **Nothing is delivered that was not made.** Each record has a checksum. Damage costs the messages that it hits, and these
//!    are named.
//! 7. **Memory is bounded** by [`OutboxSettings::max_bytes`]. One message and gap records are kept even beyond.
//! 8. **The disk is bounded** by [`SpoolSettings::max_bytes`], over the logs of all starts, with 12 KiB for each log beside its
//!    messages. The oldest are given up first. See [Limits](#limits) for how far the bound is exceeded for a moment.
//! 9. **A disk that fails costs durability alone.** While it is full, read-only, gone or hanging, messages are delivered from
//!    memory. Those that are on disk already wait until it can be read, and newer ones behind them.
//! 10. **Processes may share a directory.** The log of a process that runs is locked, and others leave it alone. Files and
//!     directories that are no part of a log are neither read nor deleted.
//!
//! # The way of a message
//!
//! ```text
//!  append ─▶ Outbox ───────── fill_from ──────▶ Spool (a thread) ── read ──▶ Backlog ── next_batch ──▶ destination
//!            numbers, checks,     batches       appends a record,            live messages first,           │
//!            encodes, bounds                    then releases the            then those of earlier          │
//!               ▲  │                            memory                       starts                         │
//!               │  └──── while the disk fails, or without a spool ──────────────▶ │  ◀──── acknowledge ──────┘
//!               │                                                                 │
//!               └── losses: gap records that name them are appended ◀─────────────┘ ── cursor, release of files
//! ```
//!
//! A batch in flight goes back to the backlog by [`Backlog::acknowledge`] or [`Backlog::rewind`]. There is one at a time.
//!
//! # Following messages
//!
//! [`Outbox::feed`] lets others see every message of this instance as soon as it has its number, and what becomes of it. A
//! [`Subscription`] is told each number once as acknowledged or lost. After a rewind, what is delivered again is pending once
//! more, from the moment at which it is read from disk; what is not kept any more stays acknowledged. Messages of earlier
//! starts are not told. [`Feed::tally`] counts messages by their state. The feed waits for no subscription: one that falls behind
//! is told how many events it missed. Without subscriptions it costs an entry in a set of ranges a message.
//!
//! ```
//! # use std::sync::Arc;
//! # use std::time::{Duration, SystemTime};
//! # use telemetry_outbox::{Encoding, FeedEvent, NoObserver, OnFull, Outbox, OutboxSettings, Stamper};
//! # use telemetry_proto::v1::{CoreMetrics, CpuMetrics, DeliveryState, TelemetryData, TelemetryMetadata};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! # let memory = OutboxSettings { max_bytes: 16 << 20, on_full: OnFull::DropOldest, encoding: Encoding::Json };
//! # let outbox = Outbox::new(memory, Stamper::new(SystemTime::now), Arc::new(NoObserver));
//! let mut following = outbox.feed().subscribe();
//! drop(outbox);
//! while let Some(event) = following.next().await {
//!     match event {
//!         FeedEvent::Message(message) => println!("{} was made", message.sequence),
//!         FeedEvent::Delivery(update) => println!("{:?}: {:?}", update.state(), update.numbers),
//!         FeedEvent::Missed(count) => println!("{count} events were missed"),
//!     }
//! }
//! # }
//! ```
//!
//! # Layout on disk
//!
//! ```text
//! <directory>/                                    SpoolSettings::directory
//! ├── 0190f5fe-…-7c3f/                            a log: one for each instance, named by its UUID in lower case
//! │   ├── lock                                    empty; flock(2)ed exclusively while the instance runs or its log is delivered
//! │   ├── cursor                                  12 bytes: what is acknowledged
//! │   ├── 00000000000000000001.log                a segment, named by the number of its first message, 20 decimal digits
//! │   ├── 00000000000000004711.log
//! │   └── 00000000000000000001.new                a copy that is about to replace the segment; deleted when a log is opened
//! └── .0190f5fe-…-7c40/                           a log that is not locked yet; after a crash it counts as a log
//! ```
//!
//! A **segment** is a sequence of records without a header, padding or a trailer. It is only appended to; `OnFull::Decimate`
//! replaces it by a copy with fewer messages. The messages of a log are those of its segments in the order of their names. A
//! segment gets no more messages once it has a 32nd of `max_bytes`, or 32 MiB. The segments of one log have ascending numbers, with holes
//! where messages were given up.
//!
//! A **record**, all integers little endian:
//!
//! | offset | bytes | type | field | meaning |
//! | --- | --- | --- | --- | --- |
//! | 0 | 4 | u32 | magic | `0x31524c54`: the bytes `TLR1` |
//! | 4 | 4 | u32 | length | bytes of the message, at most 64 MiB |
//! | 8 | 8 | u64 | sequence | the number of the message |
//! | 16 | 4 | u32 | flags | bit 0: the message is a gap record; bit 1: it is neither that nor a sample; the others are 0 and ignored |
//! | 20 | 4 | u32 | checksum | CRC-32 (IEEE 802.3, as in zlib) over the bytes 0 to 19 and the message |
//! | 24 | length | bytes | message | a `TelemetryMessage`: ProtoJSON if it begins with `{`, protobuf otherwise |
//!
//! A reader goes from record to record. Where there is no record (another magic, a length beyond 64 MiB, a wrong checksum, or
//! the end of the file before the end of the record) it looks for the next record at each byte behind that place.
//! It passes over numbers that are not above the last one that it read.
//!
//! The **cursor**: a u64, the highest number that the destination acknowledged, and a u32, the CRC-32 of these eight bytes. A
//! cursor that is missing, shorter or damaged counts as 0: everything is delivered again. It is written in place with each
//! acknowledgement, not synced.
//!
//! What is **given up** has no mark on disk. Its file stays as it was until it is deleted or replaced. A crash before that
//! undoes the giving up: the messages are delivered although a gap record may name them.
//!
//! # What is recovered
//!
//! | what happens | what is there afterwards |
//! | --- | --- |
//! | the process is killed | All that was written. What was in memory alone is lost: what was appended since the last write began, or all that waits if the disk failed. Acknowledged messages may come again if the cursor was not written. |
//! | power is lost, `SyncPolicy::Always` | All messages that were offered to the destination, unless a sync failed. |
//! | power is lost, `SyncPolicy::Within` | All messages older than the duration, unless a sync failed. |
//! | power is lost, `SyncPolicy::Never` | What the operating system had written by itself. Gap records may be lost with the files that they name. |
//! | the disk is full | What is there. A batch is written whole or cut off again. Messages are delivered from memory and written again once there is room; the disk is tried every second. |
//! | the disk is read-only, or its directory cannot be made | As with a full disk. Leftover logs are not delivered while they cannot be locked. |
//! | the disk hangs | After 10 s as with a full disk, until it answers. Messages that are on disk and were not read wait for it, except for the batch that was written last; newer ones wait behind them. |
//! | a sync fails | The observer is told, and messages are delivered all the same. The segment is written once more before the next sync, since the operating system may hold what it lost for written. |
//! | the directory is deleted while the program runs | Everything: files that were open are still read. The directory is made again for new messages. Segments that were closed (see Limits) and leftover logs are lost. Numbers of closed segments are named. |
//! | a record is cut off at the end of a log | The messages before it. It was never promised, and is not named, unless this process wrote it whole. |
//! | records are damaged in the middle | The others. The missing numbers are named with the reason `SPOOL_DAMAGED`. |
//! | a read fails | Everything. It is tried again, and the log waits so long. Only what the disk cannot read in ten attempts (`EIO`) counts as damaged, page by page, then in steps that double, so that up to as much again as is unreadable may go with it. |
//! | a file is cut, or is gone | The others. The numbers up to the next message that can be read are named if this process knew of them, or found damage. |
//! | the cursor is damaged | Everything that is still there comes again. |
//!
//! # Limits
//!
//! | limit | value | |
//! | --- | --- | --- |
//! | messages in a batch | 256 | more would save no round trips worth having |
//! | bytes of a batch | 512 KiB | so that a batch gets through a slow link in time; one message may be larger |
//! | share of the outbox that a batch being written takes | ¼ | so that an outage keeps new messages, too |
//! | share of the outbox that decimation frees | ⅛ | so that it is not done with each sample |
//! | ranges in a gap record | 256 | more make another record |
//! | events that the feed keeps for slow subscriptions | 256, of all subscriptions together | each a message, shared by all, or at most 1024 ranges (16 KiB); nothing is kept that all have read |
//! | message | 64 MiB | a larger one is not read back from disk |
//! | segment | 1/32 of `max_bytes`, at most 32 MiB, and one batch | what is given up at a time |
//! | memory of the thread that gives up messages | twice the largest segment | a segment is read whole; what `OnFull::Decimate` keeps of segments waits until gap records are on disk, about 32 MiB at a time |
//! | memory to pass over damage | the largest segment | it is searched to its end for the next record |
//! | files that were given up and cannot be deleted | ⅛ of `max_bytes` | with more, the disk refuses messages |
//! | segment that stays though acknowledged | below 1 MiB, of the live log | so that files are not made for each message |
//! | segments of a log that are kept open | 40 | |
//! | bytes that are read at a time | 1 MiB, or one message | a leftover log holds no more in memory |
//! | leftover logs that are open | 256 | each keeps a lock; the others wait, and are counted |
//! | leftover logs that are sized up with a write or a read | 1024 | so that the first message of a start waits for no more |
//! | what a log counts for beside its messages | 12 KiB | three blocks: directory, cursor, rest of the last segment |
//! | retry of leftover logs that cannot be found or opened | 10 s | those of unknown size count for 12 KiB |
//! | release of files that need not be retained longer | with each acknowledgement, and when nothing was asked of the disk for 10 s | |
//! | retry of a disk that refused messages, and of a read that failed | 1 s | |
//! | attempts after which an unreadable page counts as damaged | 10 | |
//! | time after which a write counts as refused | 10 s | at the end, 1 s after the outbox was closed |
//!
//! The **bound of the disk** is exceeded by the batch that is being written; by files that are given up until the next write,
//! which holds the gap records; by what is in flight; and, after a start that finds more than 1024 leftover logs, until all are
//! sized up. At most 256 logs are given up with a write, so after a crash loop with thousands of logs beyond the bound some
//! writes go by until it holds. Of the live log nothing is given up meanwhile. Files that cannot be deleted exceed it by an
//! eighth. With `OnFull::Decimate`, after a start with a lower bound, about 32 MiB of files are kept sparser with each write
//! until it holds.
//!
//! **Retention**: acknowledged messages are kept for [`SpoolSettings::retain`] after their acknowledgement, over restarts, too.
//! While more than 256 leftover logs wait, those that are delivered are deleted at once, since they would be in the way. When
//! the spool is full, acknowledged messages go before all others.
//!
//! # How it is proved
//!
//! The law behind invariants 1 to 6 is run against a simulated disk, in `spool/simulation.rs`: the program ends before, in the
//! middle of and after each change of the disk; the power fails at each change, with ten ways in which unsynced changes survive
//! (`file_system/simulated.rs`: any sectors of a write, lengths without content, names without files and files without names,
//! removals undone); each change fails once, syncs included; the disk is full at each byte; each byte of a segment is flipped,
//! zeroed or cut off; each read fails once, and pages, removals and syncs fail for good.
//!
//! | invariant | tests |
//! | --- | --- |
//! | 1 | all of `spool::simulation`; `spool::store::tests::every_number_is_read_or_named`; `outbox::tests`, for memory; `outbox::gaps::tests` |
//! | 2 | `Program::deliver` of `spool::simulation` asserts it in every run; `backlog::tests` |
//! | 3 | `spool::simulation::a_crash_at_any_moment…` |
//! | 4 | `spool::simulation::a_power_failure_at_any_moment…`, `a_disk_that_fails_once…` |
//! | 5 | `spool::simulation`, the runs on a disk that is too small; `spool::store::tests::files_that_are_given_up_stay…`, `leftovers::a_start_that_is_given_up_whole…` |
//! | 6 | `spool::simulation::damage…`, `spool::record::tests` |
//! | 7 | `outbox::tests` |
//! | 8 | `spool::store::tests::leftovers`, on the file system of the host; `spool::simulation::a_crash_loop_stays_within_the_bound` |
//! | 9 | `spool::simulation::a_disk_that_is_full…`; `backlog::tests::while_the_disk_fails…`, `a_disk_that_recovers…`, `a_disk_that_hangs…`, `a_sync_that_hangs…` |
//! | 10 | `spool::store::tests::a_log_that_is_in_use_is_left_alone`, `leftovers::directories_and_files_of_others…` |
//!
//! # What is not promised
//!
//! - **Exactly once.** A message comes again after a crash, a rewind or a lost cursor. Instance and number let the destination
//!   tell.
//! - **Messages in memory** when the process ends. Without a spool these are all that wait.
//! - **Order between instances.** The live instance goes first; leftover logs follow, the oldest first.
//! - **The names in a gap record that is damaged** on disk. Its own number is named, but not the numbers that it named.
//! - **A common bound for processes that share a directory.** Each counts its own log and those that no process holds.
//! - **The end of a log that is damaged** after the process that wrote it ended: how much was there is not known. A last segment
//!   of which the disk can read nothing is such an end.
//! - **Secrecy.** Messages are not encrypted, and files have the permissions that the umask leaves.
//! - **Network file systems.** The lock and the syncs must do what they do on a local one.
//! - **A change of the format without notice is not made**: another format will have another magic.

mod backlog;
mod batch;
mod error;
mod feed;
mod file_system;
mod loss;
mod observer;
mod outbox;
mod settings;
mod spool;
mod status;
#[cfg(test)]
mod testing;

pub use backlog::{Arrivals, Backlog};
pub use batch::{Batch, EncodedMessage, Encoding};
pub use error::SpoolError;
pub use feed::{FEED_EVENTS_MAX, FEED_RANGES_MAX, FeedEvent, Subscription, Tally};
pub use observer::{Event, NoObserver, Observer};
pub use outbox::{Feed, Outbox, Stamper};
pub use settings::{OnFull, OutboxSettings, SpoolSettings, SyncPolicy};
pub use spool::Spool;
pub use status::{BacklogStatus, OutboxStatus, SpoolStatus};
