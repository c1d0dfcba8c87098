//! The thread that does all work with files, so that a disk that hangs blocks nothing else.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use tokio::sync::oneshot;
use uuid::Uuid;

use super::context::Context;
use super::store::{Source, SpoolRead, Store};
use crate::batch::EncodedMessage;
use crate::loss::Loss;
use crate::observer::Event;
use crate::settings::{SpoolSettings, SyncPolicy};
use crate::status::SpoolStatus;

/// Time between two releases of what need not be retained any longer.
const RELEASE_PERIOD: Duration = Duration::from_secs(10);

enum Command {
    Append(Vec<EncodedMessage>, oneshot::Sender<io::Result<Vec<Loss>>>),
    Read(Source, oneshot::Sender<io::Result<Option<SpoolRead>>>),
    Acknowledge(Uuid, u64),
    Rewind(Uuid, u64, oneshot::Sender<io::Result<Option<u64>>>),
    Close(oneshot::Sender<io::Result<()>>),
}

/// Sends commands to the thread. Clones share it, and it ends with the last of them.
#[derive(Debug, Clone)]
pub(super) struct Worker {
    commands: Sender<Command>,
    status: Arc<Mutex<SpoolStatus>>,
}

impl Worker {
    /// Starts the thread.
    pub(super) fn start(settings: SpoolSettings, live_id: Uuid, context: Context) -> io::Result<Self> {
        let (commands, received) = mpsc::channel();
        let status = Arc::new(Mutex::default());
        let spool_thread = SpoolThread {
            sync: settings.sync,
            store: Store::new(settings, live_id, context.clone()),
            context,
            unsynced_since: None,
            status: Arc::clone(&status),
        };
        thread::Builder::new().name("spool".to_owned()).spawn(move || spool_thread.run(&received))?;
        Ok(Self { commands, status })
    }

    pub(super) async fn append(&self, messages: Vec<EncodedMessage>) -> io::Result<Vec<Loss>> {
        wait_for(self.ask(|reply| Command::Append(messages, reply))).await
    }

    pub(super) fn read(&self, source: Source) -> Answer<Option<SpoolRead>> {
        self.ask(|reply| Command::Read(source, reply))
    }

    pub(super) fn acknowledge(&self, instance_id: Uuid, sequence: u64) {
        // If the thread has ended, nothing can be noted.
        let _ = self.commands.send(Command::Acknowledge(instance_id, sequence));
    }

    pub(super) async fn rewind(&self, instance_id: Uuid, newest: u64) -> io::Result<Option<u64>> {
        wait_for(self.ask(|reply| Command::Rewind(instance_id, newest, reply))).await
    }

    /// Syncs what is not yet, and clears up, after all that was asked before.
    pub(super) async fn close(&self) -> io::Result<()> {
        wait_for(self.ask(Command::Close)).await
    }

    pub(super) fn status(&self) -> SpoolStatus {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<io::Result<T>>) -> Command) -> Answer<T> {
        let (reply, answer) = oneshot::channel();
        // If the thread has ended, the answer says so.
        let _ = self.commands.send(command(reply));
        answer
    }
}

/// What the thread will say.
pub(super) type Answer<T> = oneshot::Receiver<io::Result<T>>;

/// Waits for what the thread says.
pub(super) async fn wait_for<T>(
    answer: impl Future<Output = Result<io::Result<T>, oneshot::error::RecvError>>,
) -> io::Result<T> {
    answer.await.unwrap_or_else(|_| Err(io::Error::other("the thread of the spool has ended")))
}

/// The state of the thread.
struct SpoolThread {
    store: Store,
    context: Context,
    sync: SyncPolicy,
    unsynced_since: Option<Instant>,
    status: Arc<Mutex<SpoolStatus>>,
}

impl SpoolThread {
    fn run(mut self, commands: &Receiver<Command>) {
        loop {
            let wait = self.until_sync().map_or(RELEASE_PERIOD, |until| until.min(RELEASE_PERIOD));
            match commands.recv_timeout(wait) {
                Ok(command) => self.carry_out(command),
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(error) = self.store.release() {
                        self.context.observe(Event::CleanupFailed { error: &error });
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if self.until_sync().is_some_and(|until| until.is_zero()) {
                self.sync_or_report();
            }
            *self.status.lock().unwrap_or_else(PoisonError::into_inner) = self.store.status();
        }
    }

    /// Nobody needs the answer if the caller has gone away.
    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Append(messages, reply) => {
                if let Err(Ok(losses)) = reply.send(self.append(&messages)) {
                    self.store.keep_unreported(losses);
                }
            }
            Command::Read(source, reply) => {
                let _ = reply.send(self.store.read(source));
                self.store.read_ahead(source);
            }
            Command::Acknowledge(instance_id, sequence) => {
                if let Err(error) = self.store.acknowledge(instance_id, sequence) {
                    self.context.observe(Event::CleanupFailed { error: &error });
                }
            }
            Command::Rewind(instance_id, newest, reply) => drop(reply.send(Ok(self.store.rewind(instance_id, newest)))),
            Command::Close(reply) => drop(reply.send(self.sync_now().and_then(|()| self.store.close()))),
        }
    }

    fn append(&mut self, messages: &[EncodedMessage]) -> io::Result<Vec<Loss>> {
        let losses = self.store.append(messages)?;
        self.unsynced_since.get_or_insert_with(Instant::now);
        if self.sync == SyncPolicy::Always {
            self.sync_or_report();
        }
        Ok(losses)
    }

    fn sync_or_report(&mut self) {
        if let Err(error) = self.sync_now() {
            self.context.observe(Event::SyncFailed { error: &error });
        }
    }

    fn sync_now(&mut self) -> io::Result<()> {
        if self.unsynced_since.is_none() || self.sync == SyncPolicy::Never {
            return Ok(());
        }
        let synced = self.store.sync();
        // What failed is tried again as late as what is written now.
        self.unsynced_since = synced.is_err().then(Instant::now);
        synced
    }

    fn until_sync(&self) -> Option<Duration> {
        match (self.sync, self.unsynced_since) {
            (SyncPolicy::Within(bound), Some(since)) => Some(bound.saturating_sub(since.elapsed())),
            _ => None,
        }
    }
}
