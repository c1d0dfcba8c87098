//! Reproducible randomness.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::SeedableRng;
use rand::rngs::SmallRng;

const VARIABLE: &str = "TELEMETRY_FAULT_SEED";

/// Creates a random number generator and prints its seed. Set the variable to that seed to reproduce a run.
pub fn generator(case: &str) -> SmallRng {
    let seed = env::var(VARIABLE).ok().map_or_else(
        || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
        |seed| seed.parse().unwrap_or_else(|_| panic!("{VARIABLE} must be a number, not {seed:?}")),
    );
    println!("{case}: {VARIABLE}={seed}");
    SmallRng::seed_from_u64(seed)
}
