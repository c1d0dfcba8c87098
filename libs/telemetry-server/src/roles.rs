//! What the owner of a client certificate may do.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::caller::Role;

/// Stands for every certificate.
const ANY: &str = "*";

/// The role of each client certificate, by the common name (CN) of its subject.
///
/// It is written as `name=role` pairs separated by commas. The name `*` stands for all certificates that are not named.
///
/// ```
/// use telemetry_server::{CertificateRoles, Role};
///
/// let roles: CertificateRoles = "ops=control,*=read".parse().unwrap();
/// assert_eq!(roles.role("ops"), Some(Role::Control));
/// assert_eq!(roles.role("dashboard"), Some(Role::Read));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateRoles(Vec<(String, Role)>);

/// A text that is no [`CertificateRoles`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("is not a list of name=role pairs")]
pub struct InvalidRoles;

impl CertificateRoles {
    /// The role of the certificate whose subject has this common name.
    #[must_use]
    pub fn role(&self, common_name: &str) -> Option<Role> {
        let of = |wanted: &str| self.0.iter().find(|(name, _)| name == wanted).map(|(_, role)| *role);
        // A certificate for the name "*" is not named.
        if common_name == ANY { of(ANY) } else { of(common_name).or_else(|| of(ANY)) }
    }
}

impl Default for CertificateRoles {
    /// Every certificate may read.
    fn default() -> Self {
        Self(vec![(ANY.to_owned(), Role::Read)])
    }
}

impl FromStr for CertificateRoles {
    type Err = InvalidRoles;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut roles: Vec<(String, Role)> = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, role) = pair.rsplit_once('=').ok_or(InvalidRoles)?;
            let (name, role) = (name.trim(), role.trim().parse().map_err(|_| InvalidRoles)?);
            if name.is_empty() || roles.iter().any(|(known, _)| known == name) {
                return Err(InvalidRoles);
            }
            roles.push((name.to_owned(), role));
        }
        if roles.is_empty() { Err(InvalidRoles) } else { Ok(Self(roles)) }
    }
}

impl fmt::Display for CertificateRoles {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, role)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(formatter, "{comma}{name}={role}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_named_certificate_its_own_role() {
        let roles: CertificateRoles = "team=a=control, viewer=read".parse().unwrap();
        assert_eq!(roles.role("team=a"), Some(Role::Control));
        assert_eq!(roles.role("viewer"), Some(Role::Read));
        assert_eq!(roles.role("Viewer"), None);
        assert_eq!(roles.to_string(), "team=a=control,viewer=read");
    }

    #[test]
    fn gives_every_other_certificate_the_role_of_the_star() {
        let roles: CertificateRoles = "*=control,viewer=read".parse().unwrap();
        assert_eq!((roles.role("viewer"), roles.role("ops")), (Some(Role::Read), Some(Role::Control)));
        assert_eq!(CertificateRoles::default().role("anybody"), Some(Role::Read));
    }

    #[test]
    fn rejects_what_is_no_list_of_roles() {
        for text in ["", ",", "ops", "ops=admin", "=read", "ops=read,ops=control", "ops=Control"] {
            assert_eq!(text.parse::<CertificateRoles>(), Err(InvalidRoles), "{text}");
        }
    }
}
