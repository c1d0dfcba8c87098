//! Samples of hosts as metrics in the text formats of Prometheus.
//!
//! Values are in base units, as Prometheus recommends: ratios from 0 to 1, hertz, seconds, degrees Celsius. Values that
//! a host does not have are absent. Each metrics group has a file of its own in `hosts/`.
//!
//! A program implements [`Source`]: what it writes at each scrape. [`write_hosts`] writes the samples of hosts:
//!
//! ```
//! use std::fmt;
//! use std::time::SystemTime;
//!
//! use telemetry_openmetrics::{Exposition, Families, Family, Format, Host, Sample, Source, write_hosts};
//! use telemetry_proto::v1::TelemetryMetadata;
//!
//! #[derive(Debug)]
//! struct Page(TelemetryMetadata);
//!
//! impl Source for Page {
//!     fn write(&self, families: &mut Families<'_, '_>) -> fmt::Result {
//!         let sample = Sample { collected_at: SystemTime::now(), metadata: &self.0, metrics: None };
//!         write_hosts(families, &Vec::from_iter(Host::of([sample])))?;
//!         families.gauge(Family::new("app_hosts", "Hosts"), [(vec![], 1.0)])
//!     }
//! }
//!
//! let metadata = TelemetryMetadata { hostname: "web-7".to_owned(), ..TelemetryMetadata::default() };
//! let text = Exposition::new(Page(metadata)).write(Format::OpenMetrics).unwrap();
//! assert!(text.contains("telemetry_sample_interval_seconds{host=\"web-7\"} 0.0\n"));
//! assert!(text.ends_with("app_hosts 1.0\n# EOF\n"));
//! ```

mod exposition;
mod families;
mod format;
mod hosts;

pub use exposition::{Exposition, Source};
pub use families::{Families, Family, Labels};
pub use format::Format;
pub use hosts::{Host, Sample, write_hosts};
