//! Reads a program's settings from the environment: checks them, explains them, shows where each comes from.
//!
//! A program describes each of its variables once, as a [`Variable`] in a table, and reads them with a [`Reader`]. From
//! the table this crate makes everything else that users see:
//!
//! - **Every mistake at once.** A wrong value, a misspelt name, a file that cannot be read: each is one line with the name,
//!   the value and what is allowed. The program gets a value or a list of mistakes, never half a configuration.
//! - **Did you mean?** A name that is nearly one of the program's, or stands in one of its sections, is a mistake, and
//!   the line names the nearest setting. A name that belongs to another program of the same environment is passed over.
//!   Any other name with the program's prefix is ignored and [can be reported](InForce::ignored): Kubernetes, for one, puts
//!   `SHOP_SERVICE_HOST` into each pod beside a Service named `shop`.
//! - **Secrets stay secret.** The value of a [secret](Variable::secret) is in no mistake and no `Debug` output, and
//!   [`InForce::print`] masks the passwords in it. It can come from the file that `NAME_FILE` names.
//! - **`--help`** by [`Program::help`], **`--print-config`** by [`InForce::print`] and a **reference in Markdown** by
//!   [`Program::reference`].
//!
//! An empty value counts as unset. Names are `PREFIX` `SECTION` `__` `NAME`, such as `SHOP_HTTP__LISTEN`.
//!
//! ```
//! use std::ffi::OsString;
//! use std::net::SocketAddr;
//! use std::time::Duration;
//!
//! use telemetry_settings::{InForce, InvalidSettings, Program, Reader, Secret, Variable, parse};
//!
//! const LISTEN: &Variable = &Variable {
//!     name: "SHOP_HTTP__LISTEN",
//!     default: "127.0.0.1:8080",
//!     allowed: "an IP address and a port",
//!     meaning: "Where the shop is served.",
//!     secret: false,
//! };
//! const TIMEOUT: &Variable = &Variable {
//!     name: "SHOP_HTTP__TIMEOUT",
//!     default: "2s",
//!     allowed: "a duration from 1s to 1m",
//!     meaning: "Time that a request may take.",
//!     secret: false,
//! };
//! const DATABASE: &Variable = &Variable {
//!     name: "SHOP_DATABASE__URL",
//!     default: "postgres://127.0.0.1/shop",
//!     allowed: "a URL",
//!     meaning: "Where the goods are kept.",
//!     secret: true,
//! };
//! const SHOP: &Program = &Program {
//!     name: "shop",
//!     prefix: "SHOP_",
//!     variables: &[LISTEN, TIMEOUT, DATABASE],
//!     other_programs: &["SHOP_TILL__"],
//!     standards: &[],
//! };
//!
//! struct Config {
//!     listen: SocketAddr,
//!     timeout: Duration,
//!     database: Secret,
//!     in_force: InForce,
//! }
//!
//! impl Config {
//!     fn from_vars(vars: impl IntoIterator<Item = (OsString, OsString)>) -> Result<Self, InvalidSettings> {
//!         let mut reader = Reader::new(SHOP, vars);
//!         Ok(Self {
//!             listen: reader.read(LISTEN, parse::from_str),
//!             timeout: reader.read(TIMEOUT, parse::duration(Duration::from_secs(1)..=Duration::from_secs(60))),
//!             database: reader.read(DATABASE, |url| Ok(Secret::new(url))),
//!             in_force: reader.finish()?,
//!         })
//!     }
//! }
//!
//! // A program passes std::env::vars_os().
//! let vars = |vars: &[(&str, &str)]| -> Vec<_> { vars.iter().map(|(name, value)| (name.into(), value.into())).collect() };
//!
//! let config = Config::from_vars(vars(&[("SHOP_DATABASE__URL", "postgres://me:hunter2@db/shop")]))?;
//! assert_eq!((config.listen.port(), config.timeout.as_secs()), (8080, 2));
//! assert_eq!(config.database.expose(), "postgres://me:hunter2@db/shop");
//! assert_eq!(
//!     config.in_force.print(),
//!     "SHOP_HTTP__LISTEN=127.0.0.1:8080              # default\n\
//!      SHOP_HTTP__TIMEOUT=2s                         # default\n\
//!      SHOP_DATABASE__URL=postgres://me:***@db/shop  # environment\n"
//! );
//!
//! let mistakes = Config::from_vars(vars(&[("SHOP_HTTP__LISTN", "[::]:80"), ("SHOP_HTTP__TIMEOUT", "1h")])).err().unwrap();
//! assert_eq!(
//!     mistakes.to_string(),
//!     "SHOP_HTTP__LISTN: no such setting; did you mean SHOP_HTTP__LISTEN?\n\
//!      SHOP_HTTP__TIMEOUT: \"1h\" is not a duration from 1s to 1m"
//! );
//! # Ok::<(), InvalidSettings>(())
//! ```

mod describe;
mod error;
mod in_force;
mod mask;
mod names;
pub mod parse;
mod program;
mod reader;
mod secret;
#[cfg(test)]
mod testing;

pub use error::{InvalidSetting, InvalidSettings};
pub use in_force::{Entry, InForce, Origin};
pub use program::{Program, Standard, Variable};
pub use reader::Reader;
pub use secret::Secret;
