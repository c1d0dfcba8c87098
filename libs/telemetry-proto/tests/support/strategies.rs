//! Strategies for valid messages, and for messages that may violate the schema.
//!
//! They are boxed because unboxed strategies are too large for the stack of a test thread.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::num::f64::ANY as ANY_F64;
use proptest::option;
use proptest::prelude::*;
use telemetry_proto::v1::telemetry_data::Metrics;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{
    Caller, CallerLogin, ControlAction, ControlEvent, CoreMetrics, CpuFrequencies, CpuMetrics, CpuStates, GapReason,
    GapRecord, LoadAverages, SCHEMA_VERSION, SequenceRange, TelemetryData, TelemetryMessage, TelemetryMetadata,
    UnavailableField, UnavailableReason,
};
use telemetry_proto::well_known::{Duration, Timestamp};
use uuid::Uuid;

/// Any message that the schema allows.
pub(crate) fn valid_message() -> BoxedStrategy<TelemetryMessage> {
    let payload = prop_oneof![
        3 => (metadata(), cpu()).prop_map(|(metadata, cpu)| Payload::from(TelemetryData::new(metadata, cpu))),
        1 => gap().prop_map(Payload::from),
        1 => control_event().prop_map(Payload::from),
    ];
    (uuid(), uuid(), 1..=u64::MAX, timestamp(), payload)
        .prop_map(|(message_id, instance_id, sequence, collected_at, payload)| TelemetryMessage {
            schema_version: SCHEMA_VERSION.to_owned(),
            message_id,
            instance_id,
            sequence,
            collected_at: Some(collected_at),
            payload: Some(payload),
        })
        .boxed()
}

/// Any message, usually with one violation of the schema.
pub(crate) fn any_message() -> BoxedStrategy<TelemetryMessage> {
    (valid_message(), any_change())
        .prop_map(|(mut message, change)| {
            change.apply(&mut message);
            message
        })
        .boxed()
}

/// A change that the types allow, but usually not the schema.
#[derive(Debug, Clone)]
enum Change {
    Text(usize, String),
    Number(usize, u64),
    Float(usize, f64),
    Time(Option<Timestamp>),
    Span(usize, Option<Duration>),
    Enum(i32),
    NoPayload,
    NoMetrics,
    NoMetadata,
}

fn any_change() -> BoxedStrategy<Change> {
    let any_time = (any::<i64>(), any::<i32>()).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos });
    let any_span = (
        prop_oneof![any::<i64>(), -1..=1i64, Just(i64::MIN), Just(i64::MAX)],
        prop_oneof![any::<i32>(), Just(0), Just(i32::MIN)],
    )
        .prop_map(|(seconds, nanos)| Duration { seconds, nanos });
    let any_number = prop_oneof![0..3u64, any::<u64>(), Just(u64::MAX)];
    prop_oneof![
        1 => (any::<usize>(), ".{0,12}").prop_map(|(at, text)| Change::Text(at, text)),
        1 => (any::<usize>(), any_number).prop_map(|(at, number)| Change::Number(at, number)),
        4 => (any::<usize>(), ANY_F64).prop_map(|(at, value)| Change::Float(at, value)),
        1 => option::of(any_time).prop_map(Change::Time),
        1 => (any::<usize>(), option::of(any_span)).prop_map(|(at, span)| Change::Span(at, span)),
        1 => any::<i32>().prop_map(Change::Enum),
        1 => Just(Change::NoPayload),
        1 => Just(Change::NoMetrics),
        1 => Just(Change::NoMetadata),
    ]
    .boxed()
}

