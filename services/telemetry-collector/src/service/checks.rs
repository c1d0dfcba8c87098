//! Settings that can be judged only together with others, or with the host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::config::Config;
use crate::errors::{TelemetryError, TelemetryResult};
use crate::health::Component;

/// Time that the disk has to say whether the spool's directory can be one.
const SPOOL_CHECK_LIMIT: Duration = Duration::from_millis(500);

/// Refuses to be ready by a component that there is not.
pub(super) fn check_readiness(config: &Config) -> TelemetryResult<()> {
    let optional = [
        (Component::Spool, &config.spool.directory, "TELEMETRY_SPOOL__DIR"),
        (Component::StateFile, &config.control.steering.state_file, "TELEMETRY_CONTROL__STATE_FILE"),
    ];
    for (component, path, variable) in optional {
        if path.is_none() && config.http.ready.contains(&component) {
            let problem = format!("{} needs {variable}", component.name());
            return Err(TelemetryError::setting("TELEMETRY_HTTP__READY", problem));
        }
    }
    Ok(())
}

/// Refuses a directory that can never be one. Whatever may mend itself, such as a missing parent or permission, is left to the
/// spool, which tries again; so is a disk that does not answer.
pub(super) async fn check_spool_directory(directory: Option<PathBuf>) -> TelemetryResult<()> {
    let Some(directory) = directory else { return Ok(()) };
    let checking = spawn_blocking(move || not_a_directory(&directory).map(Path::to_owned));
    match timeout(SPOOL_CHECK_LIMIT, checking).await {
        Ok(Ok(Some(path))) => {
            Err(TelemetryError::setting("TELEMETRY_SPOOL__DIR", format!("{} is not a directory", path.display())))
        }
        _ => Ok(()),
    }
}

/// What `directory` is, or is below, that is there and is no directory.
fn not_a_directory(directory: &Path) -> Option<&Path> {
    let there = directory.ancestors().find_map(|path| path.metadata().ok().map(|metadata| (path, metadata)));
    there.filter(|(_, metadata)| !metadata.is_dir()).map(|(path, _)| path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn finds_what_is_in_the_way_of_a_directory() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        fs::write(path("file"), "").unwrap();
        symlink(path("file"), path("link")).unwrap();
        assert_eq!(not_a_directory(&path("file")), Some(path("file").as_path()));
        assert_eq!(not_a_directory(&path("file/below/it")), Some(path("file").as_path()));
        assert_eq!(not_a_directory(&path("link")), Some(path("link").as_path()));
        assert_eq!(not_a_directory(Path::new("/dev/null")), Some(Path::new("/dev/null")));
    }

    #[test]
    fn leaves_what_may_mend_itself_to_the_spool() {
        let root = tempfile::tempdir().unwrap();
        symlink(root.path().join("nowhere"), root.path().join("dangling")).unwrap();
        for name in ["", "missing", "missing/parent", "dangling", "dangling/below"] {
            assert_eq!(not_a_directory(&root.path().join(name)), None, "{name}");
        }
    }
}
