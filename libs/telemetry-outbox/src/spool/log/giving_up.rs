//! Gives up messages of a log when the spool is full, and deletes them once gap records on disk name them.

use std::io;
use std::ops::RangeInclusive;

use telemetry_proto::v1::GapReason;

use super::Log;
use crate::batch::EncodedMessage;
use crate::loss::Loss;
use crate::spool::context;
use crate::spool::given_up::{Extent, GivenUp};
use crate::spool::record;

impl Log {
    /// Gives up the oldest file that is neither in flight nor being written. What is lost by it.
    pub(in crate::spool) fn give_up_oldest(&mut self) -> io::Result<Option<Vec<Loss>>> {
        let Some(index) = self.candidates().next() else { return Ok(None) };
        let end = self.segments.get(index + 1).map(|next| next.first);
        let (messages, unreadable) = self.segments[index].read_all(end)?;
        let losses = self.losses(&messages, GapReason::SpoolFull, unreadable);
        let segment = self.segments.remove(index).map(Extent::Segment);
        self.given_up.extend(segment.map(|extent| GivenUp::new(extent, &losses)));
        Ok(Some(losses))
    }

    /// Gives up every second sample of the file that was decimated the least, the oldest of them. What is lost by it.
    pub(in crate::spool) fn decimate(&mut self) -> io::Result<Option<Vec<Loss>>> {
        let whole = self.candidates().filter(|index| self.given_up_bytes(self.segments[*index].first) == 0);
        let least = whole.min_by_key(|index| self.segments[*index].decimated);
        let end = least.and_then(|index| self.segments.get(index + 1)).map(|next| next.first);
        let Some(segment) = least.and_then(|index| self.segments.get_mut(index)) else { return Ok(None) };
        let (messages, unreadable) = segment.read_all(end)?;
        let mut goes = false;
        let (lost, kept): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| {
            goes ^= message.is_sample;
            goes && message.is_sample
        });
        if lost.is_empty() {
            return Ok(None);
        }
        let (first, lost_bytes) = (segment.first, lost.iter().map(record::size).sum());
        let losses = self.losses(&lost, GapReason::Decimated, unreadable);
        self.given_up.push(GivenUp::new(Extent::Part { first, kept, lost_bytes }, &losses));
        self.close_files();
        Ok(Some(losses))
    }

    /// Files that are neither in flight nor being written, the oldest first.
    fn candidates(&self) -> impl Iterator<Item = usize> + use<> {
        let from = self.position.segment + usize::from(self.position.offset > 0);
        from..self.segments.len().saturating_sub(usize::from(self.is_live))
    }

    /// Bytes of what is given up of the segment that begins with `first`.
    pub(super) fn given_up_bytes(&self, first: u64) -> u64 {
        self.given_up.iter().map(|given_up| given_up.bytes_in(first)).sum()
    }

    /// What is lost with `messages`, and with those that were `unreadable` before. What is acknowledged is not lost.
    fn losses(
        &self,
        messages: &[EncodedMessage],
        reason: GapReason,
        unreadable: Vec<RangeInclusive<u64>>,
    ) -> Vec<Loss> {
        let mut numbers: Vec<RangeInclusive<u64>> = Vec::new();
        let unreadable =
            unreadable.into_iter().map(|range| *range.start().max(&(self.acknowledged + 1))..=*range.end());
        let mut losses: Vec<_> =
            unreadable.filter(|range| !range.is_empty()).map(|missing| self.damage(missing)).collect();
        for message in messages.iter().filter(|message| message.sequence > self.acknowledged) {
            match numbers.last_mut() {
                Some(range) if range.end() + 1 == message.sequence => *range = *range.start()..=message.sequence,
                _ => numbers.push(message.sequence..=message.sequence),
            }
            losses.extend(message.gap_record().map(|gap| Loss::named_by(&gap, self.instance_id)));
        }
        if !numbers.is_empty() {
            losses.push(Loss { instance_id: self.instance_id, numbers, reason });
        }
        losses
    }

    /// Marks that a gap record on disk names `loss`.
    pub(in crate::spool) fn mark_reported(&mut self, loss: &Loss) {
        self.given_up.iter_mut().for_each(|given_up| given_up.mark_reported(loss));
    }

    /// Whether something that was given up can be deleted.
    pub(in crate::spool) fn has_reported(&self) -> bool {
        self.given_up.iter().any(GivenUp::is_reported)
    }

    /// Deletes what was given up and is named by gap records on disk. What is in flight meanwhile arrives all the same.
    pub(in crate::spool) fn delete_reported(&mut self) -> io::Result<()> {
        let (reported, rest) = std::mem::take(&mut self.given_up).into_iter().partition(GivenUp::is_reported);
        self.given_up = rest;
        context::all(reported.into_iter().map(|given_up: GivenUp| {
            self.delete_given_up(&given_up.extent).inspect_err(|_| self.given_up.push(given_up))
        }))
    }

    fn delete_given_up(&mut self, extent: &Extent) -> io::Result<()> {
        match extent {
            Extent::Segment(segment) => segment.delete(),
            Extent::Part { first, kept, .. } => {
                let at = self.candidates().find(|at| self.segments[*at].first == *first);
                at.map_or(Ok(()), |at| self.segments[at].replace(kept))
            }
        }
    }

    /// Bytes that are given up and named, and are still on disk: they could not be deleted.
    pub(in crate::spool) fn undeleted_bytes(&self) -> u64 {
        self.given_up.iter().filter(|given_up| given_up.is_reported()).map(GivenUp::bytes).sum()
    }

    /// Bytes of memory that are kept until the rest of their files can be deleted.
    pub(in crate::spool) fn kept_in_memory(&self) -> u64 {
        self.given_up.iter().map(GivenUp::kept_bytes).sum()
    }
}
