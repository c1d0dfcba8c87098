//! A property that holds for any environment. The target in //fuzz searches for environments that violate it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use telemetry_collector::Config;
use telemetry_collector::config::environment_help;
use telemetry_redis::RedisUrl;
use url::form_urlencoded;

/// An environment is either rejected, with one line per mistake, or accepted. No password is printed in either case.
///
/// `block` has the format of `/proc/PID/environ`: `NAME=value` pairs separated by NUL bytes.
pub fn environment(block: &[u8]) {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    // The last value of a repeated name wins.
    let vars: BTreeMap<_, _> = block
        .split(|byte| *byte == 0)
        .filter_map(|var| var.iter().position(|byte| *byte == b'=').map(|at| (text(&var[..at]), text(&var[at + 1..]))))
        // `_FILE` variables would read files of the machine that runs this.
        .filter(|(name, _)| !name.to_string_lossy().ends_with("_FILE"))
        .collect();
    let shown = match Config::from_vars(vars.clone()) {
        Ok(config) => config.print(),
        Err(mistakes) => {
            let mistakes = mistakes.to_string();
            let is_named = |line: &str| line.starts_with("TELEMETRY_") || line.starts_with("OTEL_");
            assert!(!mistakes.is_empty() && mistakes.lines().all(is_named), "{mistakes}");
            mistakes
        }
    };
    let is_in_other_variable = |password: &str| {
        vars.iter().any(|(name, value)| {
            name != "TELEMETRY_REDIS__URL"
                && (name.to_string_lossy().contains(password) || value.to_string_lossy().contains(password))
        })
    };
    let url = vars.get(OsStr::new("TELEMETRY_REDIS__URL")).and_then(|url| url.to_str()).unwrap_or_default();
    // What logs show of where the messages go.
    let destination = url.parse::<RedisUrl>().map(|url| url.to_string()).unwrap_or_default();
    let shown = format!("{shown}\n{destination}");
    for password in passwords_of(url) {
        let is_distinctive =
            password.len() >= 8 && url.matches(&password).count() == 1 && !environment_help().contains(&password);
        let is_shown = shown.contains(&password) && !is_in_other_variable(&password);
        assert!(!is_distinctive || !is_shown, "{password} in {shown}");
    }
}

/// What people may mean as a password: what stands between the first colon and the last @, escaped or not, and in the query.
fn passwords_of(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else { return Vec::new() };
    // The path of a Unix socket may have both characters.
    let login = rest.rsplit_once('@').filter(|_| !scheme.contains("unix")).and_then(|(login, _)| login.split_once(':'));
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let in_query = form_urlencoded::parse(query.as_bytes());
    let in_query = in_query.filter(|(name, _)| name == "pass" || name == "sentinel_password");
    let in_query = in_query.map(|(_, value)| value.into_owned());
    login.map(|(_, password)| password.to_owned()).into_iter().chain(in_query).collect()
}
