//! The file that keeps a change over a restart.
//!
//! It is one JSON object: the version of its layout, and the change as the queue has it. While no change is in force, there is
//! no file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use telemetry_proto::v1::ControlEvent;
use thiserror::Error;

use crate::interval::Interval;

/// Version of the layout.
const VERSION: u32 = 1;
/// No state is larger.
const MAX_BYTES: u64 = 64 << 10;

/// A change as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Saved {
    pub(super) interval: Interval,
    pub(super) reverts_at: Option<SystemTime>,
    /// Who made the change, and why.
    pub(super) event: ControlEvent,
}

/// The state file cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ReadError {
    /// It cannot be read.
    #[error("cannot read it")]
    Unreadable(#[from] io::Error),
    /// It is not JSON of this layout.
    #[error("it is damaged")]
    Damaged(#[from] serde_json::Error),
    /// It was written by another version of the collector.
    #[error("it has version {0}, and this collector knows version {VERSION}")]
    OtherVersion(u32),
    /// It is JSON, and what it says is not possible.
    #[error("it is damaged: {0}")]
    Implausible(&'static str),
}

/// What the file is to keep.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kept {
    /// What it keeps already.
    AsItIs,
    /// Nothing: the interval of the settings is in force.
    Nothing,
    /// A change.
    Change(Box<Saved>),
}

#[derive(Serialize, Deserialize)]
struct Content {
    version: u32,
    change: ControlEvent,
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The change that the file keeps; `None` if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<Saved>, ReadError> {
    let mut text = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(MAX_BYTES).read_to_end(&mut text)?,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    parse(&text).map(Some)
}

fn parse(text: &[u8]) -> Result<Saved, ReadError> {
    let Version { version } = serde_json::from_slice(text)?;
    if version != VERSION {
        return Err(ReadError::OtherVersion(version));
    }
    let Content { change: event, .. } = serde_json::from_slice(text)?;
    let interval = event.interval.ok_or(ReadError::Implausible("it has no interval"))?;
    let interval = Interval::try_from(interval).map_err(|_| ReadError::Implausible("its interval is out of range"))?;
    let reverts_at = event.reverts_at.map(SystemTime::try_from).transpose();
    let reverts_at = reverts_at.map_err(|_| ReadError::Implausible("its end is out of range"))?;
    Ok(Saved { interval, reverts_at, event })
}

/// Replaces the file as a whole; only its owner may read it. Without a change there is no file afterwards.
pub(super) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    match kept {
        Kept::AsItIs => return Ok(()),
        Kept::Change(saved) => {
            let content = Content { version: VERSION, change: saved.event.clone() };
            let mut text = serde_json::to_vec_pretty(&content)?;
            text.push(b'\n');
            // It has mode 0600, and is removed unless it takes its place.
            let mut file = tempfile::Builder::new().prefix(".telemetry-state-").tempfile_in(directory)?;
            file.write_all(&text)?;
            file.as_file().sync_all()?;
            file.persist(path)?;
        }
        Kept::Nothing => match fs::remove_file(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            removed => removed?,
        },
    }
    File::open(directory)?.sync_all()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::Duration;

    use telemetry_proto::v1::{Caller, CallerLogin, ControlAction};

    use super::*;

    fn saved() -> Saved {
        let reverts_at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let event = ControlEvent {
            hostname: "testhost".to_owned(),
            action: ControlAction::IntervalSet.into(),
            caller: Some(Caller {
                name: "anna".to_owned(),
                login: CallerLogin::Token.into(),
                address: "127.0.0.1:50052".to_owned(),
            }),
            previous_interval: Some(Duration::from_secs(1).into()),
            interval: Some(Duration::from_millis(200).into()),
            reverts_at: Some(reverts_at.into()),
            reason: "a \"slow\"\ndisk".to_owned(),
            ..ControlEvent::default()
        };
        Saved { interval: "200ms".parse().unwrap(), reverts_at: Some(reverts_at), event }
    }

    #[test]
    fn gives_back_what_was_written_and_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        assert!(read(&path).unwrap().is_none());
        write(&path, &Kept::Change(Box::new(saved()))).unwrap();
        write(&path, &Kept::Change(Box::new(saved()))).unwrap();
        assert_eq!(read(&path).unwrap(), Some(saved()));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
        write(&path, &Kept::Nothing).unwrap();
        write(&path, &Kept::Nothing).unwrap();
        assert_eq!(directory.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn replaces_a_link_and_not_the_file_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        let (path, other) = (directory.path().join("state.json"), directory.path().join("other"));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &path).unwrap();
        write(&path, &Kept::Change(Box::new(saved()))).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap(), "precious");
        assert_eq!(read(&path).unwrap(), Some(saved()));
    }

    #[test]
    fn a_write_that_fails_leaves_the_file_as_it_was() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, &Kept::Change(Box::new(saved()))).is_err());
        assert!(path.is_dir());
        assert_eq!(directory.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn says_what_is_wrong_with_a_file() {
        let report = |text: &str| telemetry_process::report(&parse(text.as_bytes()).unwrap_err());
        let change = |fields: &str| format!(r#"{{"version": 1, "change": {{{fields}}}}}"#);
        assert_eq!(report(""), "it is damaged: EOF while parsing a value at line 1 column 0");
        assert!(report("{}").starts_with("it is damaged: missing field `version`"));
        assert_eq!(report(r#"{"version": 2}"#), "it has version 2, and this collector knows version 1");
        assert!(report(r#"{"version": 1}"#).starts_with("it is damaged: missing field `change`"));
        assert_eq!(report(&change("")), "it is damaged: it has no interval");
        assert_eq!(report(&change(r#""interval": "0.005s""#)), "it is damaged: its interval is out of range");
        assert!(report(&change(r#""interval": "soon""#)).starts_with("it is damaged: "));
    }

    #[test]
    fn half_a_file_is_damaged_wherever_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.json");
        write(&path, &Kept::Change(Box::new(saved()))).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() - 2 {
            assert!(matches!(parse(&whole[..end]), Err(ReadError::Damaged(_))), "{end}");
        }
    }
}
