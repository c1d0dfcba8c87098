//! The collector's process.

fn main() {
    println!("telemetry-collector {}", telemetry_collector::version());
}
