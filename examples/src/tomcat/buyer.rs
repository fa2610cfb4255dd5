//! One who has a basket: logs in, puts things in, looks whether they are there, and leaves. It never retries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use haddock_core::Timestamp;
use serde::Deserialize;
use tokio::sync::watch;

use super::receipts::{Farewell, Receipts};
use crate::client::{Connection, Jar, Kind, Reason, now, pause};

/// Within which time an answer has to be there.
const LIMIT: Duration = Duration::from_secs(30);
/// The application's session cookie.
pub(super) const COOKIE: &str = "JSESSIONID";

/// What all buyers of a run share.
#[derive(Debug)]
pub(super) struct Habits {
    /// Where the service is reached. With more than one, they take turns.
    pub(super) addresses: Vec<SocketAddr>,
    /// After how long without a request a session has expired. Stays and pauses are parts of it.
    pub(super) idle: Duration,
    /// On this version, everybody logs out. Elsewhere, it is every second one.
    pub(super) all_log_out: String,
    pub(super) receipts: Arc<Receipts>,
}

/// One session after the other, until it is time to stop.
pub(super) async fn come_and_go(habits: Arc<Habits>, mut stop: watch::Receiver<bool>, begin_after: Duration) {
    tokio::select! {
        () = pause(begin_after) => {}
        _ = stop.wait_for(|stop| *stop) => {}
    }
    while !*stop.borrow() {
        let mut buyer = Buyer::new(&habits);
        if let Err(trouble) = buyer.visit(&mut stop).await {
            let Trouble(kind, what) = trouble;
            buyer.farewell = habits.receipts.failed(buyer.number, buyer.last_sent, kind, what);
            // A service that refuses is not to be asked as fast as the machine can.
            pause(Duration::from_millis(200)).await;
        }
        buyer.leave_books();
    }
}

/// What ends a visit early.
struct Trouble(Kind, String);

impl From<Reason> for Trouble {
    fn from(reason: Reason) -> Self {
        Self(Kind::Failed, reason.to_string())
    }
}

#[derive(Debug, Deserialize)]
struct Basket {
    basket: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Login {
    user: Option<String>,
}

struct Buyer<'h> {
    habits: &'h Habits,
    number: u64,
    connections: Vec<Connection>,
    turn: usize,
    jar: Jar,
    /// Version and instance.
    place: Option<(String, String)>,
    last_sent: Timestamp,
    farewell: Farewell,
    items: Vec<String>,
}

impl<'h> Buyer<'h> {
    fn new(habits: &'h Habits) -> Self {
        let number = habits.receipts.begin();
        let connections: Vec<_> = habits.addresses.iter().map(|address| Connection::new(*address)).collect();
        // Each address is the first one of some.
        let turn = usize::try_from(number).unwrap_or(0) % connections.len();
        Self {
            habits,
            number,
            connections,
            turn,
            jar: Jar::default(),
            place: None,
            last_sent: habits.receipts.now(),
            farewell: Farewell::Away,
            items: Vec::new(),
        }
    }

    async fn visit(&mut self, stop: &mut watch::Receiver<bool>) -> Result<(), Trouble> {
        let user = format!("u{}", self.number);
        self.look_into_basket().await?;
        let before = self.jar.get(COOKIE).map(str::to_owned);
        let Some(before) = before else { return Err(Trouble(Kind::Failed, format!("no {COOKIE} was set"))) };
        let login: Login = self.ask("/login.jsp", Some(&format!("user={user}"))).await?;
        if login.user.as_ref() != Some(&user) {
            return Err(Trouble(Kind::Failed, format!("logged in as {:?} instead of {user}", login.user)));
        }
        if self.jar.get(COOKIE) == Some(&before) {
            return Err(Trouble(Kind::Failed, "the log-in has not changed the session's id".into()));
        }

        let idle = self.habits.idle;
        let (begun, stay) = (now(), idle.mul_f64(rand::random_range(0.25..0.75)));
        while begun.elapsed() < stay && !*stop.borrow() {
            tokio::select! {
                () = pause(idle.mul_f64(rand::random_range(0.05..0.15))) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
            if self.habits.receipts.now().since(self.last_sent) >= idle {
                self.habits.receipts.lapsed();
                return Ok(());
            }
            match rand::random_range(0..4) {
                0 => {
                    let login: Login = self.ask("/login.jsp", None).await?;
                    if login.user.as_ref() != Some(&user) {
                        return Err(Trouble(Kind::Lost, format!("{:?} is logged in instead of {user}", login.user)));
                    }
                }
                1 => self.look_into_basket().await?,
                _ => {
                    let item = format!("{user}-{}", self.items.len() + 1);
                    self.items.push(item.clone());
                    let told: Basket = self.ask("/basket.jsp", Some(&format!("item={item}"))).await?;
                    self.compare(&told)?;
                }
            }
        }
        self.look_into_basket().await?;
        self.leave().await
    }

    /// Every second one logs out. The others just go away.
    async fn leave(&mut self) -> Result<(), Trouble> {
        let everybody = self.place.as_ref().is_some_and(|(version, _)| *version == self.habits.all_log_out);
        if !everybody && self.number % 2 == 1 {
            return Ok(());
        }
        let left: Login = self.ask("/logout.jsp", Some("")).await?;
        if left.user.is_some() || self.jar.get(COOKIE).is_some() {
            return Err(Trouble(Kind::Failed, "the log-out has not deleted the cookie".into()));
        }
        self.farewell = Farewell::LogOut;
        Ok(())
    }

    async fn look_into_basket(&mut self) -> Result<(), Trouble> {
        let told: Basket = self.ask("/basket.jsp", None).await?;
        self.compare(&told)
    }

    fn compare(&self, told: &Basket) -> Result<(), Trouble> {
        if told.basket == self.items {
            return Ok(());
        }
        let what = format!("the basket holds {:?} instead of {:?}", told.basket, self.items);
        Err(Trouble(Kind::Lost, what.chars().take(300).collect()))
    }

    async fn ask<T: for<'de> Deserialize<'de>>(&mut self, path: &str, form: Option<&str>) -> Result<T, Trouble> {
        let receipts = &self.habits.receipts;
        let version = self.place.as_ref().map_or("new", |(version, _)| version).to_owned();
        self.last_sent = receipts.now();
        receipts.sent(&version);
        self.turn = (self.turn + 1) % self.connections.len();
        let begun = now();
        let answer = self.connections[self.turn].send(path, form, &mut self.jar, LIMIT).await;
        receipts.answered(&version, begun.elapsed());
        let (headers, body) = answer?;
        let header = |name: &str| {
            let value = headers.get(name).and_then(|value| value.to_str().ok());
            value.map(str::to_owned).ok_or_else(|| Trouble(Kind::Failed, format!("the answer has no {name}")))
        };
        let here = (header("x-version")?, header("x-instance")?);
        match &self.place {
            None => {
                receipts.begun_on(&here.0);
                self.place = Some(here);
            }
            Some(there) if *there != here => {
                return Err(Trouble(Kind::Moved, format!("from {} ({}) to {} ({})", there.0, there.1, here.0, here.1)));
            }
            Some(_) => {}
        }
        serde_json::from_slice(&body)
            .map_err(|error| Trouble(Kind::Failed, format!("not the application's answer: {error}")))
    }

    fn leave_books(&self) {
        if let Some((version, _)) = &self.place {
            self.habits.receipts.ended(version, self.farewell, self.last_sent);
        }
    }
}
