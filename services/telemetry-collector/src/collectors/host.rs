//! Identity of the host, which every sample carries.

use super::virtualization::{container, hypervisor};
use super::{HostRoot, SystemInfo};

/// Name of a host that has none: the schema requires a name.
const UNKNOWN: &str = "unknown";

/// Name, identity and operating system of a host.
///
/// It is read once, at startup: only the hostname can change while a process runs, and it rarely does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// Hostname (`/proc/sys/kernel/hostname`); "unknown" if the host has none.
    pub hostname: String,
    /// ID of the installation, stable across reboots (`/etc/machine-id`); empty if the host has none.
    pub host_id: String,
    /// ID of this boot (`/proc/sys/kernel/random/boot_id`); empty if the host has none.
    pub boot_id: String,
    /// Name and version of the operating system (`PRETTY_NAME` in `/etc/os-release`); empty if unknown.
    pub os: String,
    /// Kernel release (`/proc/sys/kernel/osrelease`); empty if unknown.
    pub kernel: String,
    /// CPU architecture ("x86_64", "aarch64"), from sysinfo.
    pub arch: String,
    /// Container runtime, or else hypervisor, named as by `systemd-detect-virt` ("docker", "kvm"). `None` on bare metal
    /// or if nothing was detected.
    pub virtualization: Option<String>,
}

impl HostIdentity {
    /// Reads the files below `root` and asks `system` for values that they lack.
    ///
    /// It never fails: missing values are empty. It does blocking file I/O, for a short time.
    #[must_use]
    pub fn read(root: &HostRoot, system: &dyn SystemInfo) -> Self {
        let text = |file: &str| root.text(file).ok().filter(|text| !text.is_empty());
        let system = system.operating_system();
        let hostname = text("proc/sys/kernel/hostname").or(system.hostname).filter(|name| !name.is_empty());
        Self {
            hostname: hostname.unwrap_or_else(|| UNKNOWN.to_owned()),
            // Placeholder in an image that has not been booted yet; see machine-id(5).
            host_id: text("etc/machine-id").filter(|id| id != "uninitialized").unwrap_or_default(),
            boot_id: text("proc/sys/kernel/random/boot_id").unwrap_or_default(),
            os: pretty_name(root).or(system.name).unwrap_or_default(),
            kernel: text("proc/sys/kernel/osrelease").or(system.kernel).unwrap_or_default(),
            arch: system.arch,
            virtualization: container(root).or_else(|| hypervisor(root)),
        }
    }
}

/// `PRETTY_NAME` from `/etc/os-release`, or from `/usr/lib/os-release` if that does not exist.
fn pretty_name(root: &HostRoot) -> Option<String> {
    let os_release = root.text("etc/os-release").or_else(|_| root.text("usr/lib/os-release")).ok()?;
    let name = os_release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let name = name.trim().trim_matches(['"', '\'']);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collectors::system::MockSystemInfo;
    use crate::collectors::testing::{WritableHost, recorded, sysinfo};
    use crate::collectors::{OperatingSystem, Sysinfo};

    #[test]
    fn reads_the_identity_of_a_recorded_host() {
        let identity = HostIdentity::read(&recorded("vm-without-cpufreq"), &sysinfo());
        let expected = HostIdentity {
            hostname: "recorded-vm".into(),
            host_id: "0123456789abcdef0123456789abcdef".into(),
            boot_id: "01234567-89ab-4cde-8f01-23456789abcd".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            kernel: "6.18.44".into(),
            arch: "x86_64".into(),
            virtualization: Some("vm-other".into()),
        };
        assert_eq!(identity, expected);
    }

    #[test]
    fn asks_the_system_for_values_that_files_lack() {
        let mut system = MockSystemInfo::new();
        system.expect_operating_system().return_once(|| OperatingSystem {
            hostname: Some("desk".into()),
            name: Some("macOS 15.1 Sequoia".into()),
            kernel: Some("24.1.0".into()),
            arch: "arm64".into(),
        });
        let identity = HostIdentity::read(&HostRoot::new("/nonexistent"), &system);
        assert_eq!(
            (identity.hostname.as_str(), identity.os.as_str(), identity.kernel.as_str(), identity.arch.as_str()),
            ("desk", "macOS 15.1 Sequoia", "24.1.0", "arm64")
        );
        assert_eq!((identity.host_id.as_str(), identity.boot_id.as_str(), identity.virtualization), ("", "", None));
    }

    #[test]
    fn a_host_without_a_name_is_called_unknown() {
        let mut system = MockSystemInfo::new();
        system.expect_operating_system().return_once(OperatingSystem::default);
        assert_eq!(HostIdentity::read(&HostRoot::new("/nonexistent"), &system).hostname, "unknown");
    }

    #[test]
    fn ignores_the_machine_id_of_an_image_that_was_never_booted() {
        let host = WritableHost::from_recorded("vm-without-cpufreq");
        host.write("etc/machine-id", "uninitialized\n");
        assert_eq!(HostIdentity::read(&host.root(), &sysinfo()).host_id, "");
    }

    #[test]
    fn this_host_has_a_name_and_a_kernel() {
        let identity = HostIdentity::read(&HostRoot::default(), &Sysinfo::new());
        assert!(![identity.hostname, identity.kernel, identity.arch].contains(&String::new()));
    }
}
