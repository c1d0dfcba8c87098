//! `telemetryctl completions` and `telemetryctl man`: what is made from the definition of the command line.

use std::io;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::Exit;
use crate::output;

/// Writes a shell's script.
pub(crate) fn completions(shell: Shell) -> io::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "telemetryctl", &mut script);
    output::write(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Ok)
}

/// Writes the page of a command, or of the whole program.
pub(crate) fn man(command: Option<&str>) -> io::Result<Exit> {
    let mut program = Cli::command();
    program.build();
    let page = match command.and_then(|name| program.find_subcommand(name)) {
        Some(command) => {
            let name = format!("telemetryctl-{}", command.get_name());
            command.clone().name(name.clone()).display_name(name)
        }
        None => program,
    };
    let mut text = Vec::new();
    Man::new(page).render(&mut text)?;
    output::write(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Ok)
}
