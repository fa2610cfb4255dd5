//! What the tests on real engines share: the engine, the fixture's images, the harnesses of the runtimes' suite.

use std::path::PathBuf;
use std::time::Duration;

pub mod build;
pub mod certificate;
pub mod client;
pub mod disk;
pub mod docker;
pub mod environment;
pub mod faulty;
pub mod points;
pub mod process;
pub mod proxy;
pub mod registry;
pub mod relay;
pub mod site;
pub mod troubles;

/// The program that the containers of the tests run: `src/bin/fixture.rs`.
pub const FIXTURE_SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bin/fixture.rs");

/// A folder for what tests build once and use often, below `target`.
#[must_use]
pub fn workshop() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")), PathBuf::from);
    let folder = target.join("haddock-tests");
    std::fs::create_dir_all(&folder).expect("the target folder can be written");
    folder
}

/// Held while something of the workshop is made: tests run in processes of their own, and at the same time.
///
/// # Panics
/// If the workshop cannot be written.
#[must_use]
pub fn workshop_lock() -> std::fs::File {
    let path = workshop().join("lock");
    let file = std::fs::File::create(path).expect("the workshop can be written");
    file.lock().expect("the workshop can be locked");
    file
}

/// Whether a test must fail, rather than be skipped, where what it needs is missing.
#[must_use]
pub fn required() -> bool {
    std::env::var_os("HADDOCK_TEST_REQUIRE").is_some_and(|value| !value.is_empty() && value != "0")
}

/// Says loudly that a test is skipped; fails it where it is required.
///
/// # Panics
/// If `HADDOCK_TEST_REQUIRE` is set.
pub fn skip(missing: &str) {
    assert!(!required(), "HADDOCK_TEST_REQUIRE is set, and this test needs {missing}");
    eprintln!("\n!!! SKIPPED: this test needs {missing}; HADDOCK_TEST_REQUIRE=1 makes that a failure !!!\n");
}

/// Between two looks at something that is waited for with a deadline.
#[allow(clippy::disallowed_methods, reason = "the step of a wait that has a deadline")]
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(10)).await;
}
