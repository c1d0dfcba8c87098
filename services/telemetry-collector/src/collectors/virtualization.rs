//! Detects the container runtime and the hypervisor. Names are those of `systemd-detect-virt`.

use super::HostRoot;

/// Prefixes of the firmware's vendor or product name, and the hypervisor that they stand for.
const FIRMWARE: [(&str, &str); 14] = [
    ("KVM", "kvm"),
    ("OpenStack", "kvm"),
    ("KubeVirt", "kvm"),
    ("Amazon EC2", "amazon"),
    ("Google Compute Engine", "google"),
    ("QEMU", "qemu"),
    ("VMware", "vmware"),
    ("VirtualBox", "oracle"),
    ("innotek GmbH", "oracle"),
    ("Xen", "xen"),
    ("Bochs", "bochs"),
    ("Parallels", "parallels"),
    ("BHYVE", "bhyve"),
    ("Apple Virtualization", "apple"),
];

/// The container runtime that the process runs in ("docker", "podman", "lxc"); `None` outside a container.
pub(super) fn container(root: &HostRoot) -> Option<String> {
    if root.has("run/.containerenv") {
        return Some("podman".to_owned());
    }
    if root.has(".dockerenv") {
        return Some("docker".to_owned());
    }
    let from_runtime = root.text("run/systemd/container").ok();
    // Other runtimes set a variable for their first process only. Reading it needs the permissions of its owner.
    let from_environment = || {
        let environment = root.text("proc/1/environ").ok()?;
        environment.split('\0').find_map(|variable| variable.strip_prefix("container=")).map(str::to_owned)
    };
    from_runtime.or_else(from_environment).filter(|name| !name.is_empty())
}

/// The hypervisor that the host runs on ("kvm", "amazon", "vm-other" if it is not known); `None` on bare metal.
pub(super) fn hypervisor(root: &HostRoot) -> Option<String> {
    from_firmware(root).map(str::to_owned).or_else(|| root.text("sys/hypervisor/type").ok()).or_else(|| {
        let cpuinfo = root.text("proc/cpuinfo").ok()?;
        let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
        flags.split_ascii_whitespace().any(|flag| flag == "hypervisor").then(|| "vm-other".to_owned())
    })
}

fn from_firmware(root: &HostRoot) -> Option<&'static str> {
    let dmi = |file: &str| root.text(format!("sys/class/dmi/id/{file}")).unwrap_or_default();
    let (product, vendor) = (dmi("product_name"), dmi("sys_vendor"));
    // These two vendors also make physical machines.
    if vendor == "Microsoft Corporation" && product == "Virtual Machine" {
        return Some("microsoft");
    }
    if vendor == "Amazon EC2" && product.ends_with(".metal") {
        return None;
    }
    let has_prefix = |start: &str| product.starts_with(start) || vendor.starts_with(start);
    FIRMWARE.iter().find(|(start, _)| has_prefix(start)).map(|(_, name)| *name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn host(files: &[(&str, &str)]) -> (TempDir, HostRoot) {
        let directory = tempfile::tempdir().unwrap();
        let root = HostRoot::new(directory.path());
        for (file, text) in files {
            let path = root.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        (directory, root)
    }

    #[test]
    fn detects_a_hypervisor_by_its_firmware() {
        for (vendor, product, expected) in [
            ("QEMU", "Standard PC (Q35 + ICH9, 2009)", Some("qemu")),
            ("Red Hat", "KVM", Some("kvm")),
            ("Amazon EC2", "m7i.large", Some("amazon")),
            ("Amazon EC2", "m7i.metal", None),
            ("Google", "Google Compute Engine", Some("google")),
            ("Google", "Eve", None),
            ("Microsoft Corporation", "Virtual Machine", Some("microsoft")),
            ("Microsoft Corporation", "Surface Laptop 4", None),
            ("innotek GmbH", "VirtualBox", Some("oracle")),
            ("VMware, Inc.", "VMware7,1", Some("vmware")),
            ("Dell Inc.", "PowerEdge R750", None),
        ] {
            let files = [("sys/class/dmi/id/sys_vendor", vendor), ("sys/class/dmi/id/product_name", product)];
            let (_directory, root) = host(&files);
            assert_eq!(hypervisor(&root).as_deref(), expected, "{vendor}, {product}");
        }
    }

    #[test]
    fn detects_a_hypervisor_by_the_kernel_when_firmware_is_silent() {
        let (_directory, xen) = host(&[("sys/hypervisor/type", "xen\n")]);
        assert_eq!(hypervisor(&xen).as_deref(), Some("xen"));

        let (_directory, unnamed) = host(&[("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n")]);
        assert_eq!(hypervisor(&unnamed).as_deref(), Some("vm-other"));

        let (_directory, metal) = host(&[("proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu lahf_lm\n")]);
        assert_eq!(hypervisor(&metal), None);
    }

    #[test]
    fn detects_a_container_by_the_files_of_its_runtime() {
        for (file, text, expected) in [
            ("run/.containerenv", "", Some("podman")),
            (".dockerenv", "", Some("docker")),
            ("run/systemd/container", "systemd-nspawn\n", Some("systemd-nspawn")),
            ("proc/1/environ", "PATH=/bin\0container=lxc\0TERM=linux\0", Some("lxc")),
            ("proc/1/environ", "PATH=/bin\0", None),
        ] {
            let (_directory, root) = host(&[(file, text)]);
            assert_eq!(container(&root).as_deref(), expected, "{file}");
        }
    }
}
