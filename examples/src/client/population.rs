//! How many sessions there are, who leaves and who comes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::books::{Books, Report, Summary};
use super::options::Options;
use super::protocol::Command;
use super::session;
use super::{now, pause};

/// How often there is a report.
const REPORT_EVERY: Duration = Duration::from_millis(200);
/// How often it is looked whether sessions are to be opened.
const OPEN_EVERY: Duration = Duration::from_millis(20);

/// What a session does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Habit {
    /// Ordinary requests.
    Plain,
    /// One slow request after another.
    Slow,
    /// Ordinary requests, and a WebSocket.
    WebSocket,
}

impl Habit {
    const ALL: [Self; 3] = [Self::Plain, Self::Slow, Self::WebSocket];
}

/// How many there are of one habit, and how many there are to be.
#[derive(Debug, Clone, Copy, Default)]
struct Group {
    target: usize,
    /// Sent their first request, had no answer yet.
    opening: usize,
    /// In full swing: had an answer, and hold their WebSocket.
    settled: usize,
    /// Those of the settled that want to leave and wait for a successor.
    leaving: usize,
}

/// An order to the sessions on one version to leave.
#[derive(Debug, Clone)]
struct Order {
    version: String,
    at: Instant,
    over: Duration,
}

/// What the sessions of one run share.
#[derive(Debug)]
pub(super) struct Population {
    pub(super) options: Options,
    pub(super) books: Arc<Books>,
    groups: Mutex<[Group; 3]>,
    orders: Mutex<Vec<Order>>,
    stop: watch::Sender<bool>,
}

impl Population {
    fn new(options: Options) -> Arc<Self> {
        let population = Self {
            books: Books::new(),
            groups: Mutex::default(),
            orders: Mutex::default(),
            stop: watch::Sender::new(false),
            options,
        };
        population.set_target(population.options.sessions);
        Arc::new(population)
    }

    fn set_target(&self, sessions: usize) {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let part = |part: f64| (sessions as f64 * part.clamp(0.0, 1.0)).round() as usize;
        let sockets = part(self.options.websockets).min(sessions);
        let slow = part(self.options.slow).min(sessions - sockets);
        let mut groups = self.groups();
        for (habit, target) in Habit::ALL.into_iter().zip([sessions - sockets - slow, slow, sockets]) {
            groups[habit as usize].target = target;
        }
    }

    /// A session that was opening has settled.
    pub(super) fn settled(&self, habit: Habit) {
        let group = &mut self.groups()[habit as usize];
        group.opening -= 1;
        group.settled += 1;
    }

    /// A session that was opening gave up.
    pub(super) fn gave_up(&self, habit: Habit) {
        self.groups()[habit as usize].opening -= 1;
    }

    /// Whether a settled session may leave now; it then counts as left. One that `wants` to may as soon as its
    /// successor has settled, one that does not may if there are too many.
    pub(super) fn may_leave(&self, habit: Habit, wants: bool) -> bool {
        let group = &mut self.groups()[habit as usize];
        if wants {
            let may = group.settled > group.target;
            if may {
                group.settled -= 1;
                group.leaving -= 1;
            }
            may
        } else {
            let may = group.settled - group.leaving > group.target;
            if may {
                group.settled -= 1;
            }
            may
        }
    }

    /// A settled session begins to want to leave.
    pub(super) fn wants_to_leave(&self, habit: Habit) {
        self.groups()[habit as usize].leaving += 1;
    }

    /// When the sessions on this version that began before were last told to leave: the begin and the length of the
    /// time in which they are to go.
    pub(super) fn order_for(&self, version: &str, began: Instant) -> Option<(Instant, Duration)> {
        let orders = self.orders.lock().unwrap_or_else(PoisonError::into_inner);
        orders
            .iter()
            .rev()
            .find(|order| order.version == version && order.at >= began)
            .map(|order| (order.at, order.over))
    }

    /// How long the sessions that pace themselves pause on average, so that together they keep the rate.
    pub(super) fn mean_pause(&self) -> Duration {
        let groups = self.groups();
        let paced = groups[Habit::Plain as usize].settled + groups[Habit::WebSocket as usize].settled;
        #[allow(clippy::cast_precision_loss)]
        let mean = paced.max(1) as f64 / self.options.rate.max(0.001);
        // A session that pauses for longer would expire by the client's own fault.
        Duration::from_secs_f64(mean.min(self.options.idle.as_secs_f64() / 5.0))
    }

    /// Ends once the run is to stop.
    pub(super) async fn stopped(&self) {
        // The sender lives as long as `self`.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(super) fn is_stopped(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whom to open next; counts as opening.
    fn next(&self) -> Option<Habit> {
        let mut groups = self.groups();
        let missing = |group: &Group| (group.target + group.leaving).saturating_sub(group.settled + group.opening);
        let habit = Habit::ALL.into_iter().max_by_key(|habit| missing(&groups[*habit as usize]))?;
        let group = &mut groups[habit as usize];
        (missing(group) > 0).then(|| {
            group.opening += 1;
            habit
        })
    }

    fn groups(&self) -> MutexGuard<'_, [Group; 3]> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts the load on the service until it is told to stop, or nobody is left to tell it; then lets every session end
/// what it has begun. Reports go out five times a second.
pub async fn run(
    options: Options,
    mut commands: mpsc::UnboundedReceiver<Command>,
    reports: mpsc::UnboundedSender<Report>,
) -> Summary {
    let population = Population::new(options);
    let mut sessions = JoinSet::new();
    let mut opening = tokio::time::interval(OPEN_EVERY);
    let mut reporting = tokio::time::interval(REPORT_EVERY);
    for interval in [&mut opening, &mut reporting] {
        interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    }
    // Opening is bounded by a bucket of tokens.
    let mut tokens = 0.0_f64;
    loop {
        tokio::select! {
            _ = opening.tick() => {
                let each = population.options.arrivals * OPEN_EVERY.as_secs_f64();
                tokens = (tokens + each).min(each.max(1.0));
                while tokens >= 1.0 {
                    let Some(habit) = population.next() else { break };
                    tokens -= 1.0;
                    sessions.spawn(session::live(Arc::clone(&population), habit));
                }
                // What has ended is cleared away, so that the set does not grow.
                while sessions.try_join_next().is_some() {}
            }
            _ = reporting.tick() => {
                let _ = reports.send(population.books.report());
            }
            command = commands.recv() => match command {
                Some(Command::Open(target)) => population.set_target(target),
                Some(Command::Leave { version, over }) => {
                    let order = Order { version, at: now(), over };
                    population.orders.lock().unwrap_or_else(PoisonError::into_inner).push(order);
                }
                Some(Command::Stop) | None => break,
            },
        }
    }
    population.stop.send_replace(true);
    let options = &population.options;
    let longest = options.timeout + Duration::from_millis(options.slow_ms.iter().copied().max().unwrap_or(0));
    // One for its request, one for its WebSocket.
    let all = async { while sessions.join_next().await.is_some() {} };
    tokio::select! {
        () = all => {}
        () = pause(2 * longest) => {}
    }
    let _ = reports.send(population.books.report());
    population.books.summary()
}
