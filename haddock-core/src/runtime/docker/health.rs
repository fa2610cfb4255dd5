//! Health checks that an image brings.
//!
//! Haddock itself runs the check that a file gives, as soon as the component's ports answer. Only the engine runs the
//! check of an image, for the first time after its interval, which is 30 s by default. Engines since Docker 25 (API
//! 1.44) can check more often while a container starts. They are told to, unless the file or the image says how often.
//! The meaning of file and image does not change: the start period ends where the first check would have been. So the
//! first failure that counts is the same, and their interval applies after it.

use std::time::Duration;

use bollard::models::HealthConfig;

use super::DockerRuntime;
use super::body::health_config;
use crate::container::ContainerSpec;
use crate::error::Result;

/// The oldest API that knows an interval while a container starts: Docker 25.
const START_INTERVAL_API: (u32, u32) = (1, 44);
/// The time between two checks that an engine takes if nobody says otherwise.
const ENGINE_INTERVAL: Duration = Duration::from_secs(30);
/// The time between two checks while a container starts. It is short for whoever waits, and long enough that a host which
/// starts many containers is not busy with checks alone.
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(2);

impl DockerRuntime {
    /// The check of the container's image, with more checks while it starts. `None` if the file has a check of its own,
    /// or there is nothing to add.
    pub(super) async fn start_checks(&self, spec: &ContainerSpec) -> Result<Option<HealthConfig>> {
        let own = spec.health_check.as_ref().is_some_and(|check| !check.test.is_empty());
        if own || self.engine.api < START_INTERVAL_API {
            return Ok(None);
        }
        let image = self.inspect_image(&spec.image).await?;
        let of_image = image.and_then(|image| image.config).and_then(|config| config.healthcheck);
        let of_file = spec.health_check.as_ref().map(health_config).unwrap_or_default();
        Ok(of_image.and_then(|of_image| with_start_checks(of_file, &of_image)))
    }
}

/// Zero means: as the image says.
fn with_start_checks(of_file: HealthConfig, of_image: &HealthConfig) -> Option<HealthConfig> {
    let runs = of_image.test.as_ref().and_then(|test| test.first()).is_some_and(|kind| kind != "NONE");
    let said = |of: fn(&HealthConfig) -> Option<i64>| {
        of(&of_file).filter(|time| *time > 0).or_else(|| of(of_image)).filter(|time| *time > 0)
    };
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    let (interval, start) = (said(|of| of.interval).unwrap_or(nanos(ENGINE_INTERVAL)), nanos(DEFAULT_START_INTERVAL));
    if !runs || said(|of| of.start_interval).is_some() || interval <= 2 * start {
        return None;
    }
    let start_period = said(|of| of.start_period).unwrap_or(interval - start);
    Some(HealthConfig { start_interval: Some(start), start_period: Some(start_period), ..of_file })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn of_image() -> HealthConfig {
        HealthConfig { test: Some(vec!["CMD".to_owned(), "/check".to_owned()]), ..HealthConfig::default() }
    }

    #[test]
    fn an_image_s_check_is_looked_at_more_often_until_its_first_one_would_have_been() {
        let plain = with_start_checks(HealthConfig::default(), &of_image()).expect("more looks");
        assert_eq!((plain.start_interval, plain.start_period), (Some(2 * SECOND), Some(28 * SECOND)));
        assert_eq!((plain.test, plain.interval, plain.retries), (None, None, None), "the image's own");
        let named = HealthConfig { start_period: Some(60 * SECOND), interval: Some(10 * SECOND), ..of_image() };
        let named = with_start_checks(HealthConfig::default(), &named).expect("more looks");
        assert_eq!(named.start_period, Some(60 * SECOND), "what is said stays");
    }

    #[test]
    fn what_says_how_often_or_looks_often_is_left_alone() {
        let said = HealthConfig { start_interval: Some(SECOND), ..of_image() };
        assert_eq!(with_start_checks(HealthConfig::default(), &said), None);
        assert_eq!(with_start_checks(said, &of_image()), None);
        let often = HealthConfig { interval: Some(3 * SECOND), ..HealthConfig::default() };
        assert_eq!(with_start_checks(often, &of_image()), None);
        let none = HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
        assert_eq!(with_start_checks(HealthConfig::default(), &none), None);
    }
}
