//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::Resettable;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit;
use crate::target::{self, TargetSpec};

/// Reads and steers telemetry collectors.
#[derive(Debug, Parser)]
#[command(name = "telemetryctl", version, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{}", exit::HELP))]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) targets: TargetArgs,
    #[command(flatten)]
    pub(crate) output: OutputArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  telemetryctl snapshot
  telemetryctl watch --target web-1 --target web-2
  telemetryctl health --target web-1 --target web-2 --output json
  telemetryctl interval 200ms --for 10m --reason 'INC-42: slow disk'
  telemetryctl doctor
  telemetryctl config --target dns:///telemetry.example.com:50051
  telemetryctl snapshot --target https://web-1:50051 --tls-ca ca.pem --token-file token";

/// Which collectors, and how to connect to them.
#[derive(Debug, Args)]
#[command(next_help_heading = "Targets")]
pub(crate) struct TargetArgs {
    /// A collector; repeat it for more [default: 127.0.0.1:50051]
    ///
    /// HOST, HOST:PORT, http://HOST:PORT, https://HOST:PORT, unix:///PATH, or dns:///NAME:PORT for every address of a name. A
    /// HOST is called by TLS if --tls-ca is given. In the environment, commas separate the targets.
    #[arg(long = "target", short = 't', global = true, value_name = "TARGET", env = "TELEMETRYCTL_TARGET")]
    #[arg(value_delimiter = ',', hide_env_values = true)]
    pub(crate) targets: Vec<TargetSpec>,

    /// File with one target a line; # begins a comment
    #[arg(long, global = true, value_name = "FILE", env = "TELEMETRYCTL_TARGETS_FILE", hide_env_values = true)]
    pub(crate) targets_file: Option<PathBuf>,

    /// How many targets are asked at once
    #[arg(long, global = true, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) parallel: u16,

    /// How long a target may take to answer
    #[arg(long, global = true, value_name = "TIME", default_value = "10s", value_parser = positive_duration)]
    #[arg(env = "TELEMETRYCTL_TIMEOUT", hide_env_values = true)]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) login: LoginArgs,
}

/// TLS and login.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS and login")]
pub(crate) struct LoginArgs {
    /// CA certificates (PEM) that the collector's certificate is checked against
    #[arg(long, global = true, value_name = "FILE", env = "TELEMETRYCTL_TLS_CA", hide_env_values = true)]
    pub(crate) tls_ca: Option<PathBuf>,

    /// Client certificate (PEM)
    #[arg(long, global = true, value_name = "FILE", env = "TELEMETRYCTL_TLS_CERT", hide_env_values = true)]
    pub(crate) tls_cert: Option<PathBuf>,

    /// Private key (PEM) of --tls-cert
    #[arg(long, global = true, value_name = "FILE", env = "TELEMETRYCTL_TLS_KEY", hide_env_values = true)]
    pub(crate) tls_key: Option<PathBuf>,

    /// File with a bearer token
    #[arg(long, global = true, value_name = "FILE", env = "TELEMETRYCTL_TOKEN_FILE", hide_env_values = true)]
    pub(crate) token_file: Option<PathBuf>,
}

/// How results are shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Text for people, or JSON for programs
    #[arg(
        long,
        short = 'o',
        global = true,
        value_name = "FORMAT",
        default_value = "text",
        env = "TELEMETRYCTL_OUTPUT"
    )]
    #[arg(hide_env_values = true)]
    pub(crate) output: Format,

    /// Colours; NO_COLOR switches them off, too
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: When,
}

/// A format of the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum When {
    /// On a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the latest sample
    Snapshot(SnapshotArgs),
    /// Show collectors as they work: on a screen in a terminal, otherwise a line an event
    ///
    /// On the screen, q or Esc ends it, and the arrow keys select a target. A target that fails is tried again. Lines end
    /// when every target has failed.
    Watch,
    /// Show the status of the collector and of its components
    Health,
    /// Change the sampling interval, or return to that of the settings
    #[command(after_help = INTERVAL_EXAMPLES)]
    Interval(IntervalArgs),
    /// Show every setting in force and where it comes from
    Config,
    /// Show which values each host provides, and why not the others
    Capabilities,
    /// Show the messages of the queue in Redis; they stay there
    ///
    /// The queue is the one that TELEMETRY_REDIS__URL, TELEMETRY_REDIS__KEY and the other variables of the services name.
    /// With --target and without a URL, it is that of the collector's settings.
    /// Gap records and missing numbers are marked.
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(TailArgs),
    /// Look at everything that a collector needs, and say what to do; changes nothing
    ///
    /// It looks at settings, health, the spool's disk, clocks, sensors, Redis and the permissions of its user. Redis is the
    /// one of the collector's settings, unless TELEMETRY_REDIS__URL or --redis-url is given here.
    Doctor(QueueArgs),
    /// Write the completions of a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Write the man page of telemetryctl, or of one of its commands
    #[command(after_help = "Example:\n  telemetryctl man | man -l -")]
    Man {
        /// A command, such as watch
        command: Option<String>,
    },
}

