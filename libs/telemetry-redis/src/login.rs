//! Logs in on a new connection.
//!
//! The library can do that when it connects, but it reduces whatever the server answers to "Password authentication
//! failed": a server that has no free client slot could not be told from a wrong password.

use redis::aio::ConnectionLike;
use redis::{ConnectionInfo, RedisConnectionInfo, RedisError, RedisResult};

/// The server without a login or a database, so that the library sends nothing of its own when it connects. It would also
/// name itself in commands whose errors it ignores, and so swallow the first thing that a server in protected mode or
/// without a free client slot has to say.
pub(crate) fn without_login(node: ConnectionInfo) -> ConnectionInfo {
    node.set_redis_settings(RedisConnectionInfo::default().set_skip_set_lib_name())
}

/// Sends the password, if there is one, and selects the database. One command at a time: a server that refuses the
/// connection answers the first one and closes.
pub(crate) async fn log_in(connection: &mut impl ConnectionLike, login: &RedisConnectionInfo) -> RedisResult<()> {
    if let Some(password) = login.password() {
        match authenticate(connection, login.username(), password).await {
            Err(error) if login.username().is_some() && has_no_users(&error) => {
                authenticate(connection, None, password).await?;
            }
            answer => answer?,
        }
    }
    if login.db() != 0 {
        redis::cmd("SELECT").arg(login.db()).query_async::<()>(connection).await?;
    }
    Ok(())
}

async fn authenticate(connection: &mut impl ConnectionLike, user: Option<&str>, password: &str) -> RedisResult<()> {
    redis::cmd("AUTH").arg(user).arg(password).query_async(connection).await
}

/// Before Redis 6 there are no users, only a password.
fn has_no_users(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("wrong number of arguments for 'auth' command"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use redis::{Cmd, IntoConnectionInfo, Value, parse_redis_value};
    use redis_test::{MockCmd, MockRedisConnection};

    use super::*;

    #[test]
    fn the_library_is_given_neither_login_nor_database() {
        let node = without_login("redis://user:secret@host/2?protocol=resp3".into_connection_info().unwrap());
        let login = node.redis_settings();
        assert_eq!((login.username(), login.password(), login.db()), (None, None, 0));
        assert!(login.skip_set_lib_name());
        assert_eq!(node.addr().to_string(), "host:6379");
    }

    fn auth(words: &[&str]) -> Cmd {
        redis::cmd("AUTH").arg(words).to_owned()
    }

    fn refusal(line: &str) -> RedisResult<Value> {
        parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(Value::extract_error)
    }

    #[tokio::test]
    async fn sends_the_password_alone_to_a_server_without_users() {
        let login = RedisConnectionInfo::default().set_username("user").set_password("secret").set_db(2);
        let mut server = MockRedisConnection::new([
            MockCmd::new(auth(&["user", "secret"]), refusal("ERR wrong number of arguments for 'auth' command")),
            MockCmd::new(auth(&["secret"]), Ok(Value::Okay)),
            MockCmd::new(redis::cmd("SELECT").arg(2), Ok(Value::Okay)),
        ]);
        log_in(&mut server, &login).await.unwrap();
    }

    #[tokio::test]
    async fn sends_nothing_after_a_refusal() {
        let login = RedisConnectionInfo::default().set_username("user").set_password("secret").set_db(2);
        let refused = refusal("ERR max number of clients reached");
        let mut server = MockRedisConnection::new([MockCmd::new(auth(&["user", "secret"]), refused)]);
        let error = log_in(&mut server, &login).await.unwrap_err();
        assert_eq!(error.detail(), Some("max number of clients reached"));
    }
}
