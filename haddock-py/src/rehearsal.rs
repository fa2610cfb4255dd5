//! Releases in virtual time.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use haddock_core::environment::compose::Purpose;
use haddock_core::rehearsal::{Errors, Faults, Minute, PlannedRelease, RecordedSessions, Rehearsal, Stay, Traffic};
use haddock_core::routing::{Rate, SessionPolicy};
use haddock_core::{Error, ErrorKind, Result, ServiceName, Timestamp, value};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::compose::{self, Options};
use crate::convert::{from_python, to_python};
use crate::driver::Driver;

/// How long people stay if nobody says.
const USUAL_STAY: Duration = Duration::from_secs(600);

/// What is rehearsed, besides the file. Durations are in seconds.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    seeds: u64,
    seed: u64,
    sessions_per_minute: Option<f64>,
    /// `None`: as recorded, else ten minutes.
    stay: Option<f64>,
    stay_spread: Option<f64>,
    sessions: Option<PathBuf>,
    /// Sessions by minute, as they were recorded.
    #[serde(default)]
    minutes: Vec<Minute>,
    /// When it begins, in milliseconds since the Unix epoch.
    #[serde(default)]
    begin: Option<u64>,
    error_rate: Option<Part>,
    base_error_rate: Option<Part>,
    error_after: f64,
    error_path: Option<Part>,
    error_above: u64,
    slow_rate: Option<Part>,
    crash_after: Option<f64>,
    start: f64,
    again_after: Vec<f64>,
    at_most: f64,
    #[serde(default)]
    html: bool,
}

/// A part of all sessions: `"2%"`, or a number from 0 to 1.
#[derive(Deserialize)]
#[serde(untagged)]
enum Part {
    Number(f64),
    Text(String),
}

impl Part {
    fn rate(&self) -> Result<Rate> {
        match self {
            Self::Number(number) => Rate::new(*number),
            Self::Text(text) => value::rate(text),
        }
    }
}

fn rate(part: Option<&Part>) -> Result<Option<Rate>> {
    part.map(Part::rate).transpose()
}

fn length(seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| Error::new(ErrorKind::InvalidValue, format!("`{seconds}` s is no duration")))
}

impl Wanted {
    /// A session is `idle` until it expires.
    fn traffic(&self, idle: Duration) -> Result<Traffic> {
        let recorded = self.sessions.as_ref().map(|path| {
            let shown = path.display();
            let file = File::open(path)
                .map_err(|error| Error::new(ErrorKind::NotFound, format!("`{shown}` cannot be read: {error}")))?;
            RecordedSessions::read(file)
        });
        let per_minute = self.sessions_per_minute.unwrap_or(10.0);
        match recorded.transpose()? {
            Some(recorded) if self.sessions_per_minute.is_none() && !recorded.minutes.is_empty() => {
                Traffic::recorded(&recorded.minutes, recorded.stay)
            }
            Some(recorded) => Traffic::steady(per_minute, recorded.stay),
            None if !self.minutes.is_empty() => {
                let known = Stay::estimated(&self.minutes, idle).unwrap_or_else(|| Stay::exponential(USUAL_STAY));
                let stay = self.stay.map(|stay| length(stay).map(Stay::exponential)).transpose()?.unwrap_or(known);
                Traffic::recorded(&self.minutes, stay)
            }
            None => {
                let stay = self.stay.map_or(Ok(USUAL_STAY), length)?;
                let stay = self.stay_spread.map_or(Ok(Stay::exponential(stay)), |it| Stay::log_normal(stay, it))?;
                Traffic::steady(per_minute, stay)
            }
        }
    }

    fn plan(&self, mut plan: Rehearsal) -> Result<Rehearsal> {
        plan.base.errors = rate(self.base_error_rate.as_ref())?;
        let errors = rate(self.error_rate.as_ref())?.map(|rate| -> Result<Errors> {
            let always = Errors::always(rate);
            let on_path = self.error_path.as_ref().map_or(Ok(always.on_path), Part::rate)?;
            Ok(Errors { after: length(self.error_after)?, on_path, above_load: self.error_above, ..always })
        });
        let faults = Faults {
            errors: errors.transpose()?,
            crash_after: self.crash_after.map(length).transpose()?,
            slow: rate(self.slow_rate.as_ref())?,
            ..Faults::default()
        };
        let at = |after| Ok(PlannedRelease { after: length(after)?, faults });
        plan.releases = std::iter::once(0.0).chain(self.again_after.iter().copied()).map(at).collect::<Result<_>>()?;
        // How the base starts does not matter, so only the candidate may be too slow.
        let usual = plan.version.settings.ready.within.min(plan.times.start);
        plan.times.start = length(self.start)?.min(usual);
        let slow_start = length(self.start)?.saturating_sub(plan.times.start);
        plan.releases.iter_mut().for_each(|release| release.faults.slow_start = slow_start);
        plan.at_most = length(self.at_most)?;
        plan.begin = self.begin.map_or(plan.begin, Timestamp::from_millis);
        Ok(plan)
    }
}

/// Sets a flag when it is dropped: whoever waited does not wait any more.
struct Stop(Arc<AtomicBool>);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Rehearses releases of what the file describes; of a service with default settings if no file is named or found.
#[pyfunction]
pub(crate) fn rehearse(files: Option<Vec<PathBuf>>, mut options: Options, wanted: &Bound<'_, PyAny>) -> PyResult<Call> {
    let wanted: Wanted = serde_json::from_value(from_python(wanted)?)
        .map_err(|error| PyTypeError::new_err(format!("the rehearsal: {error}")))?;
    // Which image it is does not matter.
    options.tag.get_or_insert_with(|| "rehearsed".to_owned());
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let html = wanted.html;
    let run = move || {
        let found = match compose::resolve(files.as_deref(), &options, Purpose::Release) {
            Ok(found) => Some(found),
            Err(error) if files.is_none() && error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let idle = match &found {
            Some(found) => found.resolved.spec.in_production()?.service()?.session.idle,
            None => SessionPolicy::default().idle,
        };
        let traffic = wanted.traffic(idle)?;
        let plan = wanted.plan(match &found {
            Some(found) => Rehearsal::of_file(&found.resolved.spec, traffic)?,
            None => Rehearsal::by_default(ServiceName::new("service")?, traffic),
        })?;
        let summary = plan.summary_unless(wanted.seed, wanted.seeds, &stopped)?;
        let first = plan.run(wanted.seed)?;
        let html = html.then(|| first.page(plan.version.settings.service.as_str(), &summary).html());
        let timeline: Vec<_> = first.timeline.iter().map(|line| json!([line.at, line.message])).collect();
        Ok(json!({
            "service": plan.version.settings.service,
            "file": found.map(|found| found.file),
            "summary": summary,
            "timeline": timeline,
            "sessions": first.sessions.begun,
            "html": html,
        }))
    };
    let work = async move {
        let _stop = Stop(stop);
        tokio::task::spawn_blocking(run).await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    };
    Ok(Driver::Real.call(work, |py, told| to_python(py, &told)))
}
