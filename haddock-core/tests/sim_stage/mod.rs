//! What the suite of the runtimes has to know of the simulated one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use haddock_core::container::{Executed, Usage};
use haddock_core::image::ImageReference;
use haddock_core::runtime::ContainerRuntime;
use haddock_core::runtime::sim::{SimImage, SimRuntime};
use haddock_core::runtime::suite::RuntimeHarness;
use haddock_core::{Clock, Timestamp};

/// A clock that a pause moves.
#[derive(Debug, Default)]
struct ByHand(Mutex<u64>);

impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000 + *self.0.lock().expect("nobody panics while holding it"))
    }
}

/// A simulated runtime, or one around it, and the images that the suite asks for.
pub(crate) struct Stage<R> {
    pub(crate) runtime: R,
    clock: Arc<ByHand>,
}

impl<R> Stage<R> {
    /// `around` makes the runtime that is tried of the simulated one.
    pub(crate) fn new(around: impl FnOnce(SimRuntime) -> R) -> Self {
        let clock = Arc::new(ByHand::default());
        let sim = SimRuntime::new(Arc::clone(&clock) as Arc<dyn Clock>);
        sim.add_image("serving:1", SimImage::good(Duration::ZERO));
        sim.add_image("storing:1", SimImage::good(Duration::ZERO));
        sim.add_image("exiting:1", SimImage::ending(Duration::ZERO, Duration::from_millis(5), 3));
        sim.add_image("stubborn:1", SimImage::good(Duration::ZERO));
        sim.with(|engine, _| {
            engine.set_image_output("exiting:1", (1..=5).map(|line| format!("line {line}")));
            engine.set_image_volumes("storing:1", ["/data"]);
            engine.set_image_stubborn("stubborn:1");
        });
        let copied = |input: &[u8]| Executed { exit_code: 7, stdout: input.to_vec(), stderr: b"done".to_vec() };
        sim.run_commands(move |_, _| copied(b""));
        sim.run_attached(move |_, _, input| copied(input));
        sim.tell_usage(|_| Usage::default());
        Self { runtime: around(sim), clock }
    }
}

pub(crate) fn image(name: &str) -> ImageReference {
    ImageReference::parse(name).expect("valid")
}

#[async_trait]
impl<R: ContainerRuntime> RuntimeHarness for Stage<R> {
    fn runtime(&self) -> &dyn ContainerRuntime {
        &self.runtime
    }

    fn serving(&self) -> ImageReference {
        image("serving:1")
    }

    fn exiting(&self) -> ImageReference {
        image("exiting:1")
    }

    fn stubborn(&self) -> ImageReference {
        image("stubborn:1")
    }

    fn missing(&self) -> ImageReference {
        image("missing:1")
    }

    fn connects(&self) -> bool {
        false
    }

    fn calling(&self, _alias: &str) -> Option<Vec<String>> {
        None
    }

    fn checking(&self, _code: u8) -> Option<Vec<String>> {
        None
    }

    fn copying(&self) -> Option<Vec<String>> {
        Some(vec!["copy".to_owned()])
    }

    fn with_volume(&self) -> Option<(ImageReference, String)> {
        Some((image("storing:1"), "/data".to_owned()))
    }

    async fn pause(&self) {
        *self.clock.0.lock().expect("nobody panics while holding it") += 10;
    }
}
