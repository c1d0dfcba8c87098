//! What is wrong with settings.

use thiserror::Error;

/// One setting that is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}: {problem}", .name.escape_debug())]
pub struct InvalidSetting {
    /// Name of the setting as the user wrote it.
    pub name: String,
    /// What is wrong, with the value (never a secret) and what is allowed.
    pub problem: String,
}

/// Every mistake in an environment, one line each.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{}", lines(.0))]
pub struct InvalidSettings(pub Vec<InvalidSetting>);

impl InvalidSetting {
    /// `name` is wrong in the way that `problem` says.
    pub fn new(name: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into() }
    }
}

impl From<InvalidSetting> for InvalidSettings {
    fn from(setting: InvalidSetting) -> Self {
        Self(vec![setting])
    }
}

fn lines(settings: &[InvalidSetting]) -> String {
    settings.iter().map(InvalidSetting::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_each_mistake_a_line() {
        let mistakes = InvalidSettings(vec![InvalidSetting::new("A", "is wrong"), InvalidSetting::new("B\n", "too")]);
        assert_eq!(mistakes.to_string(), "A: is wrong\nB\\n: too");
    }
}
