//! What every program of the monorepo does as a process: settings, log lines, signals, exit codes.
//!
//! - [`logs`]: log lines on standard error, as `TELEMETRY_LOG__FORMAT` and `TELEMETRY_LOG__FILTER` say. Both variables are
//!   described here, once.
//! - [`print_settings`] for `--print-config`, and [`warn_of_ignored`]: a warning that names the variables that are ignored.
//! - [`shutdown_on_signal`]: SIGTERM, SIGINT and SIGHUP stop a program; a second one ends it at once. A SIGHUP that the
//!   program was started to ignore (`nohup`) stays ignored.
//! - [`exit`]: how the program ends: its exit code, and one line on standard error for each thing that is wrong.
//! - [`report`]: an error with everything that caused it, on one line.
//! - [`block_on`]: the runtime of a program that is one thread.
//!
//! A whole program:
//!
//! ```
//! use std::io;
//! use std::process::ExitCode;
//!
//! use telemetry_process::{block_on, exit, logs, print_settings, shutdown_on_signal, warn_of_ignored};
//! use telemetry_settings::{Program, Reader};
//!
//! const CLOCK: &Program = &Program {
//!     name: "telemetry-clock",
//!     prefix: "TELEMETRY_",
//!     variables: &[logs::FORMAT, logs::FILTER],
//!     other_programs: &[],
//!     standards: &[],
//! };
//!
//! fn main() -> ExitCode {
//!     exit::finish(CLOCK.name, run(), |_| exit::SOFTWARE)
//! }
//!
//! fn run() -> io::Result<()> {
//!     // A program passes std::env::vars_os().
//!     let mut reader = Reader::new(CLOCK, [("TELEMETRY_LOG__FILTER".into(), "warn".into())]);
//!     let log = logs::LogSettings::read(&mut reader);
//!     let in_force = reader.finish().map_err(io::Error::other)?;
//!     if std::env::args().any(|argument| argument == "--print-config") {
//!         return print_settings(&in_force.print());
//!     }
//!     logs::init(&log)?;
//!     warn_of_ignored(in_force.ignored());
//!     block_on(async {
//!         let shutdown = shutdown_on_signal(|| tracing::warn!("second signal: ending at once"))?;
//!         # shutdown.cancel();
//!         shutdown.cancelled().await;
//!         Ok(())
//!     })?
//! }
//! ```

pub mod exit;
pub mod logs;
mod report;
mod runtime;
mod settings;
mod signals;

pub use report::report;
pub use runtime::block_on;
pub use settings::{print_settings, warn_of_ignored};
pub use signals::shutdown_on_signal;
