//! Who calls, and whether the caller may.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use thiserror::Error;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::address::Address;
use crate::caller::{Caller, Login, Role};
use crate::peer::{Peer, PeerAddress};
use crate::roles::CertificateRoles;
use crate::settings::ListenerSettings;
use crate::tokens::{Token, Tokens};

const BEARER: &str = "bearer";
const BASIC: &str = "basic";

/// Tells who calls, by the login of the call or of its connection.
#[derive(Debug, Clone)]
pub struct Access {
    tokens: Option<watch::Receiver<Arc<Tokens>>>,
    certificate_roles: Arc<CertificateRoles>,
    is_unix: bool,
    has_login: bool,
}

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The call brings a token that is not in the file, or no longer, or something else than a token.
    #[error("the token is not known")]
    UnknownToken,
    /// The call needs a login, and brings none.
    #[error("this call needs a login: send the header \"authorization: Bearer TOKEN\"")]
    NoLogin,
    /// The caller is known, and may not make this call.
    #[error("this call needs the role {needed}; {caller:?} has {}", role_name(*.role))]
    NotAllowed {
        /// Name of the caller.
        caller: String,
        /// The caller's role.
        role: Option<Role>,
        /// The role that the call needs.
        needed: Role,
    },
}

fn role_name(role: Option<Role>) -> String {
    role.map_or_else(|| "none".to_owned(), |role| format!("the role {role}"))
}

impl Access {
    pub(crate) fn new(settings: &ListenerSettings, tokens: Option<watch::Receiver<Arc<Tokens>>>) -> Self {
        let certificate_roles = Arc::new(settings.certificate_roles.clone());
        let is_unix = matches!(settings.address, Address::Unix(_));
        Self { tokens, certificate_roles, is_unix, has_login: settings.has_login() }
    }

    pub(crate) fn has_login(&self) -> bool {
        self.has_login
    }

    /// Who makes a call with these `headers`, and when that login is no longer valid.
    ///
    /// # Errors
    /// [`Refusal::UnknownToken`]. A wrong token is refused for calls that need no login, too: its owner should know.
    pub(crate) fn identify(
        &self,
        peer: &Peer,
        headers: &HeaderMap,
    ) -> Result<(Caller, Option<CancellationToken>), Refusal> {
        let address = peer.address().to_string();
        if let Some(token) = self.token_of(headers)? {
            let (name, role) = (token.name.clone(), Some(token.role));
            return Ok((Caller { name, login: Login::Token, role, address }, Some(token.revoked.clone())));
        }
        let caller = match (peer.certificate(), peer.address()) {
            (Some(name), _) => {
                let role = self.certificate_roles.role(name);
                Caller { name: name.to_owned(), login: Login::Certificate, role, address }
            }
            (None, PeerAddress::Unix { uid, .. }) if self.is_unix && !self.has_login => {
                Caller { name: uid.to_string(), login: Login::Unix, role: Some(Role::Control), address }
            }
            _ => {
                let role = (!self.has_login).then_some(Role::Control);
                Caller { name: String::new(), login: Login::None, role, address }
            }
        };
        Ok((caller, None))
    }

    fn token_of(&self, headers: &HeaderMap) -> Result<Option<Arc<Token>>, Refusal> {
        let Some(tokens) = &self.tokens else { return Ok(None) };
        let mut logins = headers.get_all(AUTHORIZATION).iter();
        let Some(login) = logins.next() else { return Ok(None) };
        let secret = login.to_str().ok().and_then(secret_of).filter(|_| logins.next().is_none());
        let token = secret.and_then(|secret| tokens.borrow().find(&secret).map(Arc::clone));
        token.map(Some).ok_or(Refusal::UnknownToken)
    }
}

/// The token in a header, unless it is empty. Browsers cannot send bearer tokens, so it can be the password of a login by HTTP Basic, too; the name
/// of the user does not count.
fn secret_of(login: &str) -> Option<Vec<u8>> {
    let (scheme, credentials) = login.split_once(' ')?;
    let credentials = credentials.trim();
    let secret = if scheme.eq_ignore_ascii_case(BEARER) {
        credentials.as_bytes().to_vec()
    } else if scheme.eq_ignore_ascii_case(BASIC) {
        let pair = STANDARD.decode(credentials).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        pair[colon + 1..].to_vec()
    } else {
        return None;
    };
    (!secret.is_empty()).then_some(secret)
}

impl Caller {
    /// Whether the caller may make a call that needs the role `needed`; `None` = everybody may.
    ///
    /// # Errors
    /// [`Refusal::NoLogin`] or [`Refusal::NotAllowed`].
    pub fn may(&self, needed: Option<Role>) -> Result<(), Refusal> {
        match needed {
            None => Ok(()),
            Some(needed) if self.role >= Some(needed) => Ok(()),
            Some(_) if self.login == Login::None => Err(Refusal::NoLogin),
            Some(needed) => Err(Refusal::NotAllowed { caller: self.name.clone(), role: self.role, needed }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::files::FromFiles;

    fn settings(tokens: bool, client_ca: bool, address: &str) -> ListenerSettings {
        let mut settings = ListenerSettings::new(address.parse().unwrap());
        settings.tokens = tokens.then(|| "/tokens".into());
        settings.tls.client_ca = client_ca.then(|| "/ca".into());
        settings
    }

    fn tcp(certificate: Option<&str>) -> Peer {
        Peer::new(PeerAddress::Tcp("10.0.0.7:1234".parse().unwrap()), certificate.map(Into::into))
    }

    fn with_tokens() -> (Access, watch::Sender<Arc<Tokens>>, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tokens");
        // SHA-256 of "secret".
        let hash = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
        std::fs::write(&path, format!("ops control sha256:{hash}")).unwrap();
        let tokens = watch::Sender::new(Arc::new(Tokens::load(&path, None).unwrap()));
        (Access::new(&settings(true, true, "127.0.0.1:0"), Some(tokens.subscribe())), tokens, directory)
    }

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, HeaderValue::from_static(value))).collect()
    }

