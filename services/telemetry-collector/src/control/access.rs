//! The role that each call needs.

use telemetry_server::Role;

const CONTROL: &str = "/telemetry.v1.ControlService/";
const HEALTH: &str = "/grpc.health.v1.Health/";
/// Lasts as long as the client likes. Probes use `Check`.
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: &str = "/grpc.reflection.";

/// Calls that need no login, where there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WithoutLogin {
    /// `grpc.health.v1` except `Watch`: statuses.
    pub health: bool,
    /// `Health` of the control API: statuses and the last errors.
    pub health_details: bool,
    /// Reflection: the schema.
    pub reflection: bool,
}

/// The role that a call of `path` needs; `None` = it needs no login. What is not known here needs the highest.
pub(super) fn needed(path: &str, without_login: WithoutLogin) -> Option<Role> {
    let WithoutLogin { health, health_details, reflection } = without_login;
    let read_unless = |open: bool| (!open).then_some(Role::Read);
    if let Some(method) = path.strip_prefix(CONTROL) {
        return match method {
            "GetSnapshot" | "WatchSnapshots" | "GetConfig" | "GetCapabilities" => Some(Role::Read),
            "Health" => read_unless(health_details),
            _ => Some(Role::Control),
        };
    }
    if path == HEALTH_WATCH {
        Some(Role::Read)
    } else if path.starts_with(HEALTH) {
        read_unless(health)
    } else if path.starts_with(REFLECTION) {
        read_unless(reflection)
    } else {
        Some(Role::Control)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSED: WithoutLogin = WithoutLogin { health: false, health_details: false, reflection: false };
    const OPEN: WithoutLogin = WithoutLogin { health: true, health_details: true, reflection: true };

    #[test]
    fn only_changes_need_control() {
        for method in ["GetSnapshot", "WatchSnapshots", "GetConfig", "GetCapabilities", "Health"] {
            assert_eq!(needed(&format!("{CONTROL}{method}"), CLOSED), Some(Role::Read), "{method}");
        }
        for method in ["SetInterval", "ResetInterval", "WhatComesNext"] {
            assert_eq!(needed(&format!("{CONTROL}{method}"), OPEN), Some(Role::Control), "{method}");
        }
    }

    #[test]
    fn health_and_reflection_are_open_as_the_settings_say() {
        for path in [
            "/telemetry.v1.ControlService/Health",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert_eq!((needed(path, CLOSED), needed(path, OPEN)), (Some(Role::Read), None), "{path}");
        }
        let statuses = WithoutLogin { health: true, ..CLOSED };
        assert_eq!(needed("/telemetry.v1.ControlService/Health", statuses), Some(Role::Read));
        assert_eq!(needed("/grpc.health.v1.Health/Watch", OPEN), Some(Role::Read));
        assert_eq!(needed("/", OPEN), Some(Role::Control));
    }
}
