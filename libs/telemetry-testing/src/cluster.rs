//! A Redis Cluster.

use crate::conditions::eventually;
use crate::redis_server::{RedisServer, free_port};

const SLOTS: u16 = 16384;

/// Servers on free ports that form a Redis Cluster. A node that does not answer for a second counts as failed.
#[derive(Debug)]
pub struct Cluster {
    /// The servers: first three masters, which share the slots evenly, then the replicas in the same order.
    pub nodes: Vec<RedisServer>,
    masters: u16,
}

impl Cluster {
    /// Starts three masters, and a replica of each when `replicated`, and waits until the Cluster serves all slots.
    pub async fn start(replicated: bool) -> Self {
        let masters = 3;
        let mut nodes = Vec::new();
        for _ in 0..if replicated { 2 * masters } else { masters } {
            nodes.push(start_node().await);
        }
        let cluster = Self { nodes, masters };
        cluster.join().await;
        cluster
    }

    /// `host:port` of every node, separated by commas.
    #[must_use]
    pub fn addresses(&self) -> String {
        let addresses: Vec<_> = self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect();
        addresses.join(",")
    }

    /// The URL by which a client finds the Cluster.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis+cluster://{}", self.addresses())
    }

    /// The hash slot of `key`.
    pub async fn slot(&self, key: &str) -> u16 {
        self.nodes[0].command(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// The index of the node that serves `slot`, as node `witness` knows it.
    pub async fn owner(&self, slot: u16, witness: usize) -> Option<usize> {
        let nodes: String = self.nodes[witness].command(&["CLUSTER", "NODES"]).await;
        let line = nodes.lines().find(|line| line.split(' ').skip(8).any(|range| holds(range, slot)))?;
        let port: u16 = line.split(' ').nth(1)?.split(['@', ',']).next()?.rsplit(':').next()?.parse().ok()?;
        self.nodes.iter().position(|node| node.port() == port)
    }

    /// Moves `slot` with all its keys from one master to another, and waits until every node knows of it.
    pub async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let slot_word = slot.to_string();
        let (source, target) = (self.id(from).await, self.id(to).await);
        self.nodes[to].command::<()>(&["CLUSTER", "SETSLOT", &slot_word, "IMPORTING", &source]).await;
        self.nodes[from].command::<()>(&["CLUSTER", "SETSLOT", &slot_word, "MIGRATING", &target]).await;
        loop {
            let keys: Vec<String> = self.nodes[from].command(&["CLUSTER", "GETKEYSINSLOT", &slot_word, "100"]).await;
            if keys.is_empty() {
                break;
            }
            let port = self.nodes[to].port().to_string();
            let mut migrate = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            migrate.extend(keys.iter().map(String::as_str));
            self.nodes[from].command::<()>(&migrate).await;
        }
        for node in [to, from] {
            self.nodes[node].command::<()>(&["CLUSTER", "SETSLOT", &slot_word, "NODE", &target]).await;
        }
        eventually("every node knows the owner of the slot", async || {
            for witness in 0..self.nodes.len() {
                if self.owner(slot, witness).await != Some(to) {
                    return false;
                }
            }
            true
        })
        .await;
    }

    async fn id(&self, node: usize) -> String {
        self.nodes[node].command(&["CLUSTER", "MYID"]).await
    }

    async fn join(&self) {
        let share = SLOTS / self.masters;
        for (index, node) in (0_u16..).zip(&self.nodes) {
            // Without epochs of their own the nodes would first have to agree on them.
            node.command::<()>(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).await;
            if index < self.masters {
                let last = if index + 1 == self.masters { SLOTS - 1 } else { (index + 1) * share - 1 };
                let range = [(index * share).to_string(), last.to_string()];
                node.command::<()>(&["CLUSTER", "ADDSLOTSRANGE", &range[0], &range[1]]).await;
            }
        }
        let bus: String = self.nodes[0].command::<Vec<String>>(&["CONFIG", "GET", "cluster-port"]).await.remove(1);
        for node in &self.nodes[1..] {
            node.command::<()>(&["CLUSTER", "MEET", "127.0.0.1", &self.nodes[0].port().to_string(), &bus]).await;
        }
        eventually("the nodes know each other", async || {
            for node in &self.nodes {
                if node.command::<String>(&["CLUSTER", "NODES"]).await.lines().count() != self.nodes.len() {
                    return false;
                }
            }
            true
        })
        .await;
        let masters = usize::from(self.masters);
        for (master, replica) in self.nodes[masters..].iter().enumerate() {
            replica.command::<()>(&["CLUSTER", "REPLICATE", &self.id(master).await]).await;
        }
        eventually("the Cluster is up", async || {
            for node in &self.nodes {
                let (info, replication): (String, String) =
                    (node.command(&["CLUSTER", "INFO"]).await, node.command(&["INFO", "replication"]).await);
                let is_synchronised =
                    replication.contains("role:master") || replication.contains("master_link_status:up");
                if !info.contains("cluster_state:ok") || !is_synchronised {
                    return false;
                }
            }
            true
        })
        .await;
    }
}

async fn start_node() -> RedisServer {
    // By default the bus has the server's port plus 10000, which may be above 65535.
    let bus = free_port();
    RedisServer::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus.to_string(),
        "--cluster-node-timeout",
        "1000",
    ])
    .await
}

fn holds(range: &str, slot: u16) -> bool {
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&slot))
}
