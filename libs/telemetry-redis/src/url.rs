//! Where a Redis is, as its URL says.

use std::fmt;
use std::str::FromStr;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo};
use thiserror::Error;
use url::form_urlencoded;

use crate::setting::{InvalidSetting, Setting, SettingProblem};

const SENTINEL_PORT: u16 = 26379;

/// The URL of a Redis: one server, the master that Sentinels name, or a Cluster.
///
/// ```
/// use telemetry_redis::RedisUrl;
///
/// let url: RedisUrl = "redis+sentinel://user:secret@s1,s2:26380/mymaster/2".parse().unwrap();
/// assert_eq!(url.to_string(), "redis+sentinel://user:***@s1:26379,s2:26380/mymaster database 2");
/// ```
#[derive(Clone)]
pub struct RedisUrl {
    pub(crate) topology: Topology,
    /// The addresses in the URL: the server, the Sentinels, nodes of the Cluster.
    pub(crate) entrances: Vec<ConnectionInfo>,
}

/// How the server that takes writes is found.
#[derive(Clone)]
pub(crate) enum Topology {
    /// It is the one that the URL names.
    Single,
    /// The URL names Sentinels, which know it by this name.
    Sentinel {
        master_name: String,
        /// How one logs in to it.
        login: RedisConnectionInfo,
    },
    /// The URL names nodes, each of which knows the one that holds a key.
    Cluster,
}

/// A string that is not the URL of a Redis. The string is not kept, since it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not the URL of a Redis")]
pub struct InvalidRedisUrl;

impl From<InvalidRedisUrl> for InvalidSetting {
    fn from(_: InvalidRedisUrl) -> Self {
        Self::new(Setting::Url, SettingProblem::NotARedisUrl)
    }
}

/// The parts of a URL that names several hosts.
struct Parts<'a> {
    tls: bool,
    login: Option<&'a str>,
    hosts: &'a str,
    path: &'a str,
    query: &'a str,
}

impl FromStr for RedisUrl {
    type Err = InvalidRedisUrl;

    fn from_str(text: &str) -> Result<Self, InvalidRedisUrl> {
        match text.split_once("://").ok_or(InvalidRedisUrl)? {
            (scheme @ ("redis+sentinel" | "rediss+sentinel"), rest) => sentinel(&Parts::of(scheme, rest)?),
            (scheme @ ("redis+cluster" | "rediss+cluster"), rest) => cluster(&Parts::of(scheme, rest)?),
            (_, rest) => {
                let node = node(text)?;
                let behind_host = rest.split_once(['/', '?', '#']).map_or("", |(_, behind)| behind);
                // The password of a Unix socket is in the query.
                if !matches!(node.addr(), ConnectionAddr::Unix(_)) && behind_host.contains('@') {
                    return Err(InvalidRedisUrl);
                }
                Ok(Self { topology: Topology::Single, entrances: vec![node] })
            }
        }
    }
}

impl RedisUrl {
    /// Whether connections are encrypted.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.entrances.iter().any(|node| matches!(node.addr(), ConnectionAddr::TcpTls { .. }))
    }

    /// How one logs in to the server that takes writes.
    fn login(&self) -> Option<&RedisConnectionInfo> {
        match &self.topology {
            Topology::Sentinel { login, .. } => Some(login),
            Topology::Single | Topology::Cluster => self.entrances.first().map(ConnectionInfo::redis_settings),
        }
    }
}

