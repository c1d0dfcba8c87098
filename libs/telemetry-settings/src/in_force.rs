//! The settings that a program runs with.

use std::fmt::Write;

use crate::mask::mask_secret;
use crate::program::Variable;
use crate::secret::Secret;

/// The settings that a program runs with, and where each comes from.
#[derive(Debug, Clone, Default)]
pub struct InForce {
    pub(crate) found: Vec<Found>,
    pub(crate) ignored: Vec<String>,
}

/// A value and where it was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) variable: &'static Variable,
    pub(crate) value: Secret,
    pub(crate) origin: Origin,
}

/// A setting as others may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name of its variable.
    pub name: &'static str,
    /// Its value. The passwords in a URL are masked, and any other secret as a whole.
    pub value: String,
    /// Where the value was found.
    pub origin: Origin,
}

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Nothing was set.
    Default,
    /// The environment variable.
    Environment,
    /// The file that the variable with the suffix `_FILE` names.
    File,
}

impl InForce {
    /// Names that begin with the program's prefix, but are no settings of it or of another program that it knows.
    #[must_use]
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// Every setting, in the order of the program's table.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.found.iter().map(|found| Entry { name: found.variable.name, value: shown(found), origin: found.origin })
    }

    /// Every setting and where it comes from, one line each, passwords masked. A shell can source it.
    #[must_use]
    pub fn print(&self) -> String {
        let assignments: Vec<_> = self.found.iter().map(assignment).collect();
        let width = assignments.iter().map(|assignment| assignment.chars().count()).max().unwrap_or_default();
        let mut text = String::new();
        for (found, assignment) in self.found.iter().zip(&assignments) {
            let origin = match found.origin {
                Origin::Default => "default".to_owned(),
                Origin::Environment => "environment".to_owned(),
                Origin::File => found.variable.in_file(),
            };
            let _ = writeln!(text, "{assignment:width$}  # {origin}");
        }
        text
    }
}

fn shown(found: &Found) -> String {
    let value = found.value.expose();
    if found.variable.secret { mask_secret(value) } else { value.to_owned() }
}

fn assignment(found: &Found) -> String {
    let value = shown(found);
    let plain = value.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:,=@[]*+".contains(c));
    let quoted = if plain { value } else { format!("'{}'", value.replace('\'', r"'\''")) };
    format!("{}={quoted}", found.variable.name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use proptest::prelude::*;

    use super::*;
    use crate::testing::{URL, WELCOME};

    fn printed(variable: &'static Variable, value: &str, origin: Origin) -> String {
        let found = Found { variable, value: Secret::new(value), origin };
        InForce { found: vec![found], ignored: Vec::new() }.print()
    }

    #[test]
    fn names_the_origin_of_each_value() {
        assert_eq!(printed(WELCOME, "", Origin::Default), "SHOP_HTTP__WELCOME=  # default\n");
        assert_eq!(printed(WELCOME, "good day", Origin::Environment), "SHOP_HTTP__WELCOME='good day'  # environment\n");
        let expected = "SHOP_QUEUE__URL=queue://:***@host  # SHOP_QUEUE__URL_FILE\n";
        assert_eq!(printed(URL, "queue://:hunter2@host", Origin::File), expected);
    }

    #[test]
    fn entries_are_what_is_printed() {
        let entry = |variable, value, origin| {
            let found = Found { variable, value: Secret::new(value), origin };
            InForce { found: vec![found], ignored: Vec::new() }.entries().next().unwrap()
        };
        let url = entry(URL, "queue://:hunter2@host", Origin::File);
        assert_eq!((url.name, url.value.as_str(), url.origin), (URL.name, "queue://:***@host", Origin::File));
        assert_eq!(entry(URL, "hunter2", Origin::Environment).value, "***");
        assert_eq!(entry(URL, "", Origin::Default).value, "");
        assert_eq!(entry(WELCOME, "good day", Origin::Environment).value, "good day");
    }

    #[test]
    fn hides_the_value_in_debug_output() {
        let found = Found { variable: URL, value: Secret::new("queue://:hunter2@host"), origin: Origin::File };
        assert!(!format!("{found:?}").contains("hunter2"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_shell_reads_what_is_printed(value in "[^\\x00]*") {
            let script = printed(WELCOME, &value, Origin::Environment) + "printf %s \"$SHOP_HTTP__WELCOME\"";
            let mut shell = Command::new("sh").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
            shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
            let read = shell.wait_with_output().unwrap().stdout;
            prop_assert_eq!(String::from_utf8(read).unwrap(), value);
        }
    }
}