impl Change {
    fn apply(self, message: &mut TelemetryMessage) {
        match (self, &mut message.payload) {
            (Self::NoPayload, payload) => *payload = None,
            (Self::Time(time), Some(Payload::Data(data))) if time.is_some_and(|time| time.nanos % 2 == 0) => {
                metadata_of(data).scheduled_at = time;
            }
            (Self::Time(time), _) => message.collected_at = time,
            (Self::Text(at, text), Some(Payload::Data(data))) if at % 2 == 0 => match at / 2 % 4 {
                0 => metadata_of(data).hostname = text,
                1 => metadata_of(data).collector_version = text,
                2 => drop(metadata_of(data).labels.insert(text, String::new())),
                _ => cpu_of(data).unavailable.push(UnavailableField::new(text, UnavailableReason::NoSensor)),
            },
            (Self::Text(at, text), _) => match at / 2 % 3 {
                0 => message.schema_version = text,
                1 => message.message_id = text,
                _ => message.instance_id = text,
            },
            (Self::Number(at, number), Some(Payload::Gap(gap))) => match at % 3 {
                0 => gap.count = number,
                1 => gap.missing[0].first = number,
                _ => gap.missing.push(SequenceRange { first: 1, last: number }),
            },
            (Self::Number(at, number), Some(Payload::Data(data))) if at % 2 == 0 => {
                cpu_of(data).cores.push(CoreMetrics::new(number as u32));
                cpu_of(data).logical_count = number as u32;
            }
            (Self::Number(_, number), _) => message.sequence = number,
            (Self::Float(at, value), Some(Payload::Data(data))) => {
                let cpu = cpu_of(data);
                match at % 8 {
                    0 => cpu.usage_percent = Some(value),
                    1 => cpu.temperature_celsius = Some(value),
                    2 => cpu.load_averages = Some(LoadAverages { one: 0.0, five: value, fifteen: 0.0 }),
                    3 => {
                        let (min_mhz, max_mhz) = (Some(value), Some(1000.0));
                        cpu.frequencies = Some(CpuFrequencies { current_mhz: None, min_mhz, max_mhz });
                    }
                    4 => cpu.states.get_or_insert_default().idle_percent = value,
                    5 => cpu.states.get_or_insert_default().guest_percent = value,
                    6 => cpu.cores.iter_mut().for_each(|core| core.frequency_mhz = Some(value)),
                    _ => cpu.cores.iter_mut().for_each(|core| core.temperature_celsius = Some(value)),
                }
            }
            (Self::Span(at, span), Some(Payload::Data(data))) => match at % 2 {
                0 => metadata_of(data).interval = span,
                _ => metadata_of(data).collection_duration = span,
            },
            (Self::Enum(value), Some(Payload::Data(data))) => {
                cpu_of(data).unavailable.push(UnavailableField { field: "model".to_owned(), reason: value });
            }
            (Self::Enum(value), Some(Payload::Gap(gap))) => gap.reason = value,
            (Self::Span(at, span), Some(Payload::Control(event))) => match at % 2 {
                0 => event.previous_interval = span,
                _ => event.interval = span,
            },
            (Self::Enum(value), Some(Payload::Control(event))) => event.action = value,
            (Self::NoMetrics, Some(Payload::Data(data))) => data.metrics = None,
            (Self::NoMetadata, Some(Payload::Data(data))) => data.metadata = None,
            (_, Some(Payload::Gap(gap))) => gap.missing.clear(),
            (_, Some(Payload::Control(event))) => event.hostname.clear(),
            (_, None) => {}
        }
    }
}

fn metadata_of(data: &mut TelemetryData) -> &mut TelemetryMetadata {
    data.metadata.as_mut().unwrap()
}

fn cpu_of(data: &mut TelemetryData) -> &mut CpuMetrics {
    match data.metrics.as_mut().unwrap() {
        Metrics::Cpu(cpu) => cpu,
    }
}

fn uuid() -> impl Strategy<Value = String> {
    (1..=u128::MAX).prop_map(|bits| Uuid::from_u128(bits).to_string())
}

/// The years 1 to 9999.
fn timestamp() -> BoxedStrategy<Timestamp> {
    (-62_135_596_800..=253_402_300_799i64, nanos()).prop_map(|(seconds, nanos)| Timestamp { seconds, nanos }).boxed()
}

fn elapsed() -> BoxedStrategy<Duration> {
    (prop_oneof![0..3600i64, 0..=315_576_000_000i64], nanos())
        .prop_map(|(seconds, nanos)| Duration { seconds, nanos })
        .boxed()
}

fn interval() -> BoxedStrategy<Duration> {
    elapsed().prop_filter("an interval is positive", |span| (span.seconds, span.nanos) > (0, 0)).boxed()
}

fn nanos() -> impl Strategy<Value = i32> {
    prop_oneof![Just(0), (0..1000i32).prop_map(|millis| millis * 1_000_000), 0..1_000_000_000i32]
}

fn name() -> BoxedStrategy<String> {
    prop_oneof!["[a-z0-9.-]{1,12}", "\\PC{1,8}", "(?s).{1,4}"].boxed()
}

fn text() -> BoxedStrategy<String> {
    prop_oneof![Just(String::new()), name()].boxed()
}

fn metadata() -> BoxedStrategy<TelemetryMetadata> {
    let host = (name(), text(), text(), text(), text(), text(), name());
    let sample = (interval(), timestamp(), elapsed(), btree_map(name(), text(), 0..3), option::of(text()));
    (host, sample)
        .prop_map(
            |(
                (hostname, host_id, boot_id, os, kernel, arch, collector_version),
                (interval, scheduled_at, collection_duration, labels, virtualization),
            )| TelemetryMetadata {
                hostname,
                host_id,
                boot_id,
                os,
                kernel,
                arch,
                collector_version,
                interval: Some(interval),
                scheduled_at: Some(scheduled_at),
                collection_duration: Some(collection_duration),
                labels,
                virtualization,
            },
        )
        .boxed()
}

fn percent() -> BoxedStrategy<f64> {
    prop_oneof![Just(0.0), Just(100.0), 0.0..=100.0].boxed()
}

fn frequency() -> BoxedStrategy<f64> {
    prop_oneof![Just(f64::MIN_POSITIVE), Just(f64::MAX), 1.0..10_000.0].boxed()
}

