//! One session, from its first request until it leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::answer::{Answer, Expectation, Verdict};
use super::books::{Figure, Kind, Tally};
use super::connection::{Connection, Reason};
use super::jar::Jar;
use super::population::{Habit, Population};
use super::socket::Socket;
use super::{now, pause};

struct Session {
    population: Arc<Population>,
    number: u64,
    connection: Connection,
    jar: Jar,
    expectation: Expectation,
    socket: Option<(Socket, Tally)>,
    /// Counts the session under the version it is on.
    place: Option<Tally>,
    /// Whether one of its requests has failed.
    has_failed: bool,
    /// When that was sent which was answered last. The application saw it no earlier.
    sent: Instant,
}

/// Lives as a session of that habit.
pub(super) async fn live(population: Arc<Population>, habit: Habit) {
    let began = now();
    let mut session = Session {
        number: population.books.begin(),
        connection: Connection::new(population.options.target),
        jar: Jar::default(),
        expectation: Expectation::default(),
        socket: None,
        place: None,
        has_failed: false,
        sent: began,
        population: Arc::clone(&population),
    };
    let mut opened = session.request(habit == Habit::Slow).await;
    if opened && let Some(version) = session.expectation.version() {
        population.books.begun_on(version);
    }
    if opened && habit == Habit::WebSocket {
        opened = session.open_socket().await;
    }
    if !opened {
        population.gave_up(habit);
        return;
    }
    population.settled(habit);
    let mut leave_at = stay(&population).map(|stay| began + stay);
    let mut ordered = None;
    let mut wants = false;
    loop {
        tokio::select! {
            () = pause(session.pace(habit)) => {}
            () = population.stopped() => {}
        }
        if population.is_stopped() {
            break;
        }
        let order = session.expectation.version().and_then(|version| population.order_for(version, began));
        if order != ordered {
            ordered = order;
            leave_at = order.map(|(at, over)| at + over.mul_f64(rand::random::<f64>())).or(leave_at);
        }
        if !wants && leave_at.is_some_and(|at| now() >= at) {
            wants = true;
            population.wants_to_leave(habit);
        }
        if population.may_leave(habit, wants) {
            break;
        }
        session.request(habit == Habit::Slow).await;
        if habit == Habit::WebSocket {
            session.echo().await;
        }
    }
    session.leave().await;
}

impl Session {
    /// Sends one request; tells whether it was answered rightly.
    async fn request(&mut self, slow: bool) -> bool {
        let options = &self.population.options;
        let mut limit = options.timeout;
        let path = if slow {
            let (shortest, longest) = (options.slow_ms[0], options.slow_ms[1]);
            let ms = rand::random_range(shortest..=longest.max(shortest));
            limit += Duration::from_millis(ms);
            format!("/slow?ms={ms}")
        } else {
            "/".to_owned()
        };
        let books = Arc::clone(&self.population.books);
        books.request();
        let started = now();
        let in_flight = books.tally(Figure::InFlight, self.expectation.version());
        let answer = self.connection.get(&path, &mut self.jar, limit).await;
        drop(in_flight);
        match answer {
            Ok(answer) => {
                if !slow {
                    books.took(now() - started);
                }
                let verdict = self.expectation.request(&answer);
                self.enter(&answer, verdict, started);
                true
            }
            Err(reason) => {
                self.failed(&format!("GET {path}"), &reason);
                false
            }
        }
    }

    /// Opens the WebSocket, which is a request too.
    async fn open_socket(&mut self) -> bool {
        let books = Arc::clone(&self.population.books);
        books.request();
        let started = now();
        let options = &self.population.options;
        match Socket::open(options.target, &mut self.jar, options.timeout).await {
            Ok((socket, greeting)) => {
                let verdict = self.expectation.request(&greeting);
                self.enter(&greeting, verdict, started);
                self.socket = Some((socket, books.tally(Figure::WebSockets, self.expectation.version())));
                true
            }
            Err(reason) => {
                self.failed("GET /ws", &reason);
                false
            }
        }
    }

    /// Sends a message and reads its echo. One that has broken is opened anew the next time; it has failed once.
    async fn echo(&mut self) {
        let Some((socket, _)) = &mut self.socket else {
            self.open_socket().await;
            return;
        };
        self.population.books.request();
        let started = now();
        match socket.echo().await {
            Ok(answer) => {
                let verdict = self.expectation.echo(&answer);
                self.enter(&answer, verdict, started);
            }
            Err(reason) => {
                self.socket = None;
                self.population.books.wrong(Kind::Failed, self.number, reason.to_string());
            }
        }
    }

    /// Closes the WebSocket and sends nothing more.
    async fn leave(mut self) {
        if let Some((socket, _tally)) = self.socket.take()
            && let Err(reason) = socket.close().await
        {
            self.population.books.wrong(Kind::Failed, self.number, reason.to_string());
        }
    }

    fn failed(&mut self, what: &str, reason: &Reason) {
        self.expectation.failed();
        if !std::mem::replace(&mut self.has_failed, true) {
            self.population.books.failed_session();
        }
        self.population.books.wrong(Kind::Failed, self.number, format!("{what}: {reason}"));
    }

    /// Books an answer to something that was sent at `started`.
    fn enter(&mut self, answer: &Answer, verdict: Verdict, started: Instant) {
        let books = &self.population.books;
        // The application counts from its last answer until the request arrives: both lie between these two moments.
        let held_up = now() - self.sent >= self.population.options.idle;
        if let Some(what) = verdict.lost {
            if held_up {
                books.lapsed();
            } else {
                books.wrong(Kind::Lost, self.number, what);
            }
        }
        // A session that has lapsed is a new one, and may begin anywhere.
        if let Some(what) = verdict.moved.filter(|_| !held_up) {
            books.wrong(Kind::Moved, self.number, what);
        }
        if let Some(what) = verdict.doubled {
            books.wrong(Kind::Failed, self.number, format!("a request was counted twice: {what}"));
        }
        self.place = Some(books.tally(Figure::Sessions, Some(&answer.version)));
        self.sent = started;
    }

    /// The pause before the next request.
    fn pace(&self, habit: Habit) -> Duration {
        match habit {
            Habit::Slow => Duration::from_millis(rand::random_range(10..=60)),
            Habit::Plain | Habit::WebSocket => self.population.mean_pause().mul_f64(rand::random_range(0.5..1.5)),
        }
    }
}

/// How long a new session is to stay; `None`: until it is told to leave.
fn stay(population: &Population) -> Option<Duration> {
    let stay = population.options.stay?;
    (rand::random::<f64>() >= population.options.residents).then(|| stay.mul_f64(rand::random_range(0.5..1.5)))
}
