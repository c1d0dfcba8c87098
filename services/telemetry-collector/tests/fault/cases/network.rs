//! Network faults: connections that break, in particular at inconvenient times, and connections that hang.

use std::time::Duration;

use crate::fault::case::{Case, OUTAGE_ENDED, arrivals, list, outage, samples, wait_for_log};
use crate::fault::ledger::Duplicates;
use crate::fault::table::Row;
use crate::support::collector::Collector;
use telemetry_testing::{Proxy, RedisServer, Way, eventually};

struct Rig {
    redis: RedisServer,
    proxy: Proxy,
    collector: Collector,
    case: Case,
}

impl Rig {
    async fn start(duplicates: Duplicates) -> Self {
        Self::start_with(duplicates, "1s").await
    }

    /// The same with this response timeout.
    async fn start_with(duplicates: Duplicates, response_timeout: &str) -> Self {
        let redis = RedisServer::start().await;
        let proxy = Proxy::start(redis.port()).await;
        let mut case = Case::new(&format!("redis://{}", proxy.address()));
        case.set("TELEMETRY_REDIS__RESPONSE_TIMEOUT", response_timeout);
        if duplicates == Duplicates::Forbidden {
            case.exactly_once();
        }
        let collector = case.start().await;
        arrivals(&redis, 5).await;
        Self { redis, proxy, collector, case }
    }

    async fn end(mut self) -> Row {
        arrivals(&self.redis, 5).await;
        self.case.stop(self.collector).await;
        self.case.check(&list(&self.redis).await)
    }
}

pub async fn connection_cut(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start(duplicates).await;
    for _ in 0..5 {
        rig.proxy.cut();
        rig.case.fault("connection closed");
        arrivals(&rig.redis, 5).await;
    }
    for _ in 0..5 {
        rig.proxy.reset();
        rig.case.fault("connection reset");
        arrivals(&rig.redis, 5).await;
    }
    outage(&rig.collector, async { rig.proxy.refuse() }, async { rig.proxy.heal() }).await;
    rig.case.fault("connection refused for a while");
    rig.end().await
}

/// Resets the connection within a batch of several messages, so that Redis receives only a part of it.
pub async fn reset_in_mid_pipeline(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start(duplicates).await;
    for round in 1..=5 {
        wait_for_log(&rig.collector, "messages cannot be delivered", async { rig.proxy.refuse() }).await;
        samples(&rig.collector, 5).await;
        rig.proxy.heal();
        rig.proxy.reset_after(Way::ToServer, 700 * round);
        eventually("the connection is reset within a batch", async || rig.proxy.resets() >= round as usize).await;
        rig.case.fault("reset inside a batch");
        arrivals(&rig.redis, 5).await;
    }
    rig.end().await
}

/// Redis accepts the batch, but the connection is reset before its answer arrives.
pub async fn reset_before_the_answer(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start(duplicates).await;
    for round in 1..=5 {
        rig.proxy.reset_after(Way::ToClient, 0);
        eventually("an answer is lost", async || rig.proxy.resets() >= round).await;
        rig.case.fault("reset instead of the answer");
        arrivals(&rig.redis, 5).await;
    }
    rig.end().await
}

pub async fn black_hole(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start(duplicates).await;
    for _ in 0..2 {
        outage(&rig.collector, async { rig.proxy.black_hole() }, async { rig.proxy.heal() }).await;
        rig.case.fault("silence both ways");
    }
    rig.end().await
}

/// Data sent during the outage reaches Redis afterwards, when the collector has already closed the connection.
pub async fn silence_to_the_server(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start(duplicates).await;
    for _ in 0..2 {
        outage(&rig.collector, async { rig.proxy.silence(Way::ToServer) }, async { rig.proxy.heal() }).await;
        rig.case.fault("silence to the server");
    }
    rig.end().await
}

/// Redis accepts messages, but its answers do not arrive.
pub async fn silence_to_the_client(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start(duplicates).await;
    for _ in 0..2 {
        outage(&rig.collector, async { rig.proxy.silence(Way::ToClient) }, async { rig.proxy.heal() }).await;
        rig.case.fault("silence to the client");
    }
    rig.end().await
}

/// High latency is not an outage unless it exceeds the timeout.
pub async fn latency(duplicates: Duplicates) -> Row {
    let mut rig = Rig::start_with(duplicates, "3s").await;
    rig.proxy.delay(Duration::from_millis(150));
    rig.case.fault("latency above the interval");
    arrivals(&rig.redis, 20).await;
    assert!(!rig.collector.log().contains("messages cannot be delivered"), "{}", rig.collector.log());
    wait_for_log(&rig.collector, "messages cannot be delivered", async { rig.proxy.delay(Duration::from_secs(4)) })
        .await;
    rig.case.fault("latency above the timeout");
    wait_for_log(&rig.collector, OUTAGE_ENDED, async { rig.proxy.heal() }).await;
    rig.end().await
}
