//! Parses the CPU times in `/proc/stat` and computes shares from two readings. It does no I/O.

use std::str;

use thiserror::Error;

use crate::collectors::Reading;
use crate::models::{CpuStates, UnavailableReason};

/// Number of fields that this build knows. Fields that newer kernels append are ignored.
const KNOWN_FIELDS: usize = 10;
/// Number of fields that the oldest kernels have.
const MIN_FIELDS: usize = 4;
/// Shares are rounded to hundredths of a percent: 100% is this many.
const TOTAL_HUNDREDTHS: u128 = 100 * 100;

/// Time since boot in each state, in ticks (`USER_HZ`). States that the kernel does not count are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ticks {
    pub(super) user: u64,
    pub(super) nice: u64,
    pub(super) system: u64,
    pub(super) idle: u64,
    pub(super) iowait: u64,
    pub(super) irq: u64,
    pub(super) softirq: u64,
    pub(super) steal: u64,
    pub(super) guest: u64,
    pub(super) guest_nice: u64,
}

/// One reading of the CPU times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct CpuTimes {
    /// Sum over all CPUs.
    pub(super) total: Ticks,
    /// Each online CPU by the number that the kernel assigned to it, ascending.
    pub(super) cores: Vec<(u32, Ticks)>,
}

/// Shares of CPU time between two readings, in percent.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shares {
    /// Everything except idle and iowait. It is exactly the sum of those states.
    pub(super) busy_percent: f64,
    pub(super) states: CpuStates,
}

/// The text is not a valid `/proc/stat`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub(super) struct Malformed {
    line: usize,
    problem: String,
}

impl CpuTimes {
    /// Parses the content of `/proc/stat` into `self`. After an error, the times are unspecified.
    ///
    /// Truncated text is never taken for a host with fewer CPUs: every line up to and including the one after the
    /// last CPU must be complete.
    pub(super) fn parse(&mut self, text: &[u8]) -> Result<(), Malformed> {
        self.cores.clear();
        let mut total_fields = None;
        let mut line_number = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            line_number += 1;
            let malformed = |problem: String| Malformed { line: line_number, problem };
            if !line.ends_with(b"\n") {
                return Err(malformed("is truncated".to_owned()));
            }
            if !line.starts_with(b"cpu") && !self.cores.is_empty() {
                return Ok(());
            }
            let (name, ticks, fields) = parse_line(line).map_err(malformed)?;
            match (name, total_fields) {
                (Name::Total, None) => (self.total, total_fields) = (ticks, Some(fields)),
                (Name::Core(id), Some(expected)) => {
                    if fields != expected {
                        return Err(malformed(format!("has {fields} fields, but the first line has {expected}")));
                    }
                    if self.cores.last().is_some_and(|(previous, _)| *previous >= id) {
                        return Err(malformed(format!("cpu{id} is out of order")));
                    }
                    self.cores.push((id, ticks));
                }
                (Name::Total, Some(_)) => return Err(malformed("is a second line of totals".to_owned())),
                (Name::Core(_), None) => return Err(malformed("comes before the line of totals".to_owned())),
            }
        }
        Err(Malformed { line: line_number + 1, problem: "is missing".to_owned() })
    }

    /// Whether both readings have the same CPUs.
    pub(super) fn has_cores_of(&self, other: &Self) -> bool {
        self.cores.iter().map(|(id, _)| id).eq(other.cores.iter().map(|(id, _)| id))
    }

    /// Shares of each CPU since `base`. A CPU that `base` lacks has just come online.
    pub(super) fn core_shares<'a>(
        &'a self,
        base: &'a [(u32, Ticks)],
    ) -> impl Iterator<Item = (u32, Reading<Shares>)> + use<'a> {
        let mut base = base.iter().peekable();
        self.cores.iter().map(move |(id, ticks)| {
            while base.next_if(|(base_id, _)| base_id < id).is_some() {}
            let shares = match base.next_if(|(base_id, _)| base_id == id) {
                Some((_, base)) => ticks.shares_since(base),
                None => Err(UnavailableReason::FirstSample),
            };
            (*id, shares)
        })
    }
}

