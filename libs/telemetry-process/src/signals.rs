//! The signals that stop a program.

use std::{fs, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// A token that the first SIGTERM, SIGINT or SIGHUP cancels. The second one calls `at_second`, which is to say what that
/// costs, and ends the process at once. Call it inside the runtime.
///
/// SIGHUP comes when the terminal or the session that a program was started from is gone. A program started to outlive it
/// (`nohup`) inherits the signal as ignored, and it stays ignored: a handler would undo that. Only Linux is asked for what
/// was inherited; elsewhere SIGHUP is left as it is.
///
/// # Errors
/// When the operating system does not take a handler.
pub fn shutdown_on_signal(at_second: impl FnOnce() + Send + 'static) -> io::Result<CancellationToken> {
    let mut signals = Signals::listen()?;
    let shutdown = CancellationToken::new();
    let token = shutdown.clone();
    tokio::spawn(async move {
        signals.next().await;
        token.cancel();
        let second = signals.next().await;
        at_second();
        std::process::exit(128 + second.as_raw_value());
    });
    Ok(shutdown)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Option<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: hangup_stops().then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    async fn next(&mut self) -> SignalKind {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => SignalKind::terminate(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = hangup => SignalKind::hangup(),
        }
    }
}

/// Whether SIGHUP is known not to be ignored.
fn hangup_stops() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    is_ignored(&status, SignalKind::hangup()) == Some(false)
}

/// Whether a process with this /proc/PID/status ignores `signal`, if it says so.
fn is_ignored(status: &str, signal: SignalKind) -> Option<bool> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> (signal.as_raw_value() - 1) & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_signal_among_those_that_are_ignored() {
        let status = |mask: &str| format!("SigBlk:\tffffffffffffffff\nSigIgn:\t{mask}\nSigCgt:\tffffffffffffffff\n");
        let hangup = |mask: &str| is_ignored(&status(mask), SignalKind::hangup());
        assert_eq!(hangup("0000000000000000"), Some(false));
        assert_eq!(hangup("0000000000000001"), Some(true));
        assert_eq!(hangup("0000000000001006"), Some(false));
        assert_eq!(is_ignored(&status("0000000000004000"), SignalKind::terminate()), Some(true));
        assert_eq!(hangup("what?"), None);
        assert_eq!(is_ignored("", SignalKind::hangup()), None);
    }
}
