//! Cases of faults between the host and Redis, and the check that each of them ends in.

pub mod case;
pub mod cases;
pub mod ledger;
pub mod random;
pub mod soak;
pub mod table;
