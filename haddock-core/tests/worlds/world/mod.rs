//! A world: everything around the release step, as data.
//!
//! | file | plays |
//! |---|---|
//! | `plan`, `dice` | what kind of world the seed makes |
//! | `journal` | the committed state, fenced by the epoch; the ground truth kept beside it |
//! | `controller` | looks, steps, commits, acts; crashes, stalls, is succeeded |
//! | `tasks` | what was begun: it lands, or does not, or late, or twice |
//! | `clients` | come, send requests with their cookie, leave |
//! | `faults` | what breaks |
//! | `server` | the server that ran before, with sessions of its own, and is adopted |
//! | `wipe` | loses the journal, and recovers it |
//! | `user` | asks for releases and changes their mind |
//! | `truth` | what is so, whatever anybody has seen |

mod clients;
mod controller;
mod dice;
mod faults;
mod journal;
mod plan;
mod server;
mod tasks;
mod truth;
mod user;
mod wipe;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use haddock_core::locator::sim::{LocatorRules, SimLocatorCore};
use haddock_core::release::{Action, NewVersion, Rules, ServiceState};
use haddock_core::runtime::sim::SimEngine;
use haddock_core::{JournalId, LocatorName, RequestId, ServiceName, Timestamp};

use clients::Client;
pub(crate) use clients::Stay;
use controller::Controller;
use dice::Dice;
use journal::Journal;
pub(crate) use plan::{Plan, Tuning};
pub(crate) use server::Server;
use tasks::LaunchRun;
use truth::Truth;

/// An invariant that did not hold.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
}

/// What became of a world.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    /// How often each case that a test wants to have met was met.
    pub(crate) met: BTreeMap<&'static str, u64>,
    /// What happened, if it was traced.
    pub(crate) trace: Vec<String>,
}

#[derive(Debug)]
enum Event {
    Look { controller: usize, round: u64 },
    LookAtLocator { controller: usize, locator: usize },
    Decide { controller: usize },
    TakeOver,
    Land { controller: usize, run: u64, action: Action, reports: bool },
    LaunchOp { launch: u64 },
    Ended { controller: usize, run: u64, task: haddock_core::release::Task, result: tasks::Ending },
    Client { client: usize },
    ClientWaits { client: usize, locator: usize },
    Answered { client: usize, flight: u64 },
    Fault,
    User,
    Switch,
    Wipe,
    Recover,
    Malice,
    Repair(faults::Repair),
}

#[derive(Debug)]
struct Due {
    at: u64,
    sequence: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.sequence) == (other.at, other.sequence)
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// A locator in the world.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) name: LocatorName,
    pub(crate) core: SimLocatorCore,
    /// The controller cannot reach it.
    pub(crate) cut_off: u32,
    /// Clients cannot reach it either.
    pub(crate) dark: u32,
}

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) rules: Rules,
    pub(crate) tuning: Tuning,
    pub(crate) plan: Plan,
    pub(crate) service: ServiceName,
    pub(crate) journal_id: JournalId,
    pub(crate) engine: SimEngine,
    pub(crate) engine_down: u32,
    pub(crate) posts: Vec<Post>,
    pub(crate) journal: Journal,
    /// The state before the last commit.
    pub(crate) before: ServiceState,
    pub(crate) truth: Truth,
    pub(crate) clients: Vec<Client>,
    /// What was asked for, by the name of its specification: the spec store.
    pub(crate) specs: BTreeMap<String, NewVersion>,
    /// The requests that asked for releases and rollbacks.
    pub(crate) asked_for: Vec<RequestId>,
    /// The journal is lost, and not recovered yet.
    pub(crate) lost: bool,
    /// It was lost once. So the state knows less than it did before.
    pub(crate) was_lost: bool,
    /// The server that ran before, in some worlds.
    pub(crate) server: Option<Server>,
    controllers: Vec<Controller>,
    launches: BTreeMap<u64, LaunchRun>,
    dice: Dice,
    /// Dice of its own, so that worlds without faulty versions stay as they were.
    fault_dice: Dice,
    queue: BinaryHeap<Reverse<Due>>,
    sequence: u64,
    numbers: u64,
    violation: Option<Violation>,
    met: BTreeMap<&'static str, u64>,
    tracing: bool,
    trace: Vec<String>,
}

/// The begin of time, in milliseconds since the epoch: not zero, so that nothing is equal to a default by chance.
const BEGIN: u64 = 1_000_000;

