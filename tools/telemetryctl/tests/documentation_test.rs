//! docs/telemetryctl.md names every command, variable and exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::fs;

use support::ctl;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/telemetryctl.md");

#[tokio::test]
async fn the_page_names_every_command_variable_and_exit_code() {
    let page = fs::read_to_string(PAGE).unwrap();
    let help = ctl(&["--help"]).await.stdout;
    let section = |heading: &str| -> Vec<&str> {
        let lines = help.lines().skip_while(|line| *line != heading).skip(1).take_while(|line| !line.is_empty());
        lines.filter_map(|line| line.split_whitespace().next()).collect()
    };
    let commands: Vec<_> = section("Commands:").into_iter().filter(|command| *command != "help").collect();
    assert!(commands.len() > 5, "{help}");
    for command in commands {
        assert!(page.contains(&format!("`{command}")), "{command}");
    }
    let variables = help.split("[env: ").skip(1).filter_map(|rest| rest.split(']').next());
    for variable in variables {
        assert!(page.contains(&format!("`{variable}`")), "{variable}");
    }
    for code in section("Exit codes:") {
        assert!(page.contains(&format!("| {code}")) || page.contains(&format!(", {code} |")), "{code}");
    }
}
