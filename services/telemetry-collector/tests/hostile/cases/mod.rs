//! Hostile cases, by what is attacked.

mod connections;
mod credentials;
mod frames;
mod http;
mod messages;
mod socket;
mod watches;

use tokio::sync::{Mutex, MutexGuard};

pub use self::socket::connect_as_another_user;
use super::table::Row;
use crate::support::cases::Run;

macro_rules! cases {
    ($($module:ident: $($case:ident),+;)+) => {
        vec![$($((stringify!($case), || Box::pin($module::$case()))),+),+]
    };
}

/// All cases with their names.
pub fn all() -> Vec<(&'static str, Run<Row>)> {
    cases! {
        connections: connections_without_a_byte, half_a_tls_handshake, preface_then_silence, headers_byte_by_byte,
            body_byte_by_byte, answers_that_are_not_read, ten_thousand_connections, garbage_to_a_plain_port,
            garbage_to_a_tls_port;
        frames: rapid_reset, continuation_flood, ping_flood, ping_flood_that_is_not_read, settings_flood, window_update_flood,
            priority_flood, reset_flood, empty_data_flood, empty_data_flood_to_a_refused_call, too_many_streams,
            oversized_headers, header_bomb;
        messages: oversized_messages, malformed_messages, malformed_frames, compressed_bombs, half_messages;
        watches: watches_beyond_the_limit, watchers_that_never_read, interval_changes_beyond_the_rate;
        credentials: wrong_logins, guessed_tokens, token_revoked_during_a_watch, token_revoked_during_a_change, damaged_tokens_files, readers_who_change,
            strange_client_certificates, token_on_a_plain_connection, calls_open_without_a_login, calls_closed_without_a_login;
        socket: unix_socket_of_another_user, ended_under_attack;
        http: http_connections_without_a_byte, http_headers_byte_by_byte, http_heads_without_end, http_connections_kept_open, http_connections_beyond_the_limit,
            http_oversized_requests, http_pipelining_flood, http_answers_that_are_not_read, http_body_that_never_ends,
            http_viewers_that_never_read, http_wrong_logins;
    }
}

/// Cases that keep the processor busy run one at a time, so that only their own attack can delay a tick.
async fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::const_new(());
    ALONE.lock().await
}
