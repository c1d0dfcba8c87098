//! Reads and steers telemetry collectors from the command line.

fn main() {}