impl fmt::Display for RedisUrl {
    /// Everything but passwords.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.entrances.first().map(ConnectionInfo::addr) {
            Some(ConnectionAddr::Unix(_)) => "unix",
            Some(ConnectionAddr::TcpTls { .. }) => "rediss",
            _ => "redis",
        };
        let kind = match self.topology {
            Topology::Single => "",
            Topology::Sentinel { .. } => "+sentinel",
            Topology::Cluster => "+cluster",
        };
        write!(f, "{scheme}{kind}://")?;
        let login = self.login();
        let user = login.and_then(RedisConnectionInfo::username).unwrap_or_default();
        match login.and_then(RedisConnectionInfo::password) {
            Some(_) => write!(f, "{user}:***@")?,
            None if user.is_empty() => {}
            None => write!(f, "{user}@")?,
        }
        let addresses: Vec<_> = self.entrances.iter().map(|node| shown(node.addr())).collect();
        f.write_str(&addresses.join(","))?;
        if let Topology::Sentinel { master_name, .. } = &self.topology {
            write!(f, "/{master_name}")?;
        }
        match self.topology {
            Topology::Cluster => Ok(()),
            _ => write!(f, " database {}", login.map_or(0, RedisConnectionInfo::db)),
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<'a> Parts<'a> {
    fn of(scheme: &str, rest: &'a str) -> Result<Self, InvalidRedisUrl> {
        if rest.contains('#') {
            return Err(InvalidRedisUrl);
        }
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // A password with an unescaped /, whose rest would be taken for the name of the master.
        if path.contains('@') {
            return Err(InvalidRedisUrl);
        }
        let (login, hosts) = match authority.rsplit_once('@') {
            Some((login, hosts)) => (Some(login), hosts),
            None => (None, authority),
        };
        Ok(Self { tls: scheme.starts_with("rediss"), login, hosts, path, query })
    }

    /// The nodes, each with `login` and `database`; a port that is not named is `port`.
    fn nodes(
        &self,
        login: Option<&str>,
        port: Option<u16>,
        database: &str,
    ) -> Result<Vec<ConnectionInfo>, InvalidRedisUrl> {
        let scheme = if self.tls { "rediss" } else { "redis" };
        let login = login.map(|login| format!("{login}@")).unwrap_or_default();
        let node = |host: &str| {
            let port = match port {
                Some(port) if !names_a_port(host) => format!(":{port}"),
                _ => String::new(),
            };
            node(&format!("{scheme}://{login}{host}{port}/{database}"))
        };
        self.hosts.split(',').map(node).collect()
    }
}

fn sentinel(parts: &Parts<'_>) -> Result<RedisUrl, InvalidRedisUrl> {
    let (master_name, database) = parts.path.split_once('/').unwrap_or((parts.path, ""));
    if master_name.is_empty() {
        return Err(InvalidRedisUrl);
    }
    // The login before the hosts is the master's, as in other clients; Sentinels have none unless one is named.
    let masters = parts.nodes(parts.login, None, database)?;
    let login = masters.first().ok_or(InvalidRedisUrl)?.redis_settings().clone();

    let (mut user, mut password) = (None, None);
    for (name, value) in form_urlencoded::parse(parts.query.as_bytes()) {
        match &*name {
            "sentinel_username" => user = Some(value),
            "sentinel_password" => password = Some(value),
            _ => return Err(InvalidRedisUrl),
        }
    }
    let with_own_login = |sentinel: ConnectionInfo| {
        let mut login = sentinel.redis_settings().clone();
        if let Some(user) = &user {
            login = login.set_username(user);
        }
        if let Some(password) = &password {
            login = login.set_password(password);
        }
        sentinel.set_redis_settings(login)
    };
    let sentinels = parts.nodes(None, Some(SENTINEL_PORT), "")?;
    Ok(RedisUrl {
        topology: Topology::Sentinel { master_name: master_name.to_owned(), login },
        entrances: sentinels.into_iter().map(with_own_login).collect(),
    })
}

fn cluster(parts: &Parts<'_>) -> Result<RedisUrl, InvalidRedisUrl> {
    // A Cluster has database 0 alone.
    if !parts.query.is_empty() || !matches!(parts.path, "" | "0") {
        return Err(InvalidRedisUrl);
    }
    Ok(RedisUrl { topology: Topology::Cluster, entrances: parts.nodes(parts.login, None, "")? })
}

/// A single server. `#insecure`, which would not check its certificate, is refused.
fn node(url: &str) -> Result<ConnectionInfo, InvalidRedisUrl> {
    let node = url.into_connection_info().map_err(|_| InvalidRedisUrl)?;
    if matches!(node.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(InvalidRedisUrl);
    }
    Ok(node)
}

/// The address as a URL has it: IPv6 in brackets, so that the port can be told from it.
pub(crate) fn shown(address: &ConnectionAddr) -> String {
    match address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } if host.contains(':') => {
            format!("[{host}]:{port}")
        }
        address => address.to_string(),
    }
}

