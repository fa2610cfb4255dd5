//! Waiting for a turn at a busy engine. This is nobody's fault, so it does not count for time limits.
//!
//! A runtime that lets only some calls through at a time reports this with [`turn`]. Whoever limits the time of calls
//! to a runtime does so with `within`. The clock of `within` stands still while one of these calls waits for its turn.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::time::{Stopwatch, sleep};

tokio::task_local! {
    static TURNS: Arc<Turns>;
}

/// Calls that wait for their turns, within one time limit.
#[derive(Debug)]
struct Turns {
    waiting: watch::Sender<usize>,
    /// How long at least one call has waited so far, and since when one waits now.
    waited: Mutex<(Duration, Option<Stopwatch>)>,
    /// The limit around this one.
    outer: Option<Arc<Turns>>,
}

impl Turns {
    fn new() -> Arc<Self> {
        let outer = TURNS.try_with(Arc::clone).ok();
        Arc::new(Self { waiting: watch::Sender::new(0), waited: Mutex::default(), outer })
    }

    fn waited(&self) -> Duration {
        let waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        waited.0 + waited.1.as_ref().map(Stopwatch::elapsed).unwrap_or_default()
    }

    /// Counts one waiting call more or less, in this limit and in all around it.
    fn count(&self, more: bool) {
        let mut waited = self.waited.lock().unwrap_or_else(PoisonError::into_inner);
        self.waiting.send_modify(|waiting| {
            *waiting = if more { *waiting + 1 } else { *waiting - 1 };
            match (*waiting, waited.1.take()) {
                (0, since) => waited.0 += since.as_ref().map(Stopwatch::elapsed).unwrap_or_default(),
                (_, since) => waited.1 = Some(since.unwrap_or_else(Stopwatch::start)),
            }
        });
        drop(waited);
        if let Some(outer) = &self.outer {
            outer.count(more);
        }
    }
}

/// Counts as one waiting call until it is dropped.
struct Waits(Arc<Turns>);

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.count(false);
    }
}

/// Waits for a turn, such as a permit. Meanwhile the clocks of the limits around it stand still.
pub async fn turn<T>(wait: impl Future<Output = T>) -> T {
    let _waits = TURNS.try_with(Arc::clone).ok().map(|turns| {
        turns.count(true);
        Waits(turns)
    });
    wait.await
}

/// The time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// Waits for at most this long. Time in which a call inside waits for its turn does not count.
pub(crate) async fn within<T>(limit: Duration, call: impl Future<Output = T>) -> Result<T, Elapsed> {
    let turns = Turns::new();
    let countdown = async {
        let mut waiting = turns.waiting.subscribe();
        let mut left = limit;
        loop {
            waiting.wait_for(|waiting| *waiting == 0).await.expect("the sender lives as long");
            let counted = Stopwatch::start();
            tokio::select! {
                () = sleep(left) => return,
                waits = waiting.wait_for(|waiting| *waiting > 0) => drop(waits.expect("the sender lives as long")),
            }
            left = left.saturating_sub(counted.elapsed());
        }
    };
    tokio::select! {
        biased;
        done = TURNS.scope(Arc::clone(&turns), call) => Ok(done),
        () = countdown => Err(Elapsed),
    }
}

/// Lets calls inside ask how long they have [`waited`].
pub(crate) async fn counting<T>(call: impl Future<Output = T>) -> T {
    TURNS.scope(Turns::new(), call).await
}

/// How long calls within this limit, or [`counting`], have waited for a turn so far.
pub(crate) fn waited() -> Duration {
    TURNS.try_with(|turns| turns.waited()).unwrap_or_default()
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use futures_util::future::join;

    use super::*;
    use crate::testing::VirtualTime;
    use crate::time::Timestamp;

    const S: Duration = Duration::from_secs(1);

    fn block<T>(call: impl Future<Output = T>) -> T {
        VirtualTime::new(Timestamp::from_millis(0)).expect("a runtime").block_on(call)
    }

    #[test]
    fn the_clock_stands_still_while_one_waits_for_its_turn() {
        let work = |turns: u32, works: u32| async move {
            for _ in 0..2 {
                sleep(works * S / 2).await;
                turn(sleep(turns * S)).await;
            }
        };
        assert_eq!(block(within(5 * S, work(600, 4))), Ok(()));
        assert_eq!(block(within(5 * S, work(600, 6))), Err(Elapsed));
        assert_eq!(block(within(5 * S, work(0, 6))), Err(Elapsed));
        // If several wait at once, this counts once.
        assert_eq!(block(within(5 * S, join(work(0, 8), turn(sleep(4 * S))))), Ok(((), ())));
        assert_eq!(block(within(5 * S, join(work(0, 12), turn(sleep(4 * S))))), Err(Elapsed));
    }

    #[test]
    fn limits_around_a_limit_stand_still_too_and_one_that_gave_up_waits_no_more() {
        let inner = || async {
            let inner = within(5 * S, turn(sleep(60 * S))).await;
            (inner, waited())
        };
        assert_eq!(block(within(5 * S, inner())), Ok((Ok(()), 60 * S)));
        assert_eq!(block(counting(inner())), (Ok(()), 60 * S));
        assert_eq!(block(inner()), (Ok(()), Duration::ZERO), "nobody counts");
        let gives_up = async {
            tokio::select! {
                () = turn(sleep(60 * S)) => unreachable!("the other is sooner"),
                () = sleep(S) => {}
            }
            sleep(6 * S).await;
        };
        assert_eq!(block(within(5 * S, gives_up)), Err(Elapsed));
    }
}
