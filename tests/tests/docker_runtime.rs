//! The runtime's contract, on a real Docker Engine.

use haddock_tests::docker::DockerHarness;

haddock_core::runtime_suite! { #[tokio::test] DockerHarness::new().await }
