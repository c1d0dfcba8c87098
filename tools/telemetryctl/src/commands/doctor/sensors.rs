//! The values that the host does not provide, and which of them somebody can get.

use telemetry_proto::v1::UnavailableReason;

use super::check::Check;
use super::collector::Facts;
use crate::messages::unavailable;

const NAME: &str = "sensors";

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    let capabilities = match &facts.capabilities {
        Ok(capabilities) => capabilities,
        Err(failure) => {
            return vec![Check::warn(NAME, &failure.message, failure.remedy.unwrap_or("look at the collector's log"))];
        }
    };
    let mut checks = Vec::new();
    for group in &capabilities.groups {
        if let Some(error) = &group.error {
            let message = format!("{} cannot be sampled: {error}", group.group);
            checks.push(Check::fail(NAME, message, "look at the collector's log"));
        }
        let mut fields = group.unavailable.iter().map(|field| (field.field.as_str(), field.reason)).collect::<Vec<_>>();
        fields.sort_by_key(|(field, reason)| (i32::from(*reason), *field));
        for same in fields.chunk_by(|one, other| one.1 == other.1) {
            let names: Vec<_> = same.iter().map(|(field, _)| *field).collect();
            checks.extend(check(&group.group, &names.join(", "), same[0].1));
        }
        if group.error.is_none() {
            checks.push(Check::ok(NAME, format!("{}: {} values are available", group.group, group.available.len())));
        }
    }
    checks
}

/// Values that are missing for the same reason. The host's own limits are as they should be.
fn check(group: &str, fields: &str, reason: UnavailableReason) -> Option<Check> {
    let message = format!("{group}: {fields}: {}", unavailable(reason));
    match reason {
        UnavailableReason::NoPermission => {
            Some(Check::warn(NAME, message, "give the collector's user the right to read /sys/class/hwmon and /proc"))
        }
        UnavailableReason::ReadFailed => {
            Some(Check::warn(NAME, message, "look at the collector's log and the kernel's"))
        }
        UnavailableReason::NoSensor | UnavailableReason::VirtualMachine | UnavailableReason::NotSupported => {
            Some(Check::ok(NAME, message))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn warns_only_of_what_somebody_can_change() {
        let verdict = |reason| check("cpu", "temperature_celsius", reason).map(|check| check.verdict);
        assert_eq!(verdict(UnavailableReason::NoPermission), Some(Verdict::Warn));
        assert_eq!(verdict(UnavailableReason::VirtualMachine), Some(Verdict::Ok));
        assert_eq!(verdict(UnavailableReason::FirstSample), None);
    }
}
