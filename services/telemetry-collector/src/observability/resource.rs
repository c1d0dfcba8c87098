//! What OpenTelemetry is told of the process, the service and the host, by its semantic conventions.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::{EnvResourceDetector, TelemetryResourceDetector};
use uuid::Uuid;

use crate::collectors::HostIdentity;

/// Name of the service unless another one is set.
const SERVICE_NAME: &str = "telemetry-collector";

/// The resource of this start of the collector. What `OTEL_RESOURCE_ATTRIBUTES` has counts before what the host has;
/// `service_name`, which is `OTEL_SERVICE_NAME`, before both.
pub(super) fn resource(service_name: Option<&str>, instance_id: Uuid, host: &HostIdentity) -> Resource {
    let environment = Box::new(EnvResourceDetector::new());
    let resource = Resource::builder_empty()
        .with_attributes(detected(instance_id, host))
        .with_detectors(&[Box::new(TelemetryResourceDetector), environment]);
    match service_name {
        Some(name) => resource.with_service_name(name.to_owned()).build(),
        None => resource.build(),
    }
}

fn detected(instance_id: Uuid, host: &HostIdentity) -> Vec<KeyValue> {
    let attributes = [
        ("service.name", SERVICE_NAME.to_owned()),
        ("service.version", crate::version().to_owned()),
        ("service.instance.id", instance_id.to_string()),
        ("host.name", host.hostname.clone()),
        ("host.id", host.host_id.clone()),
        ("host.arch", architecture(&host.arch).to_owned()),
        ("os.type", operating_system(std::env::consts::OS).to_owned()),
        ("os.description", host.os.clone()),
    ];
    let known = attributes.into_iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| KeyValue::new(name, value)).collect()
}

/// The name that OpenTelemetry has for the architecture that `uname -m` calls `machine`.
fn architecture(machine: &str) -> &str {
    match machine {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "i386" | "i486" | "i586" | "i686" => "x86",
        "ppc" => "ppc32",
        "ppc64le" => "ppc64",
        arm if arm.starts_with("armv") => "arm32",
        other => other,
    }
}

/// The name that OpenTelemetry has for the system that Rust calls `name`.
fn operating_system(name: &str) -> &str {
    match name {
        "macos" => "darwin",
        "dragonfly" => "dragonflybsd",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> HostIdentity {
        HostIdentity {
            hostname: "web-7".to_owned(),
            host_id: String::new(),
            boot_id: "boot".to_owned(),
            os: "Debian GNU/Linux 12 (bookworm)".to_owned(),
            kernel: "6.18.44".to_owned(),
            arch: "x86_64".to_owned(),
            virtualization: None,
        }
    }

    #[test]
    fn leaves_out_what_the_host_does_not_have() {
        let attributes = detected(Uuid::nil(), &host());
        let has = |name: &str| attributes.iter().any(|attribute| attribute.key.as_str() == name);
        assert!(has("host.name") && has("os.description") && !has("host.id"), "{attributes:?}");
    }

    #[test]
    fn names_architectures_as_opentelemetry_does() {
        let names = ["x86_64", "aarch64", "armv7l", "i686", "ppc64le", "s390x", "riscv64"].map(architecture);
        assert_eq!(names, ["amd64", "arm64", "arm32", "x86", "ppc64", "s390x", "riscv64"]);
    }
}
