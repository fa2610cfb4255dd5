//! The runtime's contract, with processes in place of containers.

use haddock_tests::process::ProcessHarness;

haddock_core::runtime_suite! { #[tokio::test] Some(ProcessHarness::new(env!("CARGO_BIN_EXE_fixture"))) }