impl Ticks {
    /// Shares of the time since `base`.
    pub(super) fn shares_since(&self, base: &Self) -> Reading<Shares> {
        let counted = |now: u64, base: u64| now.checked_sub(base).ok_or(UnavailableReason::CounterReset);
        let user = counted(self.user, base.user)?;
        let nice = counted(self.nice, base.nice)?;
        let system = counted(self.system, base.system)?;
        let irq = counted(self.irq, base.irq)?;
        let softirq = counted(self.softirq, base.softirq)?;
        let steal = counted(self.steal, base.steal)?;
        // The kernel estimates these two, so they sometimes decrease without a reset.
        let idle = self.idle.saturating_sub(base.idle);
        let iowait = self.iowait.saturating_sub(base.iowait);
        let guest = counted(self.guest, base.guest)?;
        let guest_nice = counted(self.guest_nice, base.guest_nice)?;

        let total: u128 = [user, nice, system, irq, softirq, steal, idle, iowait].into_iter().map(u128::from).sum();
        if total == 0 {
            return Err(UnavailableReason::NoProgress);
        }
        let mut scale = Scale::of(total);
        let mut states = CpuStates {
            user_percent: scale.next(user),
            nice_percent: scale.next(nice),
            system_percent: scale.next(system),
            irq_percent: scale.next(irq),
            softirq_percent: scale.next(softirq),
            steal_percent: scale.next(steal),
            ..CpuStates::default()
        };
        let busy_percent = scale.so_far();
        states.idle_percent = scale.next(idle);
        states.iowait_percent = scale.next(iowait);
        // Guest time is part of user and nice time, but the kernel updates them one after the other.
        states.guest_percent = Scale::of(total).next(guest).min(states.user_percent);
        states.guest_nice_percent = Scale::of(total).next(guest_nice).min(states.nice_percent);
        Ok(Shares { busy_percent, states })
    }
}

/// Rounds shares so that they add up to exactly 100 and a state without ticks has a share of 0.
///
/// It lays the states end to end on a scale from 0 to 100 and rounds the boundaries between them.
struct Scale {
    total: u128,
    ticks: u128,
    hundredths: u128,
}

impl Scale {
    fn of(total: u128) -> Self {
        Self { total, ticks: 0, hundredths: 0 }
    }

    /// Share of the next state, in percent.
    fn next(&mut self, ticks: u64) -> f64 {
        let start = self.hundredths;
        self.ticks += u128::from(ticks);
        self.hundredths = (self.ticks * TOTAL_HUNDREDTHS + self.total / 2) / self.total;
        percent(self.hundredths - start)
    }

    /// Share of all states so far, in percent.
    fn so_far(&self) -> f64 {
        percent(self.hundredths)
    }
}

fn percent(hundredths: u128) -> f64 {
    hundredths as f64 / 100.0
}

enum Name {
    Total,
    Core(u32),
}

/// Parses a line of CPU times: name, times, number of fields.
fn parse_line(line: &[u8]) -> Result<(Name, Ticks, usize), String> {
    let line = str::from_utf8(line).map_err(|_| "is not UTF-8".to_owned())?;
    let mut fields = line.split_ascii_whitespace();
    let name = match fields.next().and_then(|name| name.strip_prefix("cpu")) {
        Some("") => Name::Total,
        Some(id) => Name::Core(id.parse().map_err(|_| format!("\"cpu{id}\" is not a CPU"))?),
        None => return Err("is not a CPU line".to_owned()),
    };
    let mut values = [0; KNOWN_FIELDS];
    let mut count = 0;
    for field in fields {
        let value = field.parse().map_err(|_| format!("{field:?} is not a number of ticks"))?;
        if let Some(slot) = values.get_mut(count) {
            *slot = value;
        }
        count += 1;
    }
    if count < MIN_FIELDS {
        return Err(format!("has {count} fields, fewer than {MIN_FIELDS}"));
    }
    let [user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice] = values;
    Ok((name, Ticks { user, nice, system, idle, iowait, irq, softirq, steal, guest, guest_nice }, count))
}

#[cfg(test)]
mod tests;
