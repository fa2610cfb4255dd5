//! What the application answers, and what it has to be.

use serde::Deserialize;

/// The body of an answer, or a message on the WebSocket.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Answer {
    pub(super) session: String,
    pub(super) count: u64,
    pub(super) version: String,
    pub(super) instance: String,
    #[serde(default)]
    pub(super) echo: Option<String>,
}

/// What an answer tells of its session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Verdict {
    /// The session is another, or its counter fell back.
    pub(super) lost: Option<String>,
    /// Another version or instance answered.
    pub(super) moved: Option<String>,
    /// The counter grew by more than there were requests: one was carried out twice.
    pub(super) doubled: Option<String>,
}

/// What the session is to be, as far as it is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Expectation {
    last: Option<Answer>,
    /// Failed requests since the last answer: each may have been counted, or not.
    unsure: u64,
}

impl Expectation {
    /// Judges the answer to a request; from now on this answer is what the next is measured by.
    pub(super) fn request(&mut self, answer: &Answer) -> Verdict {
        self.judge(answer, 1)
    }

    /// Judges a message on the WebSocket, which the application does not count.
    pub(super) fn echo(&mut self, answer: &Answer) -> Verdict {
        self.judge(answer, 0)
    }

    /// A request failed: whether the application counted it is not known.
    pub(super) fn failed(&mut self) {
        self.unsure += 1;
    }

    /// The version the session is on.
    pub(super) fn version(&self) -> Option<&str> {
        self.last.as_ref().map(|last| last.version.as_str())
    }

    fn judge(&mut self, answer: &Answer, steps: u64) -> Verdict {
        let mut verdict = Verdict::default();
        match &self.last {
            None if answer.count > steps + self.unsure => {
                verdict.doubled = Some(format!("a new session began at {}", answer.count));
            }
            None => {}
            Some(last) => {
                if (&last.version, &last.instance) != (&answer.version, &answer.instance) {
                    verdict.moved = Some(format!(
                        "from {} ({}) to {} ({})",
                        last.version, last.instance, answer.version, answer.instance
                    ));
                }
                if last.session != answer.session {
                    verdict.lost = Some(format!("at {} it became another, at {}", last.count, answer.count));
                } else if answer.count < last.count + steps {
                    verdict.lost = Some(format!("its counter went from {} to {}", last.count, answer.count));
                } else if answer.count > last.count + steps + self.unsure {
                    verdict.doubled = Some(format!("its counter went from {} to {}", last.count, answer.count));
                }
            }
        }
        self.last = Some(answer.clone());
        self.unsure = 0;
        verdict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(session: &str, count: u64, instance: &str) -> Answer {
        Answer { session: session.into(), count, version: "v1".into(), instance: instance.into(), echo: None }
    }

    fn found(verdict: &Verdict) -> [bool; 3] {
        [verdict.lost.is_some(), verdict.moved.is_some(), verdict.doubled.is_some()]
    }

    #[test]
    fn a_session_that_counts_is_fine() {
        let mut expectation = Expectation::default();
        for count in 1..5 {
            assert_eq!(expectation.request(&answer("s", count, "a")), Verdict::default());
            assert_eq!(expectation.echo(&answer("s", count, "a")), Verdict::default());
        }
    }

    #[test]
    fn each_breach_is_found() {
        let cases = [
            (answer("t", 1, "a"), [true, false, false]),
            (answer("s", 5, "a"), [true, false, false]),
            (answer("s", 1, "a"), [true, false, false]),
            (answer("s", 6, "b"), [false, true, false]),
            (answer("t", 1, "b"), [true, true, false]),
            (answer("s", 7, "a"), [false, false, true]),
        ];
        for (next, expected) in cases {
            let mut expectation = Expectation::default();
            expectation.request(&answer("s", 1, "a"));
            expectation.last.as_mut().unwrap().count = 5;
            assert_eq!(found(&expectation.request(&next)), expected, "{next:?}");
        }
        assert_eq!(found(&Expectation::default().request(&answer("s", 2, "a"))), [false, false, true]);
    }

    #[test]
    fn a_failed_request_may_have_been_counted_or_not() {
        for (count, expected) in
            [(2, [false; 3]), (3, [false; 3]), (4, [false, false, true]), (1, [true, false, false])]
        {
            let mut expectation = Expectation::default();
            expectation.request(&answer("s", 1, "a"));
            expectation.failed();
            assert_eq!(found(&expectation.request(&answer("s", count, "a"))), expected, "{count}");
        }
    }

    #[test]
    fn a_loss_is_told_once() {
        let mut expectation = Expectation::default();
        expectation.request(&answer("s", 1, "a"));
        assert_eq!(found(&expectation.request(&answer("t", 1, "b"))), [true, true, false]);
        assert_eq!(expectation.request(&answer("t", 2, "b")), Verdict::default());
    }
}
