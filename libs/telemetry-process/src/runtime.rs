//! The runtime of a program that is one thread.

use std::io;

use tokio::runtime::Builder;

/// Runs `future` on this thread until it is done. Blocking calls that hang then, such as one in the kernel, are left behind
/// rather than waited for.
///
/// # Errors
/// When the operating system does not give the runtime what it needs.
pub fn block_on<F: Future>(future: F) -> io::Result<F::Output> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let output = runtime.block_on(future);
    runtime.shutdown_background();
    Ok(output)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn does_not_wait_for_a_blocking_call_that_hangs() {
        let (_keep, never) = mpsc::channel::<()>();
        let output = block_on(async {
            tokio::task::spawn_blocking(move || never.recv());
            7
        });
        assert_eq!(output.unwrap(), 7);
    }
}
