//! What holds for whatever the environment is; the target in //fuzz looks for one for which it does not.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use telemetry_collector::Config;
use telemetry_collector::config::environment_help;
use url::Url;

/// An environment as the kernel shows it, `NAME=value` with NUL bytes between, is refused, with one line for each mistake, or
/// read; no password is shown in either case.
pub fn environment(block: &[u8]) {
    let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let vars: Vec<_> = block
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
    for (_, url) in vars.iter().filter(|(name, _)| name == "TELEMETRY_REDIS__URL") {
        let Some(url) = url.to_str() else { continue };
        let Some(password) = Url::parse(url).ok().and_then(|url| url.password().map(str::to_owned)) else { continue };
        let is_no_common_word =
            password.len() >= 8 && url.matches(&password).count() == 1 && !environment_help().contains(&password);
        assert!(
            !is_no_common_word || shown_elsewhere(&password) || !shown.contains(&password),
            "{password} in {shown}"
        );
    }
}
