//! The disk of the spool, if it is one of this host.

use std::fs;
use std::path::Path;

use bytesize::ByteSize;
use nix::sys::statvfs::statvfs;
use telemetry_settings::parse;

use super::check::Check;
use super::collector::Facts;

const NAME: &str = "disk";

pub(super) fn checks(facts: &Facts, is_local: bool) -> Option<Check> {
    facts.config.as_ref().ok()?;
    let Some(directory) = facts.setting("TELEMETRY_SPOOL__DIR") else {
        return Some(Check::ok(NAME, "no spool: messages wait in memory, and a crash of the collector loses them"));
    };
    if !is_local {
        return Some(Check::ok(NAME, format!("{directory} is on another host: only its health is known")));
    }
    let max = facts.setting("TELEMETRY_SPOOL__MAX_BYTES").and_then(|size| parse::size(0..=u64::MAX)(size).ok());
    Some(check(Path::new(directory), max.unwrap_or_default()))
}

/// Whether the spool can grow to `max` bytes.
fn check(directory: &Path, max: u64) -> Check {
    let shown = directory.display();
    let used = match used(directory) {
        Ok(used) => used,
        Err(error) => {
            let remedy = "check that the directory exists, and run doctor as the collector's user";
            return Check::warn(NAME, format!("cannot look into {shown}: {error}"), remedy);
        }
    };
    let free = match statvfs(directory) {
        // The types differ from one system to the next.
        #[allow(clippy::unnecessary_cast, clippy::useless_conversion)]
        Ok(disk) => (disk.blocks_available() as u64).saturating_mul(disk.fragment_size() as u64),
        Err(error) => {
            return Check::warn(NAME, format!("cannot ask for the space of {shown}: {error}"), "check the disk");
        }
    };
    judge(&shown.to_string(), used, free, max)
}

fn judge(directory: &str, used: u64, free: u64, max: u64) -> Check {
    let room = max.saturating_sub(used);
    let size = |bytes| ByteSize::b(bytes).to_string();
    let message =
        format!("the spool {directory} takes {} of {}, the disk has {} free", size(used), size(max), size(free));
    if free == 0 {
        Check::fail(NAME, message, "free space on the disk")
    } else if free < room {
        Check::warn(NAME, message, "free space on the disk, or lower TELEMETRY_SPOOL__MAX_BYTES")
    } else {
        Check::ok(NAME, message)
    }
}

/// Bytes of the files in a directory and below it.
fn used(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // A segment may have been deleted meanwhile.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += if metadata.is_dir() { used(&entry.path()).unwrap_or_default() } else { metadata.len() };
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::check::Verdict;
    use super::*;

    #[test]
    fn warns_when_the_spool_cannot_grow_to_its_size() {
        assert_eq!(judge("/spool", 10, 100, 50).verdict, Verdict::Ok);
        assert_eq!(judge("/spool", 10, 30, 50).verdict, Verdict::Warn);
        assert_eq!(judge("/spool", 50, 1, 50).verdict, Verdict::Ok);
        assert_eq!(judge("/spool", 50, 0, 50).verdict, Verdict::Fail);
    }

    #[test]
    fn counts_what_the_spool_takes() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("instance")).unwrap();
        fs::write(directory.path().join("instance/1"), [0; 100]).unwrap();
        fs::write(directory.path().join("2"), [0; 11]).unwrap();
        assert_eq!(used(directory.path()).unwrap(), 111);
        assert_eq!(check(&directory.path().join("nowhere"), 1).verdict, Verdict::Warn);
    }
}
