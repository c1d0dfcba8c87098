//! The whole service against real servers.
