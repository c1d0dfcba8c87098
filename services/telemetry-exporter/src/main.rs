//! The exporter's process: settings, logs, signals; everything else is [`telemetry_exporter::Service`].

use std::process::ExitCode;

use clap::Parser;
use telemetry_exporter::{Config, ExporterError, Service, config};
use telemetry_process::{block_on, exit, logs, print_settings, shutdown_on_signal, warn_of_ignored};
use tracing::warn;

/// Reads the telemetry queue and serves the latest values of every host to Prometheus, at /metrics.
///
/// Messages that it takes from a list are gone for other consumers. It reads a stream as a consumer group; other groups still
/// get every message.
#[derive(Debug, Parser)]
#[command(version, after_long_help = config::environment_help())]
#[command(verbatim_doc_comment, after_help = "Settings come from the environment: see --help.")]
struct Cli {
    /// Prints every setting in force and where it comes from, passwords masked, and exits.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::finish("telemetry-exporter", run(&cli), ExporterError::exit_code)
}

fn run(cli: &Cli) -> Result<(), ExporterError> {
    let config = Config::from_vars(std::env::vars_os())?;
    if cli.print_config {
        return print_settings(&config.print()).map_err(|error| ExporterError::system("print the settings", error));
    }
    logs::init(&config.log).map_err(|error| ExporterError::system("set up logs", error))?;
    warn_of_ignored(config.ignored());
    block_on(serve(&config)).map_err(|error| ExporterError::system("start the runtime", error))?
}

async fn serve(config: &Config) -> Result<(), ExporterError> {
    let shutdown = shutdown_on_signal(|| warn!("second signal: ending at once"))
        .map_err(|error| ExporterError::system("listen for signals", error))?;
    Service::from_config(config).await?.run(shutdown).await
}
