//! The suite's view of the process runtime.

use async_trait::async_trait;
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::process::ProcessRuntime;
use haddock_core::runtime::suite::RuntimeHarness;
use tempfile::TempDir;

use crate::pause;

/// A runtime on a folder of its own.
pub struct ProcessHarness {
    /// The runtime.
    pub runtime: ProcessRuntime,
    fixture: String,
    folder: TempDir,
}

impl ProcessHarness {
    /// With the fixture's program, `env!("CARGO_BIN_EXE_fixture")` in a test.
    ///
    /// # Panics
    /// If there is no room for temporary files.
    #[must_use]
    pub fn new(fixture: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let runtime = ProcessRuntime::builder(folder.path())
            .image("fixture:serve", [fixture, "serve"])
            .image("fixture:exit", [fixture, "exit", "3"])
            .image("fixture:stubborn", [fixture, "stubborn"])
            .build()
            .expect("a runtime");
        Self { runtime, fixture: fixture.to_owned(), folder }
    }

    /// The runtime's folder.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}

fn reference(text: &str) -> ImageReference {
    ImageReference::parse(text).expect("a reference")
}

#[async_trait]
impl RuntimeHarness for ProcessHarness {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn serving(&self) -> ImageReference {
        reference("fixture:serve")
    }

    fn exiting(&self) -> ImageReference {
        reference("fixture:exit")
    }

    fn stubborn(&self) -> ImageReference {
        reference("fixture:stubborn")
    }

    fn missing(&self) -> ImageReference {
        reference("fixture:missing")
    }

    fn connects(&self) -> bool {
        true
    }

    fn calling(&self, alias: &str) -> Option<Vec<String>> {
        Some(["call", alias, "8080"].map(str::to_owned).to_vec())
    }

    fn checking(&self, code: u8) -> Option<Vec<String>> {
        Some(["CMD", &self.fixture, "check", &code.to_string()].map(str::to_owned).to_vec())
    }

    async fn pause(&self) {
        pause().await;
    }
}
