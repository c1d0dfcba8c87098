//! Bearer tokens. Their file holds hashes, so that nobody who reads it can log in.

use std::path::PathBuf;
use std::sync::Arc;

use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use crate::caller::Role;
use crate::error::InvalidSetting;
use crate::files::{FromFiles, damaged, read};
use crate::settings::Setting;

const HASH_PREFIX: &str = "sha256:";
const HASH_BYTES: usize = 32;
const MAX_NAME_BYTES: usize = 64;

/// The tokens that callers can log in with.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Vec<Arc<Token>>);

/// A token, by its hash.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) name: String,
    pub(crate) role: Role,
    hash: [u8; HASH_BYTES],
    /// Cancelled when the token can no longer be used.
    pub(crate) revoked: CancellationToken,
}

impl Tokens {
    /// The token whose text is `secret`. Each is compared in full, so the time does not tell how near a guess is.
    pub(crate) fn find(&self, secret: &[u8]) -> Option<&Arc<Token>> {
        let hash = digest(&SHA256, secret);
        let mut found = None;
        for token in &self.0 {
            if bool::from(token.hash.as_slice().ct_eq(hash.as_ref())) {
                found = Some(token);
            }
        }
        found
    }

    fn parse(text: &str, previous: Option<&Self>) -> Result<Self, String> {
        let mut tokens: Vec<Arc<Token>> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // A line that is wrong may hold a secret, so no part of it is shown.
            let token = Token::parse(line).map_err(|problem| format!("line {}: {problem}", index + 1))?;
            if tokens.iter().any(|other| other.hash == token.hash) {
                return Err(format!("line {}: the token is in the file already", index + 1));
            }
            let kept = previous.and_then(|previous| previous.0.iter().find(|kept| kept.is_same(&token)));
            tokens.push(kept.map_or_else(|| Arc::new(token), Arc::clone));
        }
        Ok(Self(tokens))
    }
}

impl Token {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(role), Some(hash), None) = (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("is not a name, a role and a hash, separated by blanks");
        };
        if name.len() > MAX_NAME_BYTES || name.contains(char::is_control) {
            return Err("the name has more than 64 bytes or control characters");
        }
        let role = role.parse().map_err(|_| "the role is not read or control")?;
        let hash = hash.strip_prefix(HASH_PREFIX).and_then(from_hex);
        let hash = hash.ok_or("the hash is not sha256: and 64 hexadecimal digits")?;
        if digest(&SHA256, b"").as_ref() == hash {
            return Err("the hash is of an empty token");
        }
        Ok(Self { name: name.to_owned(), role, hash, revoked: CancellationToken::new() })
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, self.role, self.hash) == (&other.name, other.role, other.hash)
    }
}

impl FromFiles for Tokens {
    type Files = PathBuf;

    const SETTING: Setting = Setting::TokensFile;

    fn paths(path: &PathBuf) -> Vec<PathBuf> {
        vec![path.clone()]
    }

    fn load(path: &PathBuf, previous: Option<&Self>) -> Result<Self, InvalidSetting> {
        let bytes = read(Setting::TokensFile, path)?;
        let text = str::from_utf8(&bytes).map_err(|_| damaged(Setting::TokensFile, path, "is not UTF-8"))?;
        Self::parse(text, previous).map_err(|problem| damaged(Setting::TokensFile, path, problem))
    }

    fn replaces(&self, previous: &Self) {
        let is_kept = |token: &Arc<Token>| self.0.iter().any(|kept| Arc::ptr_eq(kept, token));
        previous.0.iter().filter(|token| !is_kept(token)).for_each(|token| token.revoked.cancel());
    }
}

fn from_hex(text: &str) -> Option<[u8; HASH_BYTES]> {
    let digits: Vec<u8> = text.chars().map(|digit| digit.to_digit(16)?.try_into().ok()).collect::<Option<_>>()?;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 2 * HASH_BYTES { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// SHA-256 of "secret".
    const SECRET: &str = "sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    /// SHA-256 of "other".
    const OTHER: &str = "sha256:d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa";

    fn parse(text: &str) -> Tokens {
        Tokens::parse(text, None).unwrap()
    }

    #[test]
    fn finds_a_token_by_its_text() {
        let tokens = parse(&format!("# tokens\n\n dashboard\tread {SECRET}\r\nops control {OTHER}\n"));
        let found = |secret: &[u8]| tokens.find(secret).map(|token| (token.name.as_str(), token.role));
        assert_eq!(found(b"secret"), Some(("dashboard", Role::Read)));
        assert_eq!(found(b"other"), Some(("ops", Role::Control)));
        assert_eq!((found(b"Secret"), found(b""), found(SECRET.as_bytes())), (None, None, None));
    }

    #[test]
    fn refuses_the_hash_of_an_empty_token() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let problem = Tokens::parse(&format!("ops control {empty}"), None).unwrap_err();
        assert_eq!(problem, "line 1: the hash is of an empty token");
    }

    #[test]
    fn names_the_line_that_is_wrong_and_shows_nothing_of_it() {
        let long = "n".repeat(65);
        for line in [
            "ops".to_owned(),
            "ops control".to_owned(),
            "ops control s3cret".to_owned(),
            format!("ops admin {SECRET}"),
            format!("ops control {SECRET} more"),
            format!("{long} read {SECRET}"),
            format!("ops read {}", &SECRET[..SECRET.len() - 1]),
            format!("ops read {SECRET}00"),
            format!("again read {OTHER}"),
        ] {
            let problem = Tokens::parse(&format!("ok read {OTHER}\n{line}"), None).unwrap_err();
            assert!(problem.starts_with("line 2: "), "{line}: {problem}");
            assert!(!problem.contains("s3cret") && !problem.contains("2bb8"), "{problem}");
        }
    }

    #[test]
    fn revokes_what_is_no_longer_in_the_file_and_nothing_else() {
        let before = parse(&format!("kept read {SECRET}\nraised read {OTHER}"));
        let after = Tokens::parse(&format!("kept read {SECRET}\nraised control {OTHER}"), Some(&before)).unwrap();
        after.replaces(&before);
        let revoked = |secret: &[u8]| before.find(secret).unwrap().revoked.is_cancelled();
        assert_eq!((revoked(b"secret"), revoked(b"other")), (false, true));
        assert!(!after.find(b"other").unwrap().revoked.is_cancelled());
        parse("").replaces(&after);
        assert!(revoked(b"secret"));
    }
}
