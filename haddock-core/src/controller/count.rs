//! Asks applications for their own number of sessions, while their instances drain.
//!
//! Nothing of it is kept: after a crash of the controller they are asked again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use super::probe::probe_of;
use crate::environment::CountSettings;
use crate::name::InstanceId;
use crate::release::{Counted, PhaseName, ServiceState};
use crate::runtime::probe::{PROBE_LIMIT, Probe, Probing};
use crate::time::{Clock, Timestamp, sleep};

/// What an instance is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    probe: Probe,
    pointer: Option<String>,
    every: Duration,
}

/// What each draining instance is asked, if its settings say so. `host` is the host name that clients use for the service.
pub(crate) fn questions(state: &ServiceState, host: Option<&str>) -> BTreeMap<InstanceId, Question> {
    let question = |(id, instance): (&InstanceId, &crate::release::Instance)| {
        let settings = &state.versions.get(&instance.version)?.new.settings;
        let CountSettings { http, pointer, every } = settings.release.count.clone()?;
        let probe = Probe { http: Some(http), ..probe_of(&settings.ready, instance.address()?, host) };
        Some((id.clone(), Question { probe, pointer, every }))
    };
    let draining = state.instances.iter().filter(|(_, instance)| instance.is(PhaseName::Draining));
    draining.filter_map(question).collect()
}

impl Question {
    /// Asks once.
    pub(crate) async fn ask(&self, ports: &Asking, id: &InstanceId) -> Counted {
        let began = ports.clock.now();
        let body = ports.probing.body(&self.probe, PROBE_LIMIT).await.map_err(|failure| failure.to_string());
        let counted = Counted { began, sessions: body.and_then(|body| sessions_in(&body, self.pointer.as_deref())) };
        ports.recent.note(id, self, &counted);
        counted
    }

    /// What the instance said a moment ago, or else what it says now. However many people look, it is asked by each
    /// process no more often than its settings say.
    pub(crate) async fn ask_or_recall(&self, ports: &Asking, id: &InstanceId) -> Counted {
        match ports.recent.of(id, self, ports.clock.now()) {
            Some(counted) => counted,
            None => self.ask(ports, id).await,
        }
    }
}

/// What is needed to ask.
#[derive(Clone)]
pub(crate) struct Asking {
    probing: Arc<dyn Probing>,
    clock: Arc<dyn Clock>,
    recent: Arc<Recent>,
}

impl Asking {
    pub(crate) fn new(probing: &Arc<dyn Probing>, clock: &Arc<dyn Clock>, recent: &Arc<Recent>) -> Self {
        Self { probing: Arc::clone(probing), clock: Arc::clone(clock), recent: Arc::clone(recent) }
    }
}

/// What was said in this process within the last `every`.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<BTreeMap<InstanceId, (Question, Counted)>>);

impl Recent {
    fn note(&self, id: &InstanceId, question: &Question, counted: &Counted) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        recent.retain(|_, (asked, said)| counted.began - said.began < asked.every);
        recent.insert(id.clone(), (question.clone(), counted.clone()));
    }

    fn of(&self, id: &InstanceId, question: &Question, now: Timestamp) -> Option<Counted> {
        let recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (asked, said) = recent.get(id)?;
        (asked == question && now - said.began < question.every).then(|| said.clone())
    }
}

/// Those who ask draining instances again and again.
#[derive(Debug, Default)]
pub(crate) struct Counters(BTreeMap<InstanceId, Counter>);

#[derive(Debug)]
struct Counter {
    question: Question,
    latest: watch::Receiver<Option<Counted>>,
    task: tokio::task::AbortHandle,
}

impl Drop for Counter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Counters {
    /// Asks these instances, and no other.
    pub(crate) fn follow(&mut self, questions: BTreeMap<InstanceId, Question>, ports: &Asking) {
        self.0.retain(|id, counter| questions.get(id) == Some(&counter.question));
        for (id, question) in questions {
            self.0.entry(id.clone()).or_insert_with(|| Counter::start(id, question, ports.clone()));
        }
    }

    /// What each of them said last.
    pub(crate) fn latest(&self) -> BTreeMap<InstanceId, Counted> {
        self.0.iter().filter_map(|(id, counter)| Some((id.clone(), counter.latest.borrow().clone()?))).collect()
    }
}

impl Counter {
    fn start(id: InstanceId, question: Question, ports: Asking) -> Self {
        let (sender, latest) = watch::channel(None);
        let asked = question.clone();
        let asking = async move {
            while sender.send(Some(asked.ask(&ports, &id).await)).is_ok() {
                sleep(asked.every).await;
            }
        };
        Self { question, latest, task: tokio::spawn(asking).abort_handle() }
    }
}

/// The number in an answer, or why there is none. The answer itself is told to nobody: who knows what is in it.
fn sessions_in(body: &[u8], pointer: Option<&str>) -> Result<u64, String> {
    let json: Value = serde_json::from_slice(body).map_err(|_| match pointer {
        Some(_) => "the answer is no JSON".to_owned(),
        None => "the answer is no number".to_owned(),
    })?;
    let found = match pointer {
        Some(pointer) => json.pointer(pointer).ok_or_else(|| format!("the answer has nothing at `{pointer}`"))?,
        None => &json,
    };
    let number = found.as_number().ok_or_else(|| match pointer {
        Some(pointer) => format!("what the answer has at `{pointer}` is no number"),
        None => "the answer is no number".to_owned(),
    })?;
    // Metrics are often written as `2.0`.
    let whole = number.as_f64().filter(|it| *it >= 0.0 && it.fract() == 0.0 && *it <= MAX_EXACT);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it was just seen to be whole and small"
    )]
    number.as_u64().or(whole.map(|it| it as u64)).ok_or_else(|| format!("`{number}` is no number of sessions"))
}

/// 2⁵³: up to this, a floating-point number is exact.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_or_it_is_said_why_not() {
        let spring = r#"{"name":"tomcat.sessions.active.current","measurements":[{"statistic":"VALUE","value":2.0}]}"#;
        for (body, pointer, expected) in [
            ("2", None, Ok(2)),
            (" 0\n", None, Ok(0)),
            ("0.0", None, Ok(0)),
            ("18446744073709551615", None, Ok(u64::MAX)),
            (spring, Some("/measurements/0/value"), Ok(2)),
            (r#"{"a/b":{"~":3}}"#, Some("/a~1b/~0"), Ok(3)),
            ("", None, Err("the answer is no number")),
            ("none", None, Err("the answer is no number")),
            ("2 sessions", None, Err("the answer is no number")),
            ("<html>0</html>", Some("/active"), Err("the answer is no JSON")),
            ("\"0\"", None, Err("the answer is no number")),
            ("[]", None, Err("the answer is no number")),
            ("-1", None, Err("`-1` is no number of sessions")),
            ("-0.0", None, Ok(0)),
            ("0.5", None, Err("`0.5` is no number of sessions")),
            ("1e300", None, Err("`1e+300` is no number of sessions")),
            ("{}", Some("/active"), Err("the answer has nothing at `/active`")),
            (r#"{"active":null}"#, Some("/active"), Err("what the answer has at `/active` is no number")),
            ("0", Some("/active"), Err("the answer has nothing at `/active`")),
        ] {
            let found = sessions_in(body.as_bytes(), pointer);
            assert_eq!(found, expected.map_err(str::to_owned), "{body:?} at {pointer:?}");
        }
        assert!(sessions_in(b"\xff\xfe", None).is_err());
    }
}