    fn caller(access: &Access, peer: &Peer, values: &[&'static str]) -> Result<Caller, Refusal> {
        access.identify(peer, &headers(values)).map(|(caller, _)| caller)
    }

    #[test]
    fn a_token_counts_before_a_certificate() {
        let (access, _tokens, _directory) = with_tokens();
        let by_token = caller(&access, &tcp(Some("viewer")), &["bearer secret "]).unwrap();
        assert_eq!((by_token.name.as_str(), by_token.login, by_token.role), ("ops", Login::Token, Some(Role::Control)));
        assert_eq!(by_token.address, "10.0.0.7:1234");
        let by_certificate = caller(&access, &tcp(Some("viewer")), &[]).unwrap();
        assert_eq!((by_certificate.login, by_certificate.role), (Login::Certificate, Some(Role::Read)));
        // "anybody:secret"
        let by_password = caller(&access, &tcp(None), &["Basic YW55Ym9keTpzZWNyZXQ="]).unwrap();
        assert_eq!((by_password.name.as_str(), by_password.login), ("ops", Login::Token));
        let nobody = caller(&access, &tcp(None), &[]).unwrap();
        assert_eq!((nobody.login, nobody.role), (Login::None, None));
    }

    #[test]
    fn refuses_what_is_no_token_or_more_than_one() {
        let (access, _tokens, _directory) = with_tokens();
        for wrong in [
            &["Bearer Secret"][..],
            &["Bearer"],
            &["Bearer "],
            &["Basic secret"],
            &["Basic c2VjcmV0"],
            &["secret"],
            &[""],
        ] {
            assert_eq!(caller(&access, &tcp(Some("viewer")), wrong), Err(Refusal::UnknownToken), "{wrong:?}");
        }
        let twice = caller(&access, &tcp(None), &["Bearer secret", "Bearer secret"]);
        assert_eq!(twice, Err(Refusal::UnknownToken));
    }

    #[test]
    fn an_empty_token_is_none() {
        // "anybody:" for Basic.
        for login in ["Bearer ", "Bearer", "Basic YW55Ym9keTo="] {
            assert_eq!(secret_of(login), None, "{login}");
        }
        assert_eq!(secret_of("Basic YW55Ym9keTpzZWNyZXQ=").as_deref(), Some(&b"secret"[..]));
    }

    #[test]
    fn without_a_login_everybody_may_do_all_and_headers_count_for_nothing() {
        let access = Access::new(&settings(false, false, "127.0.0.1:0"), None);
        let anybody = caller(&access, &tcp(None), &["Bearer wrong"]).unwrap();
        assert_eq!((anybody.login, anybody.role, anybody.name.as_str()), (Login::None, Some(Role::Control), ""));
    }

    #[test]
    fn the_permissions_of_a_unix_socket_decide_unless_there_are_tokens() {
        let peer = Peer::new(PeerAddress::Unix { pid: Some(4711), uid: 1000, gid: 100 }, None);
        let open = caller(&Access::new(&settings(false, false, "unix:///s"), None), &peer, &[]).unwrap();
        assert_eq!((open.name.as_str(), open.login, open.role), ("1000", Login::Unix, Some(Role::Control)));
        assert_eq!(open.address, "pid 4711, uid 1000, gid 100");
        let closed = caller(&Access::new(&settings(true, false, "unix:///s"), None), &peer, &[]).unwrap();
        assert_eq!((closed.login, closed.role), (Login::None, None));
    }

    #[test]
    fn a_role_includes_those_below_it() {
        let caller = |login, role| Caller { name: "ann".to_owned(), login, role, address: String::new() };
        let nobody = caller(Login::None, None);
        assert_eq!(nobody.may(None), Ok(()));
        assert_eq!(nobody.may(Some(Role::Read)), Err(Refusal::NoLogin));
        let reader = caller(Login::Token, Some(Role::Read));
        assert_eq!(reader.may(Some(Role::Read)), Ok(()));
        let refusal = reader.may(Some(Role::Control)).unwrap_err();
        assert_eq!(refusal.to_string(), "this call needs the role control; \"ann\" has the role read");
        assert_eq!(caller(Login::Token, Some(Role::Control)).may(Some(Role::Read)), Ok(()));
        let refusal = caller(Login::Certificate, None).may(Some(Role::Read)).unwrap_err();
        assert_eq!(refusal.to_string(), "this call needs the role read; \"ann\" has none");
    }
}
