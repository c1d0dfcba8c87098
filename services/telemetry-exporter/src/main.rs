//! The exporter's process: settings, logs, signals; everything else is [`telemetry_exporter::Service`].

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use telemetry_exporter::{Config, ExporterError, Service, config, errors, observability};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Reads the telemetry queue and serves the latest values of every host to Prometheus, at /metrics.
///
/// It takes the messages from the queue: they are gone for other consumers.
#[derive(Debug, Parser)]
#[command(version, after_long_help = config::environment_help())]
#[command(verbatim_doc_comment, after_help = "Settings come from the environment: see --help.")]
struct Cli {
    /// Shows every setting in force and where it comes from, secrets masked, and ends.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in errors::report(&error).lines() {
                eprintln!("telemetry-exporter: {line}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> Result<(), ExporterError> {
    let config = Config::from_vars(std::env::vars_os())?;
    if cli.print_config {
        let printed = io::stdout().write_all(config.print().as_bytes());
        return printed.map_err(|error| ExporterError::system("print the settings", error));
    }
    observability::init(&config.log)?;
    if !config.ignored().is_empty() {
        let names = config.ignored().join(", ");
        tracing::warn!(names, "environment variables begin with TELEMETRY_ but are not settings; they are ignored");
    }
    let system = |error| ExporterError::system("start the runtime", error);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(system)?;
    runtime.block_on(async {
        let shutdown = shutdown_on_signal().map_err(|error| ExporterError::system("listen for signals", error))?;
        Service::from_config(&config).await?.run(shutdown).await
    })
}

/// A token that SIGTERM or SIGINT cancels.
fn shutdown_on_signal() -> io::Result<CancellationToken> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        token.cancel();
    });
    Ok(shutdown)
}