/// Whether a port follows the host, which may be an IPv6 address in brackets.
fn names_a_port(host: &str) -> bool {
    host.rsplit(']').next().is_some_and(|behind| behind.contains(':'))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn displayed(url: &str) -> String {
        url.parse::<RedisUrl>().unwrap().to_string()
    }

    #[test]
    fn shows_every_form_without_its_password() {
        for (url, expected) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379 database 0"),
            ("redis://user:secret@redis:6380/2?x=secret", "redis://user:***@redis:6380 database 2"),
            ("rediss://user@redis/1", "rediss://user@redis:6379 database 1"),
            ("unix:///run/redis.sock?db=1&pass=secret", "unix://:***@/run/redis.sock database 1"),
            ("redis://[::1]", "redis://[::1]:6379 database 0"),
            ("redis+sentinel://s1,s2:26380/main", "redis+sentinel://s1:26379,s2:26380/main database 0"),
            (
                "rediss+sentinel://user:s%40cret@[::1]:1,[::2]/main/3?sentinel_password=secret",
                "rediss+sentinel://user:***@[::1]:1,[::2]:26379/main database 3",
            ),
            ("redis+cluster://:secret@c1:7000,c2", "redis+cluster://:***@c1:7000,c2:6379"),
            ("rediss+cluster://c1/0", "rediss+cluster://c1:6379"),
        ] {
            assert_eq!(displayed(url), expected);
            assert!(!displayed(url).contains("secret"), "{url}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_redis_url() {
        for url in [
            "",
            "secret",
            "http://:secret@host",
            "redis://:secret@",
            "redis://:secret@host/x",
            // A password in which these characters are not escaped.
            "redis://user:12/secret@host",
            "redis://user:12?secret@host",
            "redis://user:12#secret@host",
            "redis+sentinel://user:12/secret@host",
            "redis+sentinel://user:12/secret@host/main",
            "redis+sentinel://user:12?secret@host/main",
            "redis+cluster://user:12/secret@host",
            "redis+cluster://user:12?secret@host",
            "rediss://host/#insecure",
            "redis+sentinel://host",
            "redis+sentinel://host/",
            "redis+sentinel://host,/main",
            "redis+sentinel://host/main/x",
            "redis+sentinel://host/main?sentinel_pasword=x",
            "rediss+sentinel://host/main#insecure",
            "redis+cluster://",
            "redis+cluster://host/1",
            "redis+cluster://host:port",
            "redis+cluster://host?x=y",
        ] {
            assert_eq!(url.parse::<RedisUrl>().err(), Some(InvalidRedisUrl), "{url}");
        }
    }

    #[test]
    fn keeps_the_logins_of_sentinels_and_master_apart() {
        let url = "redis+sentinel://data:one@s1/main/2?sentinel_username=watch&sentinel_password=t%20wo";
        let RedisUrl { topology, entrances } = url.parse().unwrap();
        let Topology::Sentinel { master_name, login } = topology else { panic!("not Sentinel") };
        assert_eq!((master_name.as_str(), login.db()), ("main", 2));
        assert_eq!((login.username(), login.password()), (Some("data"), Some("one")));
        let sentinel = entrances[0].redis_settings();
        assert_eq!((sentinel.username(), sentinel.password(), sentinel.db()), (Some("watch"), Some("t wo"), 0));

        let RedisUrl { entrances, .. } = "redis+sentinel://data:one@s1/main".parse().unwrap();
        assert_eq!(entrances[0].redis_settings().password(), None);
    }
}
