//! Who a host is: what every message says of where it comes from.

use super::virtualization::{container, hypervisor};
use super::{HostRoot, SystemInfo};

/// Name of a host that does not say its own; the schema wants one.
const UNKNOWN: &str = "unknown";

/// What a host calls itself and what it runs. It is read once: none of it changes while a process lives, but for the
/// name, which a host seldom changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// Name of the host (`/proc/sys/kernel/hostname`); "unknown" where it has none.
    pub hostname: String,
    /// Stable identity of the installation (`/etc/machine-id`); empty where the host has none.
    pub host_id: String,
    /// Identity of this boot (`/proc/sys/kernel/random/boot_id`); empty where the host has none.
    pub boot_id: String,
    /// Operating system as its maker writes it (`PRETTY_NAME` of `os-release`); empty where unknown.
    pub os: String,
    /// Kernel release (`/proc/sys/kernel/osrelease`); empty where unknown.
    pub kernel: String,
    /// Machine architecture ("x86_64", "aarch64").
    pub arch: String,
    /// The container the host is, or else the hypervisor it runs on, in the names of systemd-detect-virt ("docker",
    /// "kvm"); `None` on bare metal and where nothing is known.
    pub virtualization: Option<String>,
}

impl HostIdentity {
    /// Reads what the files below `root` say, and asks `system` for what they do not.
    ///
    /// It never fails: what is missing is empty. It blocks, if only for moments.
    #[must_use]
    pub fn read(root: &HostRoot, system: &dyn SystemInfo) -> Self {
        let text = |file: &str| root.text(file).ok().filter(|text| !text.is_empty());
        let system = system.operating_system();
        let hostname = text("proc/sys/kernel/hostname").or(system.hostname).filter(|name| !name.is_empty());
        Self {
            hostname: hostname.unwrap_or_else(|| UNKNOWN.to_owned()),
            // What an image has in place of an identity it is yet to be given.
            host_id: text("etc/machine-id").filter(|id| id != "uninitialized").unwrap_or_default(),
            boot_id: text("proc/sys/kernel/random/boot_id").unwrap_or_default(),
            os: pretty_name(root).or(system.name).unwrap_or_default(),
            kernel: text("proc/sys/kernel/osrelease").or(system.kernel).unwrap_or_default(),
            arch: system.arch,
            virtualization: container(root).or_else(|| hypervisor(root)),
        }
    }
}

/// `PRETTY_NAME` of os-release, which is in `/usr/lib` where `/etc` is not written to.
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
    use crate::collectors::testing::{LivingHost, recorded, sysinfo};
    use crate::collectors::{OperatingSystem, Sysinfo};

    #[test]
    fn a_host_says_who_it_is() {
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
    fn what_the_files_do_not_say_the_system_is_asked() {
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
    fn a_host_without_a_name_is_unknown() {
        let mut system = MockSystemInfo::new();
        system.expect_operating_system().return_once(OperatingSystem::default);
        assert_eq!(HostIdentity::read(&HostRoot::new("/nonexistent"), &system).hostname, "unknown");
    }

    #[test]
    fn an_image_that_was_never_started_has_no_identity_yet() {
        let host = LivingHost::from_recorded("vm-without-cpufreq");
        host.write("etc/machine-id", "uninitialized\n");
        assert_eq!(HostIdentity::read(&host.root(), &sysinfo()).host_id, "");
    }

    #[test]
    fn this_host_has_a_name_and_a_kernel() {
        let identity = HostIdentity::read(&HostRoot::default(), &Sysinfo::new());
        assert!(![identity.hostname, identity.kernel, identity.arch].contains(&String::new()));
    }
}