const TAIL_EXAMPLES: &str = "\
Examples:
  telemetryctl tail -f
  telemetryctl tail -n 1000 --output json | jq -r .message.data.cpu.usage_percent
  TELEMETRY_REDIS__URL=redis://redis.example.com:6379/0 telemetryctl tail";

const COMPLETIONS_EXAMPLES: &str = "\
Example:
  telemetryctl completions bash > /etc/bash_completion.d/telemetryctl";

const INTERVAL_EXAMPLES: &str = "\
Examples:
  telemetryctl interval 200ms --for 10m --reason 'INC-42: slow disk'
  telemetryctl interval reset";

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// Take a new sample if the latest one is older, such as 1s
    #[arg(long, value_name = "TIME", value_parser = positive_duration)]
    pub(crate) max_age: Option<Duration>,
}

/// Arguments of `tail`.
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// How many of the newest messages to begin with
    #[arg(long, short = 'n', value_name = "N", default_value = "10")]
    pub(crate) last: usize,

    /// Wait for new messages
    #[arg(long, short = 'f')]
    pub(crate) follow: bool,

    #[command(flatten)]
    pub(crate) queue: QueueArgs,
}

/// The queue, if the environment does not name it.
#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// URL of Redis [default: that of TELEMETRY_REDIS__URL]; other users of this host see it, so give passwords in the environment
    #[arg(long, value_name = "URL")]
    pub(crate) redis_url: Option<String>,

    /// Key of the queue [default: that of TELEMETRY_REDIS__KEY]
    #[arg(long, value_name = "KEY")]
    pub(crate) key: Option<String>,
}

/// Arguments of `interval`.
#[derive(Debug, Args)]
pub(crate) struct IntervalArgs {
    /// The new interval, from 100ms to 1h; or reset, to return to that of the collector's settings
    #[arg(value_name = "INTERVAL|reset", value_parser = new_interval)]
    pub(crate) interval: NewInterval,

    /// How long it stays in force, from 1s to 7d; without it, until the next change
    #[arg(long = "for", value_name = "TIME", value_parser = positive_duration)]
    pub(crate) ttl: Option<Duration>,

    /// Why, for the audit
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
}

/// An interval to set, or that of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewInterval {
    /// This one.
    Set(Duration),
    /// That of the collector's settings.
    Reset,
}

impl Cli {
    /// The arguments, of which clap cannot check everything by itself.
    pub(crate) fn parse_checked() -> Result<Self, clap::Error> {
        let matches = without_empty_variables(Self::command()).try_get_matches()?;
        let cli = Self::from_arg_matches(&matches)?;
        match &cli.command {
            Command::Interval(args) if args.interval == NewInterval::Reset && args.ttl.is_some() => {
                let problem = "a reset has no time limit: --for needs an interval";
                Err(Self::command().error(ErrorKind::ArgumentConflict, problem))
            }
            Command::Man { command: Some(name) } if Self::command().find_subcommand(name).is_none() => {
                Err(Self::command().error(ErrorKind::InvalidValue, format!("there is no command {name}")))
            }
            _ => Ok(cli),
        }
    }
}

impl TargetArgs {
    /// Whether a target is named anywhere.
    pub(crate) fn is_given(&self) -> bool {
        !self.targets.is_empty() || self.targets_file.is_some()
    }

    /// The targets of the command line and the environment, or the default if there is no file either.
    pub(crate) fn given(&self) -> Vec<TargetSpec> {
        if !self.is_given() {
            return target::DEFAULT.parse().into_iter().collect();
        }
        self.targets.clone()
    }
}

/// The command line without the environment variables that are empty: they count as unset, as in the services.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    command.mut_args(|argument| {
        let is_empty = argument.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
        if is_empty { argument.env(Resettable::Reset) } else { argument }
    })
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero());
    duration.ok_or_else(|| "it is not a duration such as 500ms, 10s or 1m 30s".to_owned())
}

fn new_interval(text: &str) -> Result<NewInterval, String> {
    if text == "reset" {
        return Ok(NewInterval::Reset);
    }
    positive_duration(text)
        .map(NewInterval::Set)
        .map_err(|_| "it is neither a duration such as 200ms nor reset".to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn takes_options_before_or_after_the_command() {
        for line in ["telemetryctl --target a --target b health", "telemetryctl health --target a --target b"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.targets.given().len(), 2, "{line}");
        }
    }

    #[test]
    fn asks_the_collector_of_this_host_by_default() {
        let cli = Cli::try_parse_from(["telemetryctl", "health"]).unwrap();
        let shown: Vec<_> = cli.targets.given().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["127.0.0.1:50051"]);
    }

    #[test]
    fn takes_an_interval_or_reset() {
        assert_eq!(new_interval("200ms"), Ok(NewInterval::Set(Duration::from_millis(200))));
        assert_eq!(new_interval("reset"), Ok(NewInterval::Reset));
        assert!(["", "0s", "200", "-1s", "RESET"].iter().all(|text| new_interval(text).is_err()));
    }
}