impl World {
    /// Lives through the world of a seed.
    pub(crate) fn run(seed: u64, tuning: Tuning, rules: &Rules, locators: LocatorRules, tracing: bool) -> Outcome {
        let mut dice = Dice::new(seed);
        let plan = Plan::new(&tuning, &mut dice);
        let service = ServiceName::new("shop").expect("valid");
        let journal_id = JournalId::new("j1").expect("valid");
        let post = |n: usize| Post {
            name: LocatorName::new(format!("g{n}")).expect("valid"),
            core: SimLocatorCore::by_rules(locators, u16::try_from(n).expect("few"), Timestamp::from_millis(BEGIN)),
            cut_off: 0,
            dark: 0,
        };
        let mut world = Self {
            now: BEGIN,
            rules: *rules,
            tuning,
            service: service.clone(),
            journal_id: journal_id.clone(),
            engine: SimEngine::new(),
            engine_down: 0,
            posts: (1..=plan.locators).map(post).collect(),
            before: ServiceState::new(service.clone(), journal_id.clone()),
            journal: Journal::new(service, journal_id),
            truth: Truth::default(),
            clients: (0..plan.clients).map(|_| Client::new()).collect(),
            plan,
            specs: BTreeMap::new(),
            asked_for: Vec::new(),
            lost: false,
            was_lost: false,
            server: None,
            controllers: Vec::new(),
            launches: BTreeMap::new(),
            dice,
            fault_dice: Dice::new(seed.rotate_left(16) ^ 0xfa17),
            queue: BinaryHeap::new(),
            sequence: 0,
            numbers: 0,
            violation: None,
            met: BTreeMap::new(),
            tracing,
            trace: Vec::new(),
        };
        // It has dice of its own, so that worlds without such a server stay as they were.
        let mut dice = Dice::new(seed.rotate_left(32) ^ 0xad09);
        if dice.chance(tuning.adopts) {
            world.begin_with_server(&mut dice);
        }
        if dice.chance(tuning.wipes) {
            let at = dice.within(1..tuning.unfair);
            world.schedule(at, Event::Wipe);
        }
        world.begin();
        while world.violation.is_none() {
            let Some(Reverse(due)) = world.queue.pop() else { break };
            if due.at >= world.end() {
                break;
            }
            world.now = due.at;
            world.happen(due.event);
            if !world.is_unfair() && world.is_quiet() {
                break;
            }
        }
        if world.violation.is_none() {
            world.check_s4_at_the_end();
            world.check_l1_at_the_end();
            world.check_l2_at_the_end();
            world.check_l3_at_the_end();
        }
        Outcome { violation: world.violation, met: world.met, trace: world.trace }
    }

    fn begin(&mut self) {
        self.schedule(0, Event::User);
        self.schedule(1, Event::TakeOver);
        for client in 0..self.clients.len() {
            let after = self.dice.within(0..10_000);
            self.schedule(after, Event::Client { client });
        }
        if self.plan.fault_every > 0 {
            let after = self.dice.within(0..2 * self.plan.fault_every);
            self.schedule(after, Event::Fault);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Look { controller, round } => self.look(controller, round),
            Event::LookAtLocator { controller, locator } => self.look_at_locator(controller, locator),
            Event::Decide { controller } => self.decide(controller),
            Event::TakeOver => self.take_over(),
            Event::Land { controller, run, action, reports } => self.land(controller, run, action, reports),
            Event::LaunchOp { launch } => self.launch_op(launch),
            Event::Ended { controller, run, task, result } => self.task_ended(controller, run, task, result),
            Event::Client { client } => self.client_acts(client),
            Event::ClientWaits { client, locator } => self.client_waits(client, locator),
            Event::Answered { client, flight } => self.client_is_answered(client, flight),
            Event::Fault => self.fault(),
            Event::User => self.user_acts(),
            Event::Switch => self.switch(),
            Event::Wipe => self.wipe(),
            Event::Recover => self.recover(),
            Event::Malice => self.malice(),
            Event::Repair(repair) => self.repair(repair),
        }
    }

    pub(crate) fn time(&self) -> Timestamp {
        Timestamp::from_millis(self.now)
    }

    /// Whether faults happen and the user asks for things.
    pub(crate) fn is_unfair(&self) -> bool {
        self.now < self.fair_from()
    }

    pub(crate) fn fair_from(&self) -> u64 {
        BEGIN + self.tuning.unfair
    }

    pub(crate) fn end(&self) -> u64 {
        self.fair_from() + self.tuning.fair
    }

    fn schedule(&mut self, after: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Reverse(Due { at: self.now + after, sequence: self.sequence, event }));
    }

    /// Records that an invariant does not hold. Only the first one counts, because others may follow from it.
    pub(crate) fn violate(&mut self, invariant: &'static str, what: String) {
        self.note(|| format!("VIOLATION of {invariant}: {what}"));
        if self.violation.is_none() {
            self.violation = Some(Violation { invariant, what });
        }
    }

    /// A case that a test wants to have met.
    pub(crate) fn meet(&mut self, case: &'static str) {
        *self.met.entry(case).or_default() += 1;
    }

    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        if self.tracing {
            self.trace.push(format!("{:>9.3} s  {}", (self.now - BEGIN) as f64 / 1_000.0, line()));
        }
    }
}
