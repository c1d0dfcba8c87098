//! The collector's process: settings, logs, signals; everything else is [`telemetry_collector::Service`].

use std::process::ExitCode;

use clap::Parser;
use telemetry_collector::{Config, Service, TelemetryError, TelemetryResult, observability};
use telemetry_process::{block_on, exit, print_settings, shutdown_on_signal, warn_of_ignored};
use tracing::warn;
use uuid::Uuid;

/// Samples the host and delivers every sample to a Redis list, losing none silently.
///
/// It is steered while it runs by gRPC (telemetry.v1.ControlService, with reflection):
///   grpcurl -plaintext 127.0.0.1:50051 list
#[derive(Debug, Parser)]
#[command(version, long_version = long_version(), after_long_help = telemetry_collector::config::environment_help())]
#[command(verbatim_doc_comment, after_help = "Settings come from the environment: see --help.")]
struct Cli {
    /// Prints every setting in force and where it comes from, passwords masked, and exits.
    #[arg(long)]
    print_config: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    exit::finish("telemetry-collector", run(&cli), TelemetryError::exit_code)
}

fn run(cli: &Cli) -> TelemetryResult<()> {
    let config = Config::from_env()?;
    if cli.print_config {
        return print_settings(&config.print()).map_err(|error| TelemetryError::system("print the settings", error));
    }
    block_on(serve(&config)).map_err(|error| TelemetryError::system("start the runtime", error))?
}

async fn serve(config: &Config) -> TelemetryResult<()> {
    let shutdown = shutdown_on_signal(|| warn!("second signal: ending at once; messages that wait are lost"))
        .map_err(|error| TelemetryError::system("listen for signals", error))?;
    let instance_id = Uuid::new_v4();
    let observability = observability::init(&config.log, &config.otel, instance_id)?;
    warn_of_ignored(config.ignored());
    let served = match Service::from_config(config).await {
        Ok(service) => service.with_instance_id(instance_id).with_meter(observability.meter()).run(shutdown).await,
        Err(error) => Err(error),
    };
    observability.shutdown().await;
    served
}

fn long_version() -> String {
    format!("{} (schema {})", telemetry_collector::version(), telemetry_collector::models::SCHEMA_VERSION)
}
