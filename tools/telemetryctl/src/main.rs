//! Reads and steers telemetry collectors from the command line.

mod cli;
mod commands;
mod exit;
mod failure;
mod fan_out;
mod messages;
mod output;
mod queue;
mod session;
mod target;
mod variables;

use std::io;
use std::process::ExitCode;

use telemetry_process::{block_on, report};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::Cli;
use crate::commands::CommandError;
use crate::exit::Exit;

fn main() -> ExitCode {
    let exit = match Cli::parse_checked() {
        Ok(cli) => run(&cli),
        Err(error) => {
            // Help that nobody reads any more is no error.
            let _ = error.print();
            if error.use_stderr() { Exit::Usage } else { Exit::Ok }
        }
    };
    exit.into()
}

fn run(cli: &Cli) -> Exit {
    let finished = block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            finished = commands::run(cli) => finished,
            Some(()) = interrupt.recv() => Ok(Exit::Interrupted),
            Some(()) = terminate.recv() => Ok(Exit::Terminated),
        }
    });
    match finished.unwrap_or_else(|error| Err(error.into())) {
        Ok(exit) => exit,
        // Whoever read the output has seen enough, as `head` does.
        Err(CommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Ok,
        Err(error) => {
            report(&error).lines().for_each(output::warn);
            match error {
                CommandError::Settings(_) => Exit::Settings,
                CommandError::Output(_) => Exit::Software,
            }
        }
    }
}
