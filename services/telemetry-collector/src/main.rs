//! The collector's process: settings, logs, signals; everything else is [`telemetry_collector::Service`].

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;
use telemetry_collector::errors::report;
use telemetry_collector::{Config, Service, TelemetryError, TelemetryResult, observability};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Samples the host and delivers every sample to a Redis list, losing none silently.
///
/// It is steered while it runs by gRPC (telemetry.v1.ControlService, with reflection):
///   grpcurl -plaintext 127.0.0.1:50051 list
#[derive(Debug, Parser)]
#[command(version, long_version = long_version(), after_long_help = telemetry_collector::config::environment_help())]
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
            for line in report(&error).lines() {
                eprintln!("telemetry-collector: {line}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn run(cli: &Cli) -> TelemetryResult<()> {
    let config = Config::from_env()?;
    if cli.print_config {
        let printed = io::stdout().write_all(config.print().as_bytes());
        return printed.map_err(|error| TelemetryError::system("print the settings", error));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| TelemetryError::system("start the runtime", error))?;
    let served = runtime.block_on(serve(&config));
    // A sensor that hangs in the kernel must not hold up the end.
    runtime.shutdown_background();
    served
}

async fn serve(config: &Config) -> TelemetryResult<()> {
    let shutdown = shutdown_on_signal()?;
    let observability = observability::init(&config.log, config.otel)?;
    if !config.ignored().is_empty() {
        let names = config.ignored().join(", ");
        tracing::warn!(names, "environment variables begin with TELEMETRY_ but are not settings; they are ignored");
    }
    let served = match Service::from_config(config).await {
        Ok(service) => service.run(shutdown).await,
        Err(error) => Err(error),
    };
    observability.shutdown().await;
    served
}

/// A token that the first SIGTERM or SIGINT cancels; the second ends the process at once.
fn shutdown_on_signal() -> TelemetryResult<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|error| TelemetryError::system("listen for signals", error));
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        token.cancel();
        let second = either(&mut terminate, &mut interrupt).await;
        tracing::warn!("second signal: ending at once; messages that wait are lost");
        std::process::exit(128 + second.as_raw_value());
    });
    Ok(shutdown)
}

async fn either(terminate: &mut Signal, interrupt: &mut Signal) -> SignalKind {
    tokio::select! {
        _ = terminate.recv() => SignalKind::terminate(),
        _ = interrupt.recv() => SignalKind::interrupt(),
    }
}

fn long_version() -> String {
    format!("{} (schema {})", telemetry_collector::version(), telemetry_collector::models::SCHEMA_VERSION)
}
