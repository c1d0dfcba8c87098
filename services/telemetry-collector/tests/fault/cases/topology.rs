//! Several servers: failover to a replica, slot migration, loss of a node.

use crate::fault::case::{Case, KEY, OUTAGE_BEGAN, OUTAGE_ENDED, arrivals, list, samples, wait_for_log};
use crate::fault::table::Row;
use telemetry_testing::{Cluster, RedisServer, SentinelGroup, eventually};

/// Whether `master` has a connected replica.
async fn is_replicated(master: &RedisServer) -> bool {
    master.command::<String>(&["INFO", "replication"]).await.contains("state=online")
}

/// The master acknowledged messages that it did not replicate before it died. The collector detects that they are
/// missing on the new master and sends them again from the spool.
pub async fn master_killed_and_replica_promoted() -> Row {
    let mut group = SentinelGroup::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut case = Case::new(&group.url());
    case.exactly_once().set("TELEMETRY_SPOOL__DIR", directory.path().display());
    let collector = case.start().await;
    arrivals(&group.servers[0], 10).await;
    let promotion = async {
        wait_for_log(&collector, OUTAGE_BEGAN, group.servers[0].kill()).await;
        group.promoted_after(0).await;
    };
    wait_for_log(&collector, OUTAGE_ENDED, promotion).await;
    case.fault("kill -9 of the master");
    arrivals(&group.servers[1], 10).await;
    case.complete(&group.servers[1]).await;
    case.stop(collector).await;
    case.check(&list(&group.servers[1]).await)
}

/// With WAIT, messages are acknowledged only once the replica has them, so no spool is needed.
pub async fn replica_promoted_under_load() -> Row {
    let group = SentinelGroup::start().await;
    let mut case = Case::new(&group.url());
    case.exactly_once().set("TELEMETRY_REDIS__WAIT_REPLICAS", "1");
    let collector = case.start().await;
    arrivals(&group.servers[0], 10).await;
    group.fail_over().await;
    case.fault("failover by Sentinel");
    eventually("the old master follows the new one", async || is_replicated(&group.servers[1]).await).await;
    arrivals(&group.servers[1], 10).await;
    case.stop(collector).await;
    case.check(&list(&group.servers[1]).await)
}

pub async fn cluster_slot_moved() -> Row {
    let cluster = Cluster::start(false).await;
    let mut case = Case::new(&cluster.url());
    case.exactly_once();
    let slot = cluster.slot(KEY).await;
    let from = cluster.owner(slot, 0).await.unwrap();
    let to = (from + 1) % cluster.nodes.len();
    let collector = case.start().await;
    arrivals(&cluster.nodes[from], 10).await;
    cluster.move_slot(slot, from, to).await;
    case.fault("slot moved");
    arrivals(&cluster.nodes[to], 10).await;
    case.stop(collector).await;
    case.check(&list(&cluster.nodes[to]).await)
}

pub async fn cluster_node_lost() -> Row {
    let mut cluster = Cluster::start(true).await;
    let directory = tempfile::tempdir().unwrap();
    let mut case = Case::new(&cluster.url());
    case.exactly_once().set("TELEMETRY_SPOOL__DIR", directory.path().display());
    let slot = cluster.slot(KEY).await;
    let master = cluster.owner(slot, 0).await.unwrap();
    // Another master, to ask about the failover.
    let witness = (master + 1) % 3;
    let collector = case.start().await;
    arrivals(&cluster.nodes[master], 10).await;
    wait_for_log(&collector, OUTAGE_BEGAN, cluster.nodes[master].kill()).await;
    case.fault("kill -9 of a node");
    samples(&collector, 5).await;
    let mut successor = master;
    eventually("a replica takes over", async || {
        successor = cluster.owner(slot, witness).await.unwrap_or(master);
        successor != master
    })
    .await;
    arrivals(&cluster.nodes[successor], 10).await;
    case.complete(&cluster.nodes[successor]).await;
    case.stop(collector).await;
    case.check(&list(&cluster.nodes[successor]).await)
}
