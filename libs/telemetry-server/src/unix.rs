//! Unix sockets, whose file has its mode and group before anybody can connect.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use nix::unistd::Group;
use tokio::net::UnixListener;

use crate::error::{InvalidSetting, Problem};
use crate::settings::{Setting, SocketPermissions};

/// The file of a socket. It is removed when this value is dropped, unless another process has taken its place.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_ours = fs::symlink_metadata(&self.path).is_ok_and(|file| (file.dev(), file.ino()) == self.identity);
        if is_ours {
            // A file that stays is replaced by the next start.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens on the socket `path`. A file that a crashed process has left is replaced.
pub(crate) fn bind(path: &Path, mode: u32, group: Option<u32>) -> io::Result<(UnixListener, SocketFile)> {
    // The name that it has while nobody can reach it may be shorter.
    SocketAddr::from_pathname(path)?;
    refuse_used(path)?;
    let parent = path.parent().unwrap_or(Path::new("/"));
    // Nobody else can reach the socket in here until it has its permissions.
    let private = tempfile::Builder::new().prefix(".").permissions(Permissions::from_mode(0o700)).tempdir_in(parent)?;
    let hidden = private.path().join("s");
    let listener = UnixListener::bind(&hidden)?;
    if group.is_some() {
        chown(&hidden, None, group)?;
    }
    fs::set_permissions(&hidden, Permissions::from_mode(mode))?;
    let file = fs::symlink_metadata(&hidden)?;
    fs::rename(&hidden, path)?;
    Ok((listener, SocketFile { path: path.to_owned(), identity: (file.dev(), file.ino()) }))
}

fn refuse_used(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"))
        }
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

/// The number of the group in `permissions`.
pub(crate) fn group_of(permissions: &SocketPermissions) -> Result<Option<u32>, InvalidSetting> {
    let Some(group) = &permissions.group else { return Ok(None) };
    if let Ok(number) = group.parse() {
        return Ok(Some(number));
    }
    match Group::from_name(group) {
        Ok(Some(found)) => Ok(Some(found.gid.as_raw())),
        _ => Err(InvalidSetting::new(Setting::SocketGroup, Problem::UnknownGroup(group.clone()))),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn has_its_mode_and_leaves_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let (_listener, file) = bind(&path, 0o600, None).unwrap();
        assert_eq!(mode(&path), 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        drop(file);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn replaces_the_file_of_a_crashed_process_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.sock");
        let (listener, file) = bind(&path, 0o660, None).unwrap();
        assert_eq!(bind(&path, 0o660, None).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        let (_second, second_file) = bind(&path, 0o600, None).unwrap();
        drop(file);
        assert_eq!(mode(&path), 0o600, "the first process must not remove the file of the second");
        drop(second_file);

        fs::write(&path, "data").unwrap();
        assert_eq!(bind(&path, 0o660, None).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[tokio::test]
    async fn refuses_a_path_that_no_client_could_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s".repeat(100));
        assert_eq!(bind(&path, 0o660, None).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn knows_groups_by_name_and_number() {
        let group = |group: &str| {
            let group = Some(group.to_owned());
            group_of(&SocketPermissions { group, ..SocketPermissions::default() })
        };
        assert_eq!((group("root").unwrap(), group("4711").unwrap()), (Some(0), Some(4711)));
        assert_eq!(group("no-such-group").unwrap_err().setting, Setting::SocketGroup);
    }
}
