//! How a program ends: its exit code, as sysexits.h has them, and what it says.
//!
//! A program that was stopped ends with 0, one with a wrong argument with 2 (by clap). One that a second signal ended at once
//! ends with 128 and the number of the signal, as a shell reports it: 129 (SIGHUP), 130 (SIGINT) or 143 (SIGTERM).

use std::error::Error;
use std::process::ExitCode;

use crate::report::report;

/// Something that the program offers cannot be offered, such as an address that is in use (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// The program met an error of its own (`EX_SOFTWARE`).
pub const SOFTWARE: u8 = 70;
/// A setting is wrong (`EX_CONFIG`).
pub const CONFIG: u8 = 78;

/// The end of `program`: says what went wrong on standard error, and gives the exit code that `code` finds for it.
pub fn finish<E: Error>(program: &str, outcome: Result<(), E>, code: impl FnOnce(&E) -> u8) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    for line in report(&error).lines() {
        eprintln!("{program}: {line}");
    }
    ExitCode::from(code(&error))
}

/// The exit codes for `--help`, of a program that listens on `address` and is called `program` in a sentence.
#[must_use]
pub fn help(program: &str, address: &str) -> String {
    format!(
        "Exit codes: 0 stopped by SIGTERM, SIGINT or SIGHUP; 2 a wrong argument; {UNAVAILABLE} cannot listen on {address}; \
         {SOFTWARE} an\nerror of {program} itself; {CONFIG} a setting is wrong; 129, 130 or 143 ended at once by a second signal."
    )
}
