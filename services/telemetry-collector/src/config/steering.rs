//! How a running collector may be changed.

use std::ops::RangeInclusive;

use telemetry_settings::parse::{absolute_path, number};
use telemetry_settings::{Reader, Variable};

use crate::steering::SteeringSettings;

pub(super) const STATE_FILE: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__STATE_FILE",
    default: "",
    allowed: "an absolute path, such as /var/lib/telemetry/control.json",
    meaning: "File that keeps the interval that SetInterval has set, with its time limit, over a restart. Unset = a restart \
              returns to TELEMETRY_COLLECTION__INTERVAL.",
    secret: false,
};

pub(super) const MAX_CHANGES_PER_SECOND: &Variable = &Variable {
    name: "TELEMETRY_CONTROL__MAX_CHANGES_PER_SECOND",
    default: "5",
    allowed: "a whole number from 1 to 1000",
    meaning: "Calls of SetInterval and ResetInterval that are accepted in a second. Each is a message in the queue. Further ones \
              get RESOURCE_EXHAUSTED.",
    secret: false,
};

const CHANGES: RangeInclusive<usize> = 1..=1000;

pub(super) fn read(reader: &mut Reader) -> SteeringSettings {
    SteeringSettings {
        state_file: reader.read(STATE_FILE, absolute_path),
        max_changes_per_second: reader.read(MAX_CHANGES_PER_SECOND, number(CHANGES)),
    }
}
