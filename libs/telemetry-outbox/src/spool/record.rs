//! The encoding of a message in a segment.
//!
//! ```text
//! magic u32 | length u32 | sequence u64 | flags u32 | checksum u32 | message, `length` bytes      (little endian)
//! ```
//!
//! The checksum (CRC-32) is over all the rest. The magic number lets a reader find the next record after damage.

use bytes::Bytes;

use crate::batch::EncodedMessage;

const MAGIC: u32 = 0x3152_4c54;
const HEADER_BYTES: usize = 24;
const CHECKSUM_AT: usize = 20;
const GAP_RECORD: u32 = 1;
const OTHER_THAN_SAMPLE: u32 = 2;
/// A larger length is taken for damage.
const MESSAGE_MAX_BYTES: usize = 64 << 20;

/// What is at one place of a segment.
#[derive(Debug, PartialEq)]
pub(super) enum Parsed {
    /// A message; the next record is at `end`.
    Message { message: EncodedMessage, end: usize },
    /// The beginning of a record, which needs `missing` more bytes.
    Incomplete { missing: usize },
    /// No record.
    Damage,
}

/// What the message takes on disk.
pub(super) fn size(message: &EncodedMessage) -> u64 {
    (HEADER_BYTES + message.body.len()) as u64
}

/// Appends the message's record to `buffer`.
pub(super) fn write(message: &EncodedMessage, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    let flags = match message {
        EncodedMessage { is_gap_record: true, .. } => GAP_RECORD,
        EncodedMessage { is_sample: false, .. } => OTHER_THAN_SAMPLE,
        _ => 0,
    };
    let length = u32::try_from(message.body.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&MAGIC.to_le_bytes());
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&message.sequence.to_le_bytes());
    buffer.extend_from_slice(&flags.to_le_bytes());
    let checksum = checksum(&buffer[start..], &message.body);
    buffer.extend_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(&message.body);
}

/// What is in `bytes` at `at`. The message shares their memory.
pub(super) fn read(bytes: &Bytes, at: usize) -> Parsed {
    let rest = &bytes[at..];
    let magic = MAGIC.to_le_bytes();
    if !magic.starts_with(&rest[..rest.len().min(magic.len())]) {
        return Parsed::Damage;
    }
    if rest.len() < HEADER_BYTES {
        return Parsed::Incomplete { missing: HEADER_BYTES - rest.len() };
    }
    let length = u32_at(rest, 4) as usize;
    if length > MESSAGE_MAX_BYTES {
        return Parsed::Damage;
    }
    let end = HEADER_BYTES + length;
    if rest.len() < end {
        return Parsed::Incomplete { missing: end - rest.len() };
    }
    if checksum(&rest[..CHECKSUM_AT], &rest[HEADER_BYTES..end]) != u32_at(rest, CHECKSUM_AT) {
        return Parsed::Damage;
    }
    let sequence = u64::from(u32_at(rest, 8)) | u64::from(u32_at(rest, 12)) << 32;
    let flags = u32_at(rest, 16);
    let is_gap_record = flags & GAP_RECORD != 0;
    let is_sample = flags & (GAP_RECORD | OTHER_THAN_SAMPLE) == 0;
    let body = bytes.slice(at + HEADER_BYTES..at + end);
    Parsed::Message { message: EncodedMessage { sequence, body, is_gap_record, is_sample }, end: at + end }
}

/// Where the next whole record is, at or after `from`, if there is one.
pub(super) fn find(bytes: &Bytes, from: usize) -> Option<usize> {
    (from..bytes.len()).find(|at| matches!(read(bytes, *at), Parsed::Message { .. }))
}

fn checksum(header: &[u8], message: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(message);
    hasher.finalize()
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message() -> impl Strategy<Value = EncodedMessage> {
        let kinds = prop_oneof![Just((true, false)), Just((false, true)), Just((false, false))];
        (any::<u64>(), proptest::collection::vec(any::<u8>(), 0..200), kinds).prop_map(
            |(sequence, json, (is_gap_record, is_sample))| EncodedMessage {
                sequence,
                body: json.into(),
                is_gap_record,
                is_sample,
            },
        )
    }

    fn written(message: &EncodedMessage) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(message, &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(message in message(), before in 0_usize..50) {
            let mut bytes = vec![7; before];
            write(&message, &mut bytes);
            prop_assert_eq!(bytes.len() as u64, before as u64 + size(&message));
            let end = bytes.len();
            prop_assert_eq!(read(&bytes.into(), before), Parsed::Message { message, end });
        }

        #[test]
        fn a_torn_record_says_what_it_lacks(message in message(), kept in any::<prop::sample::Index>()) {
            let mut bytes = written(&message);
            let whole = bytes.len();
            bytes.truncate(kept.index(whole));
            match read(&bytes.clone().into(), 0) {
                Parsed::Incomplete { missing } => prop_assert!(missing > 0 && bytes.len() + missing <= whole),
                found => prop_assert!(false, "{:?}", found),
            }
        }

        #[test]
        fn a_flipped_bit_is_never_taken_for_a_message(message in message(), at in any::<prop::sample::Index>(), bit in 0..8) {
            let mut bytes = written(&message);
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
            let is_message = matches!(read(&bytes.into(), 0), Parsed::Message { .. });
            prop_assert!(!is_message);
        }

        #[test]
        fn behind_damage_the_next_record_is_found(first in message(), second in message(), bit in 0_u8..8) {
            let mut bytes = written(&first);
            bytes[0] ^= 1_u8 << bit;
            let start_of_second = bytes.len();
            write(&second, &mut bytes);
            prop_assert_eq!(find(&bytes.into(), 0), Some(start_of_second));
        }
    }
}
