//! How the program ends.

use std::process::ExitCode;

/// Exit codes; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Every target did what it was asked.
    Ok,
    /// A collector is degraded, or `doctor` found something to look at.
    Degraded,
    /// A collector does not serve, or `doctor` found something that has to be fixed.
    NotServing,
    /// Some targets failed.
    SomeFailed,
    /// All targets failed.
    AllFailed,
    /// An argument is wrong (`EX_USAGE`).
    Usage,
    /// The program met an error of its own (`EX_SOFTWARE`).
    Software,
    /// A setting is wrong, such as a file that cannot be read (`EX_CONFIG`).
    Settings,
    /// SIGINT ended the program.
    Interrupted,
    /// SIGTERM ended the program.
    Terminated,
}

/// The exit codes for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
  0    every target did what it was asked
  1    health: a collector is degraded; doctor: something to look at
  2    health: a collector does not serve; doctor: something has to be fixed
  3    some targets failed
  4    all targets failed
  64   an argument is wrong
  70   an error of telemetryctl itself
  78   a setting is wrong, such as a file that cannot be read
  130  interrupted by Ctrl-C
  143  ended by SIGTERM";

impl Exit {
    /// The exit code when `failed` of `all` targets failed.
    pub(crate) fn of_targets(failed: usize, all: usize) -> Self {
        match failed {
            0 => Self::Ok,
            failed if failed == all => Self::AllFailed,
            _ => Self::SomeFailed,
        }
    }

    /// The number that a shell sees.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Degraded => 1,
            Self::NotServing => 2,
            Self::SomeFailed => 3,
            Self::AllFailed => 4,
            Self::Usage => 64,
            Self::Software => telemetry_process::exit::SOFTWARE,
            Self::Settings => telemetry_process::exit::CONFIG,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_partial_failure_from_total_failure() {
        assert_eq!(Exit::of_targets(0, 3), Exit::Ok);
        assert_eq!(Exit::of_targets(1, 3), Exit::SomeFailed);
        assert_eq!(Exit::of_targets(3, 3), Exit::AllFailed);
        assert_eq!(Exit::of_targets(1, 1), Exit::AllFailed);
    }

    #[test]
    fn the_help_names_every_code() {
        for exit in [
            Exit::Ok,
            Exit::Degraded,
            Exit::NotServing,
            Exit::SomeFailed,
            Exit::AllFailed,
            Exit::Usage,
            Exit::Software,
            Exit::Settings,
            Exit::Interrupted,
            Exit::Terminated,
        ] {
            let begin = format!("  {:<5}", exit.code());
            assert!(HELP.lines().any(|line| line.starts_with(&begin)), "{exit:?}");
        }
    }
}
