//! Scripts in Python that use the schema's types.

use std::path::Path;

use telemetry_testing::{Finished, Process, python};
use tempfile::TempDir;

/// The schema's types in Python, generated for one test.
pub struct PythonTypes(TempDir);

impl PythonTypes {
    pub async fn generate() -> Self {
        let types = Self(tempfile::tempdir().unwrap());
        let directory = types.0.path().to_str().unwrap();
        let generated = types.run("../../examples/python/generate.py", &[directory]).await;
        assert_eq!(generated.code, Some(0), "{}", generated.stderr);
        types
    }

    /// Runs a script, which is named relative to this crate.
    pub async fn run(&self, script: &str, arguments: &[&str]) -> Finished {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
        let mut command = python();
        command.arg(script).args(arguments).env("PYTHONPATH", self.0.path());
        Process::run(&mut command, "").await.unwrap()
    }
}
