//! One module a command.

mod capabilities;
mod config;
mod doctor;
mod generate;
mod health;
mod interval;
mod snapshot;
mod tail;
mod watch;

use std::io;

use crate::cli::{Cli, Command};
use crate::exit::Exit;
use crate::output::Output;
use crate::session::{InvalidSettings, Session};
use crate::variables;

/// Why a command could not run at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] InvalidSettings),
    /// Output could not be written.
    #[error("cannot write the output")]
    Output(#[from] io::Error),
}

/// Runs the command of the command line.
pub(crate) async fn run(cli: &Cli) -> Result<Exit, CommandError> {
    variables::check()?;
    let output = Output::new(&cli.output);
    let session = || Session::open(&cli.targets);
    Ok(match &cli.command {
        Command::Snapshot(args) => snapshot::run(&session().await?, &output, args).await?,
        Command::Watch => watch::run(&session().await?, &output).await?,
        Command::Health => health::run(&session().await?, &output).await?,
        Command::Interval(args) => interval::run(&session().await?, &output, args).await?,
        Command::Config => config::run(&session().await?, &output).await?,
        Command::Capabilities => capabilities::run(&session().await?, &output).await?,
        Command::Tail(args) => tail::run(&cli.targets, &output, args).await?,
        Command::Doctor(args) => doctor::run(&session().await?, &output, args).await?,
        Command::Completions { shell } => generate::completions(*shell)?,
        Command::Man { command } => generate::man(command.as_deref())?,
    })
}
