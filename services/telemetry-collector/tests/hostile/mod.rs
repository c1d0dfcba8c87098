//! Cases with hostile clients, and the check that each of them ends with.

pub mod ask;
pub mod cases;
pub mod crowd;
pub mod door;
pub mod meanwhile;
pub mod siege;
pub mod table;
pub mod target;
pub mod verdict;
pub mod wire;
