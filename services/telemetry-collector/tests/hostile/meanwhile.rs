//! A client that means well, and calls on while others attack. It has a thread of its own, so that an attack slows it down only
//! through the collector.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use super::door::{Client, Door};
use super::target::READER;
use crate::support::http::get;
use crate::support::login::Login;

/// Generous: a timing never fails a case, only an answer that does not come.
const DEADLINE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(20);
/// Every so many calls are on a new connection.
const NEW_CONNECTION: u64 = 8;

/// Which connections the client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connections {
    /// One from before the attack, and new ones.
    OldAndNew,
    /// Only one from before the attack, which takes all places.
    Old,
}

/// How the client was answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Answers {
    pub calls: u64,
    pub slowest: Duration,
}

pub struct Meanwhile {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Answers, String>>,
}

impl Meanwhile {
    /// Starts calling. Its first connection stands when this returns.
    pub async fn start(door: &Door, connections: Connections) -> Self {
        let (door, stop) = (door.clone(), Arc::new(AtomicBool::new(false)));
        let (stopped, (stands, standing)) = (Arc::clone(&stop), tokio::sync::oneshot::channel());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let mut old = door.client(Login::token(READER)).await.map_err(|error| format!("{error:?}"))?;
                let mut answers = Answers::default();
                call(&mut old).await?;
                let _ = stands.send(());
                while !stopped.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    if connections == Connections::OldAndNew && answers.calls % NEW_CONNECTION == 0 {
                        let connecting = timeout(DEADLINE, door.client(Login::token(READER))).await;
                        let mut new =
                            connecting.map_err(|_| "no connection".to_owned())?.map_err(|e| format!("{e:?}"))?;
                        call(&mut new).await?;
                        if let Some(http) = door.http {
                            probe(http).await?;
                        }
                    } else {
                        call(&mut old).await?;
                    }
                    answers.calls += 1;
                    answers.slowest = answers.slowest.max(began.elapsed());
                    sleep(PAUSE).await;
                }
                Ok(answers)
            })
        });
        let _ = standing.await;
        Self { stop, thread }
    }

    /// Ends the calls. Fails the case if one was not answered.
    pub fn stop(self) -> Answers {
        self.stop.store(true, Ordering::Relaxed);
        let answers = self.thread.join().unwrap();
        answers.unwrap_or_else(|error| panic!("a client that means well was not served: {error}"))
    }
}

async fn call(client: &mut Client) -> Result<(), String> {
    let called = timeout(DEADLINE, client.snapshot()).await;
    called.map_err(|_| format!("no answer in {DEADLINE:?}"))?.map_err(|status| format!("{status:?}"))?;
    Ok(())
}

async fn probe(http: SocketAddr) -> Result<(), String> {
    let probed = timeout(DEADLINE, get(http, "/livez", &[])).await;
    let code = probed.map_err(|_| format!("no answer of HTTP in {DEADLINE:?}"))?.code;
    if code == 200 { Ok(()) } else { Err(format!("/livez answers {code}")) }
}
