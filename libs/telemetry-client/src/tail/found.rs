//! An element of the queue, and the elements that are no messages.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};

use telemetry_proto::v1::TelemetryMessage;
use uuid::Uuid;

use crate::decode::{event, read};
use crate::event::Event;

/// Unreadable elements that are remembered.
const REMEMBERED: usize = 1024;

/// An element as it was found.
#[derive(Debug)]
pub(super) enum Found {
    Message { message: Box<TelemetryMessage>, event: Event },
    Unreadable { reason: String, payload: Vec<u8> },
}

/// The unreadable elements that have been found, as hashes.
#[derive(Debug, Default)]
pub(super) struct Unreadables {
    hasher: RandomState,
    hashes: VecDeque<u64>,
}

impl Found {
    pub(super) fn new(payload: Vec<u8>) -> Self {
        let read = read(&payload).and_then(|message| Ok((event(message.clone())?, message)));
        match read {
            Ok((event, message)) => Self::Message { message: Box::new(message), event },
            Err(unreadable) => Self::Unreadable { reason: unreadable.to_string(), payload },
        }
    }

    /// The instance and the number of the message, if it is one.
    pub(super) fn number(&self) -> Option<(Uuid, u64)> {
        match self {
            Self::Message { event, .. } => event.envelope().map(|envelope| (envelope.instance_id, envelope.sequence)),
            Self::Unreadable { .. } => None,
        }
    }
}

impl Unreadables {
    pub(super) fn has(&self, payload: &[u8]) -> bool {
        self.hashes.contains(&self.hasher.hash_one(payload))
    }

    /// Returns whether it is new.
    pub(super) fn insert(&mut self, payload: &[u8]) -> bool {
        let hash = self.hasher.hash_one(payload);
        if self.hashes.contains(&hash) {
            return false;
        }
        if self.hashes.len() == REMEMBERED {
            self.hashes.pop_front();
        }
        self.hashes.push_back(hash);
        true
    }
}
