//! Fault cases, and the check that each of them ends with.

pub mod case;
pub mod cases;
pub mod ledger;
pub mod random;
pub mod soak;
pub mod table;
