//! What a network does: connections that break, at the worst moment too, and connections that only seem to work.

use std::time::Duration;

use crate::fault::case::{Case, OUTAGE_ENDED, arrivals, hears, list, outage, samples};
use crate::fault::ledger::Copies;
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
    async fn start(copies: Copies) -> Self {
        Self::start_with(copies, "1s").await
    }

    /// The same with this time for an answer of Redis.
    async fn start_with(copies: Copies, response_timeout: &str) -> Self {
        let redis = RedisServer::start().await;
        let proxy = Proxy::start(redis.port()).await;
        let mut case = Case::new(&format!("redis://{}", proxy.address()));
        case.set("TELEMETRY_REDIS__RESPONSE_TIMEOUT", response_timeout);
        if copies == Copies::One {
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

pub async fn connection_cut(copies: Copies) -> Row {
    let mut rig = Rig::start(copies).await;
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

/// Between two bytes of a batch that is longer than one message, so that Redis has read a part of it.
pub async fn reset_in_mid_pipeline(copies: Copies) -> Row {
    let mut rig = Rig::start(copies).await;
    for round in 1..=5 {
        hears(&rig.collector, "messages cannot be delivered", async { rig.proxy.refuse() }).await;
        samples(&rig.collector, 5).await;
        rig.proxy.heal();
        rig.proxy.reset_after(Way::ToServer, 700 * round);
        eventually("a batch is torn", async || rig.proxy.resets() >= round as usize).await;
        rig.case.fault("reset inside a batch");
        arrivals(&rig.redis, 5).await;
    }
    rig.end().await
}

/// Redis has taken the batch and says so, but nobody hears it.
pub async fn reset_before_the_answer(copies: Copies) -> Row {
    let mut rig = Rig::start(copies).await;
    for round in 1..=5 {
        rig.proxy.reset_after(Way::ToClient, 0);
        eventually("an answer is lost", async || rig.proxy.resets() >= round).await;
        rig.case.fault("reset instead of the answer");
        arrivals(&rig.redis, 5).await;
    }
    rig.end().await
}

pub async fn black_hole(copies: Copies) -> Row {
    let mut rig = Rig::start(copies).await;
    for _ in 0..2 {
        outage(&rig.collector, async { rig.proxy.black_hole() }, async { rig.proxy.heal() }).await;
        rig.case.fault("silence both ways");
    }
    rig.end().await
}

/// What was sent into the silence arrives after it, long after the collector has given its connection up.
pub async fn silence_to_the_server(copies: Copies) -> Row {
    let mut rig = Rig::start(copies).await;
    for _ in 0..2 {
        outage(&rig.collector, async { rig.proxy.silence(Way::ToServer) }, async { rig.proxy.heal() }).await;
        rig.case.fault("silence to the server");
    }
    rig.end().await
}

/// Redis takes what it is sent, and its acknowledgement is not heard.
pub async fn silence_to_the_client(copies: Copies) -> Row {
    let mut rig = Rig::start(copies).await;
    for _ in 0..2 {
        outage(&rig.collector, async { rig.proxy.silence(Way::ToClient) }, async { rig.proxy.heal() }).await;
        rig.case.fault("silence to the client");
    }
    rig.end().await
}

/// A slow way is no outage; only one that is slower than the time-out is.
pub async fn latency(copies: Copies) -> Row {
    let mut rig = Rig::start_with(copies, "3s").await;
    rig.proxy.delay(Duration::from_millis(150));
    rig.case.fault("latency above the interval");
    arrivals(&rig.redis, 20).await;
    assert!(!rig.collector.log().contains("messages cannot be delivered"), "{}", rig.collector.log());
    hears(&rig.collector, "messages cannot be delivered", async { rig.proxy.delay(Duration::from_secs(4)) }).await;
    rig.case.fault("latency above the time-out");
    hears(&rig.collector, OUTAGE_ENDED, async { rig.proxy.heal() }).await;
    rig.end().await
}
