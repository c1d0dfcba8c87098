//! What holds for whatever the environment is; the target in //fuzz looks for one for which it does not.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt;

use telemetry_collector::Config;
use telemetry_collector::config::environment_help;
use url::Url;

/// An environment as the kernel shows it, `NAME=value` with NUL bytes between, is refused, with one line for each mistake, or
/// read; no password is shown in either case.
pub fn environment(block: &[u8]) {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    // A name that is there twice has the last value.
    let vars: BTreeMap<_, _> = block
        .split(|byte| *byte == 0)
        .filter_map(|var| var.iter().position(|byte| *byte == b'=').map(|at| (text(&var[..at]), text(&var[at + 1..]))))
        // These would be read from the files of whoever runs this.
        .filter(|(name, _)| !name.to_string_lossy().ends_with("_FILE"))
        .collect();
    let shown = match Config::from_vars(vars.clone()) {
        Ok(config) => config.print(),
        Err(mistakes) => {
            let mistakes = mistakes.to_string();
            let ours = |line: &str| line.starts_with("TELEMETRY_") || line.starts_with("OTEL_");
            assert!(!mistakes.is_empty() && mistakes.lines().all(ours), "{mistakes}");
            mistakes
        }
    };
    let shown_elsewhere = |password: &str| {
        vars.iter().any(|(name, value)| {
            name != "TELEMETRY_REDIS__URL"
                && (name.to_string_lossy().contains(password) || value.to_string_lossy().contains(password))
        })
    };
    let url = vars.get(OsStr::new("TELEMETRY_REDIS__URL")).and_then(|url| url.to_str()).unwrap_or_default();
    for password in passwords_of(url) {
        let is_no_common_word =
            password.len() >= 8 && url.matches(&password).count() == 1 && !environment_help().contains(&password);
        let is_shown = shown.contains(&password) && !shown_elsewhere(&password);
        assert!(!is_no_common_word || !is_shown, "{password} in {shown}");
    }
}

fn passwords_of(url: &str) -> Vec<String> {
    let Ok(url) = Url::parse(url) else { return Vec::new() };
    let in_query = url.query_pairs().filter(|(name, _)| name == "pass" || name == "sentinel_password");
    let in_query: Vec<_> = in_query.map(|(_, value)| value.into_owned()).collect();
    url.password().map(str::to_owned).into_iter().chain(in_query).collect()
}
