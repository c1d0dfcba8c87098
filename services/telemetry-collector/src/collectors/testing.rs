//! Test support for the collectors: recorded hosts and a fake sysinfo.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::HostRoot;
use super::system::{MockSystemInfo, OperatingSystem, ProcessorIdentity, Sensor};

/// A recorded host under `tests/hosts`.
pub(super) fn recorded(name: &str) -> HostRoot {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hosts").join(name);
    assert!(directory.is_dir(), "no recorded host at {}", directory.display());
    HostRoot::new(directory)
}

/// A host whose files a test can write, so that the next reading differs.
pub(super) struct WritableHost(TempDir);

impl WritableHost {
    pub(super) fn from_recorded(name: &str) -> Self {
        let host = Self::without_files();
        copy(&recorded(name).path(""), host.0.path());
        host
    }

    pub(super) fn without_files() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn root(&self) -> HostRoot {
        HostRoot::new(self.0.path())
    }

    pub(super) fn write(&self, file: &str, text: impl AsRef<[u8]>) {
        let path = self.0.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        // Not `file_type`: a Bazel runfile is a symlink.
        if entry.path().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::write(target, fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

/// A sysinfo with one CPU and no sensors.
pub(super) fn sysinfo() -> MockSystemInfo {
    sysinfo_with_sensors(&[])
}

/// A sysinfo with one CPU and these sensors, given as label and degrees Celsius.
pub(super) fn sysinfo_with_sensors(sensors: &[(&str, f64)]) -> MockSystemInfo {
    let sensors: Vec<_> =
        sensors.iter().map(|(label, celsius)| Sensor { label: (*label).to_owned(), celsius: Some(*celsius) }).collect();
    let mut system = MockSystemInfo::new();
    system.expect_processor().returning(|| ProcessorIdentity {
        vendor: "GenuineIntel".into(),
        model: "A recorded CPU".into(),
        physical_count: Some(1),
    });
    system
        .expect_sensors()
        .returning(move |wanted| sensors.iter().filter(|sensor| wanted(&sensor.label)).cloned().collect());
    system
        .expect_operating_system()
        .returning(|| OperatingSystem { arch: "x86_64".into(), ..OperatingSystem::default() });
    system
}
