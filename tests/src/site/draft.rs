//! The compose file of the tests' service.

use std::fmt::Write as _;
use std::time::Duration;

use haddock_core::environment::EnvironmentSpec;
use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};

/// What a test wants of the service; the rest is short times.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The repository of its images.
    pub repository: String,
    /// Variables for the application, beyond the usual ones.
    pub variables: Vec<(&'static str, String)>,
    /// After how long a session expires.
    pub idle: Duration,
    /// How long the candidate answers 503 after its start.
    pub start_delay: Duration,
    /// How long the candidate may take until it is ready.
    pub within: Duration,
    /// The first stage of the ramp, in percent; the second is full.
    pub first_stage: u32,
    /// How long each stage is held.
    pub every: Duration,
    /// How long the full share is held.
    pub settle: Duration,
    /// When a drain's sessions are evicted.
    pub evict_after: Option<Duration>,
    /// Instances of each version.
    pub replicas: u32,
}

impl Draft {
    pub(super) fn new(repository: &str) -> Self {
        Self {
            repository: repository.to_owned(),
            variables: Vec::new(),
            idle: Duration::from_secs(1),
            start_delay: Duration::from_millis(100),
            within: Duration::from_secs(20),
            first_stage: 50,
            every: Duration::from_millis(200),
            settle: Duration::from_millis(200),
            evict_after: None,
            replicas: 1,
        }
    }

    /// With a variable for the application.
    #[must_use]
    pub fn variable(mut self, name: &'static str, value: &str) -> Self {
        self.variables.push((name, value.to_owned()));
        self
    }

    /// The environment of the version with this tag.
    ///
    /// # Panics
    /// If the compose file is wrong.
    #[must_use]
    pub fn resolve(&self, tag: &str) -> EnvironmentSpec {
        let file = ComposeFile::parse("demo.yaml", &self.text()).expect("a compose file");
        let options =
            ResolveOptions { tag: Some(tag.to_owned()), purpose: Purpose::Release, ..ResolveOptions::default() };
        file.resolve(&options).expect("a compose file without mistakes").spec
    }

    fn text(&self) -> String {
        let ms = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut text = format!("name: demo\nservices:\n  web:\n    image: \"{}:${{TAG}}\"\n", self.repository);
        text.push_str("    environment:\n      VERSION: \"${TAG}\"\n");
        let idle = self.idle.as_secs_f64().to_string();
        let delay = self.start_delay.as_millis().to_string();
        let usual = [("SESSION_IDLE_SECONDS", &idle), ("START_DELAY_MS", &delay)];
        for (name, value) in usual.into_iter().chain(self.variables.iter().map(|(name, value)| (*name, value))) {
            let _ = writeln!(text, "      {name}: \"{value}\"");
        }
        text.push_str("    expose: [\"8080\"]\n    stop_grace_period: 2s\n");
        let _ = writeln!(text, "x-haddock:\n  entry: web:8080");
        let _ = writeln!(text, "  ready: {{ http: /health, within: {} }}", ms(self.within));
        let _ = writeln!(text, "  session: {{ idle: {}, ignore: [/health] }}", ms(self.idle));
        let _ = writeln!(text, "  release:\n    replicas: {}\n    ramp: [{}%, 100%]", self.replicas, self.first_stage);
        let _ = writeln!(text, "    every: {}\n    settle: {}", ms(self.every), ms(self.settle));
        if let Some(after) = self.evict_after {
            let _ = writeln!(text, "    drain: {{ evict_after: {} }}", ms(after));
        }
        text
    }
}
