//! Hides the passwords in a URL.

use std::borrow::Cow;
use std::ops::Range;

use url::Url;

/// What stands in place of a password.
pub(crate) const MASK: &str = "***";

/// A secret as others may see it: a URL without its passwords, anything else hidden whole. Nothing stays nothing.
pub(crate) fn mask_secret(text: &str) -> String {
    if text.is_empty() { String::new() } else { mask_passwords(text) }
}

/// The URL with its passwords hidden, wherever they stand. What is no URL, or could be one with a password in the wrong
/// place, is hidden whole.
fn mask_passwords(text: &str) -> String {
    let Some(hosts) = hosts(text) else { return MASK.to_owned() };
    // A password with an unescaped /, ? or # reaches beyond what looks like the hosts.
    if text[hosts.end..].contains('@') {
        return MASK.to_owned();
    }
    // `Url` knows one host; several are put back behind it.
    let several = &text[hosts.clone()];
    let mut one = text.to_owned();
    one.replace_range(hosts, several.split(',').next().unwrap_or_default());
    let mut masked = mask_passwords_of_one(&one);
    if several.contains(',') {
        match self::hosts(&masked) {
            Some(hosts) => masked.replace_range(hosts, several),
            None => return MASK.to_owned(),
        }
    }
    masked
}

/// Where the hosts of a URL stand, behind the login.
fn hosts(text: &str) -> Option<Range<usize>> {
    let start = text.find("://")? + "://".len();
    let end = text[start..].find(['/', '?', '#']).map_or(text.len(), |length| start + length);
    let login = text[start..end].rfind('@').map_or(0, |at| at + 1);
    Some(start + login..end)
}

fn mask_passwords_of_one(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return MASK.to_owned() };
    if url.password().is_some() && url.set_password(Some(MASK)).is_err() {
        return MASK.to_owned();
    }
    if url.query_pairs().any(|(name, _)| is_password(&name)) {
        let masked = |(name, value): (Cow<'_, str>, Cow<'_, str>)| {
            let value = if is_password(&name) { MASK.to_owned() } else { value.into_owned() };
            (name.into_owned(), value)
        };
        let pairs: Vec<_> = url.query_pairs().map(masked).collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.to_string()
}

/// Whether a parameter of this name holds a password.
fn is_password(name: &str) -> bool {
    let name = name.to_lowercase();
    ["pass", "pwd", "secret", "token"].iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hides_passwords_and_shows_the_rest() {
        for (url, masked) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            ("redis://:secret@db/0", "redis://:***@db/0"),
            ("redis://user:s%40cr:et@db/0", "redis://user:***@db/0"),
            ("unix:///run/redis.sock", "unix:///run/redis.sock"),
            ("unix:///run/redis.sock?pass=secret", "unix:///run/redis.sock?pass=***"),
            ("unix:///run/redis.sock?p%61ss=secret&db=1", "unix:///run/redis.sock?pass=***&db=1"),
            ("redis+sentinel://user:secret@one,two:1/main", "redis+sentinel://user:***@one,two:1/main"),
            (
                "redis+sentinel://[::1]:1,[::2]:2/main?sentinel_password=secret",
                "redis+sentinel://[::1]:1,[::2]:2/main?sentinel_password=***",
            ),
            ("redis+cluster://:s,cret@one:1,two:2", "redis+cluster://:***@one:1,two:2"),
            ("https://host/?access_token=secret", "https://host/?access_token=***"),
        ] {
            assert_eq!(mask_passwords(url), masked);
        }
    }

    #[test]
    fn hides_everything_when_in_doubt() {
        for text in
            ["not a url", "", "a-token", "redis://user:12/secret@host", "redis://user:12?secret@host", "x://:1#s@h"]
        {
            assert_eq!(mask_passwords(text), MASK, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_shows_a_password(
            scheme in "(redis|rediss|redis\\+sentinel|redis\\+cluster|postgres|http)",
            user in "[a-z]{0,4}",
            // Escaped or not, with what delimits the parts of a URL in it.
            password in "[A-Z0-9]{8}([@:,/?#%&=]|%2F|%40)?[A-Z0-9]{8}",
            hosts in prop::collection::vec("[a-z]{1,5}(:[1-9][0-9]{0,3})?", 1..4),
            path in "(/[a-z]{0,5}){0,2}",
            parameter in prop::option::of("(pass|sentinel_password|PASSWORD|auth_token)"),
        ) {
            let (first, second) = (&password[..8], &password[password.len() - 8..]);
            let query = parameter.map(|name| format!("?db=1&{name}={first}{second}")).unwrap_or_default();
            let url = format!("{scheme}://{user}:{password}@{}{path}{query}", hosts.join(","));
            let shown = mask_passwords(&url);
            prop_assert!(!shown.contains(first) && !shown.contains(second), "{url} is shown as {shown}");
        }
    }
}
