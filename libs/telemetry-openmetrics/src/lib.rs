//! Samples of hosts as metrics in the text formats of Prometheus.
