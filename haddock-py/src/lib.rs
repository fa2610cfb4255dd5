//! The native half of the Python package `haddock`.
//!
//! It has no logic of its own. Each file wraps one noun of haddock-core. Results cross as plain data, and the Python
//! half makes typed objects of them.
//!
//! | file | noun |
//! |---|---|
//! | `call` | a running call; Python waits for it, blocking and interruptible, or gets a callback |
//! | `driver` | runs calls: one tokio runtime for the process, or one with virtual time |
//! | `home` | objects that must not be used or dropped in a child after a fork |
//! | `convert`, `error` | plain data and errors, in both directions |
//! | `compose` | the compose file |
//! | `controller`, `release` | the verbs |
//! | `rehearsal` | releases in virtual time |
//! | `environment` | environments by name |
//! | `images` | the images of a tree |
//! | `image` | what git has checked out, and the tags of its images |
//! | `logs` | the logs of several components as one |
//! | `progress` | progress events of long calls |
//! | `attach` | commands within containers, and their streams |
//! | `house` | the data that a controller and its releases share |
//! | `runtime`, `locator`, `sim` | the ports of haddock-core |
//! | `python` | the ports and gates, written in Python |
//! | `suite` | the conformance suites |

mod attach;
mod call;
mod compose;
mod controller;
mod convert;
mod driver;
mod environment;
mod error;
mod follow;
mod home;
mod house;
mod image;
mod images;
mod locator;
mod logs;
mod progress;
mod python;
mod rehearsal;
mod release;
mod runtime;
mod sim;
mod suite;

/// The native half of the package; private.
#[pyo3::pymodule(name = "_native", gil_used = false)]
mod native {
    #[pymodule_export]
    use crate::attach::Attached;
    #[pymodule_export]
    use crate::call::Call;
    #[pymodule_export]
    use crate::controller::{Controller, controller};
    #[pymodule_export]
    use crate::convert::duration;
    #[pymodule_export]
    use crate::driver::{VirtualTime, shut_down};
    #[pymodule_export]
    use crate::environment::{Claim, Environments, LogLines};
    #[pymodule_export]
    use crate::error::error_kinds;
    #[pymodule_export]
    use crate::image::{branch, files_at, revision, tag};
    #[pymodule_export]
    use crate::images::{Images, component_images, images, prune_images};
    #[pymodule_export]
    use crate::locator::{Locator, gateway, haproxy, remote_gateway};
    #[pymodule_export]
    use crate::logs::Logs;
    #[pymodule_export]
    use crate::progress::Progress;
    #[pymodule_export]
    use crate::python::{python_locator, python_runtime};
    #[pymodule_export]
    use crate::rehearsal::rehearse;
    #[pymodule_export]
    use crate::release::{Following, Release};
    #[pymodule_export]
    use crate::runtime::{Runtime, docker, docker_report, process};
    #[pymodule_export]
    use crate::sim::{SimLocator, SimRequest, SimRuntime};
    #[pymodule_export]
    use crate::suite::{locator_case, locator_cases, runtime_case, runtime_cases};
}
