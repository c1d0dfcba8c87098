//! Listeners for people and programs: addresses, TLS, callers and their roles, limits.
