//! Listeners for people and programs: addresses, TLS, callers and their roles, limits.

mod caller;

pub use caller::{Caller, Login, Role};
