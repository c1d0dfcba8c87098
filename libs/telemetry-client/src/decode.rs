//! From an element of the queue to an event.

use std::time::SystemTime;

use prost::Message;
use semver::Version;
use serde::Deserialize;
use telemetry_proto::v1::telemetry_message::Payload;
use telemetry_proto::v1::{DecodeError, Problem, SCHEMA_VERSION, TelemetryMessage};
use thiserror::Error;
use uuid::Uuid;

use crate::event::{Control, Envelope, Event, Gap, Sample};

/// What the protobuf encoding of a message begins with: the tag of `schema_version`, field 1, text.
const PROTOBUF_BEGINS: u8 = 0x0A;
const JSON_BEGINS: u8 = b'{';

/// Why an element is not handed out.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    /// It is of another major version of the schema.
    #[error("it is of schema {found}, and this program knows {known}")]
    OtherMajor { found: Version, known: Version },
    /// It is empty.
    #[error("it is empty, or was trimmed from the stream while a consumer had it")]
    Empty,
    /// It looks like neither encoding.
    #[error("it begins neither like JSON nor like protobuf")]
    NoMessage,
    /// It is no valid message.
    #[error("{}", report(.0))]
    Invalid(#[from] DecodeError),
    /// An identity or a time of it has no form in this language.
    #[error("its {0} is out of range")]
    OutOfRange(&'static str),
}

/// The only field that every major version is held to have.
#[derive(Deserialize, Message)]
struct Versioned {
    #[prost(string, tag = "1")]
    schema_version: String,
}

/// The event that an element says.
pub(crate) fn decode(element: &[u8]) -> Result<Event, Unreadable> {
    event(read(element)?)
}

/// The message that an element is.
pub(crate) fn read(element: &[u8]) -> Result<TelemetryMessage, Unreadable> {
    let message = match element.first() {
        Some(&JSON_BEGINS) => TelemetryMessage::from_json(element),
        Some(&PROTOBUF_BEGINS) => TelemetryMessage::from_protobuf(element),
        Some(_) => return Err(Unreadable::NoMessage),
        None => return Err(Unreadable::Empty),
    };
    match message {
        Ok(message) => Ok(message),
        Err(DecodeError::Invalid(invalid)) => match invalid.problem {
            Problem::OtherMajor { found, known } => Err(Unreadable::OtherMajor { found, known }),
            _ => Err(DecodeError::Invalid(invalid).into()),
        },
        // Of a field that another major version changed, today's types cannot even read the form.
        Err(error) => Err(other_major(element).unwrap_or(error.into())),
    }
}

fn other_major(element: &[u8]) -> Option<Unreadable> {
    let Versioned { schema_version } = match element.first() {
        Some(&JSON_BEGINS) => serde_json::from_slice(element).ok()?,
        _ => Versioned::decode(element).ok()?,
    };
    let (found, known) = (Version::parse(&schema_version).ok()?, Version::parse(SCHEMA_VERSION).ok()?);
    (found.major != known.major).then_some(Unreadable::OtherMajor { found, known })
}

/// The event that a message says.
pub(crate) fn event(message: TelemetryMessage) -> Result<Event, Unreadable> {
    let uuid = |field, text: &str| Uuid::try_parse(text).map_err(|_| Unreadable::OutOfRange(field));
    let collected_at = message.collected_at.and_then(|time| SystemTime::try_from(time).ok());
    let envelope = Envelope {
        message_id: uuid("message_id", &message.message_id)?,
        instance_id: uuid("instance_id", &message.instance_id)?,
        sequence: message.sequence,
        collected_at: collected_at.ok_or(Unreadable::OutOfRange("collected_at"))?,
        schema_version: message.schema_version,
    };
    Ok(match message.payload {
        Some(Payload::Data(data)) => {
            let metadata = data.metadata.unwrap_or_default();
            Event::Sample(Box::new(Sample { envelope, metadata, metrics: data.metrics }))
        }
        Some(Payload::Gap(record)) => {
            let lost_by = match &record.instance_id {
                Some(other) => uuid("gap.instance_id", other)?,
                None => envelope.instance_id,
            };
            Event::Gap(Gap { envelope, lost_by, record })
        }
        Some(Payload::Control(change)) => Event::Control(Box::new(Control { envelope, change })),
        None => Event::Unknown(envelope),
    })
}

/// The error and its causes on one line.
fn report(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use telemetry_proto::v1::{GapReason, GapRecord, Stamp};

    use super::*;

    fn message(record: GapRecord) -> TelemetryMessage {
        let stamp = Stamp {
            message_id: Uuid::now_v7(),
            instance_id: Uuid::new_v4(),
            sequence: 8,
            collected_at: SystemTime::UNIX_EPOCH,
        };
        TelemetryMessage::new(stamp, record)
    }

    fn gap() -> TelemetryMessage {
        message(GapRecord::new([3..=7], GapReason::OutboxFull))
    }

    #[test]
    fn both_encodings_give_the_same_event() {
        let message = gap();
        let from_json = decode(&message.to_json().unwrap()).unwrap();
        assert_eq!(decode(&message.encode_to_vec()).unwrap(), from_json);
        let Event::Gap(gap) = from_json else { panic!("{from_json:?}") };
        assert_eq!((gap.envelope.sequence, gap.record.count), (8, 5));
        assert_eq!(gap.lost_by, gap.envelope.instance_id);
    }

    #[test]
    fn a_gap_can_be_another_instances() {
        let earlier = Uuid::new_v4();
        let message = message(GapRecord::new([1..=2], GapReason::SpoolFull).of_instance(earlier));
        let Event::Gap(gap) = decode(&message.to_json().unwrap()).unwrap() else { panic!("no gap") };
        assert_eq!(gap.lost_by, earlier);
    }

    #[test]
    fn a_newer_minor_is_read_and_another_major_is_not() {
        let with_version = |version: &str| TelemetryMessage { schema_version: version.to_owned(), ..gap() };
        let newer_minor = TelemetryMessage { payload: None, ..with_version("1.99.0") };
        assert!(matches!(decode(&newer_minor.encode_to_vec()), Ok(Event::Unknown(_))));
        for element in [
            with_version("2.0.0").encode_to_vec(),
            br#"{"schema_version":"2.1.0","instance_id":{"is":"no text"},"payload":[]}"#.to_vec(),
            b"\x0a\x052.0.0\x12\x03ABC\x18".iter().copied().chain([0x01, 0x19, 0, 0, 0, 0, 0, 0, 0, 0]).collect(),
        ] {
            let refused = decode(&element);
            assert!(matches!(refused, Err(Unreadable::OtherMajor { .. })), "{refused:?}");
        }
    }

    #[test]
    fn what_is_no_message_says_why() {
        let why = |element: &[u8]| decode(element).unwrap_err().to_string();
        assert_eq!(why(b""), "it is empty, or was trimmed from the stream while a consumer had it");
        assert_eq!(why(b"hello"), "it begins neither like JSON nor like protobuf");
        assert!(why(b"{").starts_with("not a telemetry message in JSON: EOF"), "{}", why(b"{"));
        assert!(why(b"\x0a\x05").starts_with("not a telemetry message in protobuf: "), "{}", why(b"\x0a\x05"));
        let without_number = TelemetryMessage { sequence: 0, ..gap() };
        assert_eq!(
            why(&without_number.encode_to_vec()),
            "message breaks the schema: sequence: 0 is not a number from 1"
        );
    }
}
