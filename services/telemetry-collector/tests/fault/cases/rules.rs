//! Errors that Redis returns until an operator changes its configuration or data.

use crate::fault::case::{Case, KEY, OUTAGE_BEGAN, arrivals, list, outage, samples, wait_for_log};
use crate::fault::table::Row;
use telemetry_testing::RedisServer;

pub async fn key_of_another_type() -> Row {
    let redis = RedisServer::start().await;
    let mut case = Case::new(&redis.url());
    let collector = case.start().await;
    arrivals(&redis, 5).await;
    // Keep the list under another key in the meantime.
    let other_type = "redis.call('RENAME', KEYS[1], 'aside') return redis.call('SET', KEYS[1], 'text')";
    let list_again = redis.command(&["RENAME", "aside", KEY]);
    outage(&collector, redis.command(&["EVAL", other_type, "1", KEY]), list_again).await;
    case.fault("key of another type");
    assert!(collector.log().contains("WRONGTYPE"), "{}", collector.log());
    arrivals(&redis, 5).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

pub async fn password_changed() -> Row {
    let redis = RedisServer::start().await;
    redis.command::<()>(&["ACL", "SETUSER", "collector", "on", ">old", "~*", "+@all"]).await;
    let mut case = Case::new(&redis.url_with_login("collector:old"));
    let collector = case.start().await;
    arrivals(&redis, 5).await;
    let change = async {
        redis.command::<()>(&["ACL", "SETUSER", "collector", "resetpass", ">new"]).await;
        // A new password does not close existing connections.
        redis.command::<()>(&["CLIENT", "KILL", "USER", "collector"]).await;
    };
    outage(&collector, change, redis.command(&["ACL", "SETUSER", "collector", ">old"])).await;
    case.fault("password changed");
    arrivals(&redis, 5).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}

/// The queue cannot be trimmed. Messages are delivered nevertheless, and the problem is logged once.
pub async fn trimming_forbidden() -> Row {
    let redis = RedisServer::start().await;
    redis.command::<()>(&["ACL", "SETUSER", "collector", "on", ">secret", "~*", "+lpush", "+ping", "+llen"]).await;
    let mut case = Case::new(&redis.url_with_login("collector:secret"));
    case.set("TELEMETRY_REDIS__MAX_LENGTH", "5");
    let collector = case.start().await;
    arrivals(&redis, 10).await;
    case.fault("LTRIM forbidden");
    assert_eq!(collector.log().matches("does not trim the queue").count(), 1, "{}", collector.log());
    let unwanted = redis.command(&["ACL", "SETUSER", "collector", "-lpush"]);
    wait_for_log(&collector, OUTAGE_BEGAN, unwanted).await;
    case.fault("LPUSH forbidden");
    samples(&collector, 5).await;
    redis.command::<()>(&["ACL", "SETUSER", "collector", "+lpush"]).await;
    arrivals(&redis, 10).await;
    case.stop(collector).await;
    case.check(&list(&redis).await)
}