fn temperature() -> BoxedStrategy<f64> {
    prop_oneof![Just(-273.15), Just(f64::MAX), -50.0..150.0].boxed()
}

fn load_averages() -> BoxedStrategy<LoadAverages> {
    let load = || prop_oneof![Just(0.0), 0.0..1e6, Just(f64::MAX)];
    (load(), load(), load()).prop_map(|(one, five, fifteen)| LoadAverages::new(one, five, fifteen).unwrap()).boxed()
}

fn frequencies() -> BoxedStrategy<CpuFrequencies> {
    [option::of(frequency()), option::of(frequency()), option::of(frequency())]
        .prop_map(|[current, one, other]| {
            let (min, max) = match (one, other) {
                (Some(one), Some(other)) => (Some(one.min(other)), Some(one.max(other))),
                one_at_most => one_at_most,
            };
            CpuFrequencies::new(current, min, max).unwrap()
        })
        .boxed()
}

/// Shares computed from ticks per state, as the kernel counts them.
fn states() -> BoxedStrategy<CpuStates> {
    let ticks = proptest::array::uniform8(0..10_000u32);
    (ticks, percent(), percent())
        .prop_filter("some time has passed", |(ticks, ..)| ticks.iter().any(|&count| count > 0))
        .prop_map(|(ticks, guest_percent, guest_nice_percent)| {
            let total: f64 = ticks.into_iter().map(f64::from).sum();
            let [user, nice, system, idle, iowait, irq, softirq, steal] =
                ticks.map(|count| 100.0 * f64::from(count) / total);
            CpuStates {
                user_percent: user,
                nice_percent: nice,
                system_percent: system,
                idle_percent: idle,
                iowait_percent: iowait,
                irq_percent: irq,
                softirq_percent: softirq,
                steal_percent: steal,
                guest_percent,
                guest_nice_percent,
            }
        })
        .boxed()
}

fn cores() -> BoxedStrategy<Vec<CoreMetrics>> {
    let values = (option::of(percent()), option::of(states()), option::of(frequency()), option::of(temperature()));
    btree_map(any::<u32>(), values, 0..4)
        .prop_map(|cores| {
            cores
                .into_iter()
                .map(|(core_id, (usage_percent, states, frequency_mhz, temperature_celsius))| CoreMetrics {
                    core_id,
                    usage_percent,
                    states,
                    frequency_mhz,
                    temperature_celsius,
                })
                .collect()
        })
        .boxed()
}

fn unavailable() -> BoxedStrategy<Vec<UnavailableField>> {
    let reason = (0..=9i32).prop_map(|number| UnavailableReason::try_from(number).unwrap());
    vec((name(), reason).prop_map(|(field, reason)| UnavailableField::new(field, reason)), 0..3).boxed()
}

fn cpu() -> BoxedStrategy<CpuMetrics> {
    let counts = (1..=u32::MAX, option::of(1..=u32::MAX), text(), text());
    let times = (option::of(percent()), option::of(states()), cores());
    let rest = (option::of(load_averages()), option::of(frequencies()), option::of(temperature()), unavailable());
    (counts, times, rest)
        .prop_map(
            |(
                (logical_count, physical_count, vendor, model),
                (usage_percent, states, cores),
                (load_averages, frequencies, temperature_celsius, unavailable),
            )| CpuMetrics {
                usage_percent,
                states,
                logical_count,
                physical_count,
                vendor,
                model,
                cores,
                load_averages,
                frequencies,
                temperature_celsius,
                unavailable,
            },
        )
        .boxed()
}

fn gap() -> BoxedStrategy<GapRecord> {
    let reason = (0..=5i32).prop_map(|number| GapReason::try_from(number).unwrap());
    let bounds = btree_set(prop_oneof![1..100u64, 1..u64::MAX], 2..8);
    let other_instance = option::of(1..u128::MAX);
    (bounds, reason, other_instance)
        .prop_map(|(bounds, reason, other_instance)| {
            let bounds: Vec<_> = bounds.into_iter().collect();
            let gap = GapRecord::new(bounds.chunks_exact(2).map(|pair| pair[0]..=pair[1]), reason);
            other_instance.map_or(gap.clone(), |instance_id| gap.of_instance(Uuid::from_u128(instance_id)))
        })
        .boxed()
}

fn control_event() -> BoxedStrategy<ControlEvent> {
    let action = (0..=4i32).prop_map(|number| ControlAction::try_from(number).unwrap().into());
    let login = (0..=4i32).prop_map(|number| CallerLogin::try_from(number).unwrap().into());
    let caller = (text(), login, text()).prop_map(|(name, login, address)| Caller { name, login, address });
    let host = (name(), text());
    (host, action, option::of(caller), interval(), interval(), option::of(timestamp()), text())
        .prop_map(|((hostname, host_id), action, caller, previous, interval, reverts_at, reason)| ControlEvent {
            hostname,
            host_id,
            action,
            caller,
            previous_interval: Some(previous),
            interval: Some(interval),
            reverts_at,
            reason,
        })
        .boxed()
}
