//! The steps of a walk, in a language that every engine understands.

use std::time::Duration;

use super::dice::Dice;
use super::file::KEYS;

/// A change of one thing in a compose file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Edit {
    Image(&'static str),
    Command(u32),
    Variable(u32),
    Label(u32),
    Port(Option<u16>),
    /// A volume comes, or goes.
    Mount(usize),
    Network,
    Need(usize),
    Profile,
    Replicas(u32),
    Restart(Option<&'static str>),
    Check,
    Idle(Option<(u64, u64)>),
    /// The component comes, or goes.
    Component,
    Rename,
}

/// What somebody does with a container without telling us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hand {
    Stop,
    Kill,
    /// Its process ends by itself.
    Crash,
    Remove,
    Pause,
    Unpause,
    Restart,
    Rename,
}

/// What happens to one of the calls of an operation. The number says to which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    None,
    /// We are killed before the call.
    KilledBefore(u32),
    /// We are killed after the call has taken effect, and before we know it.
    KilledAfter(u32),
    /// It is refused.
    Fails(u32),
    /// It takes effect, and its answer is lost.
    Lost(u32),
    /// It takes half a minute.
    Slow(u32),
    /// The person who waits gives up, such as by Ctrl-C.
    GivenUp(u32),
}

/// Who does something, and with which environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Who {
    /// Which of the two checkouts.
    pub(crate) checkout: usize,
    /// Which of [`NAMES`].
    pub(crate) name: usize,
}

/// The environments' names. The first is what both checkouts' folders are called.
pub(crate) const NAMES: [&str; 3] = ["shop", "shop-pr", "blog"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpStep {
    pub(crate) who: Who,
    pub(crate) person: usize,
    pub(crate) only: Option<&'static str>,
    pub(crate) extra: bool,
    pub(crate) keep_on_failure: bool,
    pub(crate) pull: bool,
    pub(crate) trouble: Trouble,
    /// Whether a second `up` checks that nothing is left to do; `true`: a commit later.
    pub(crate) again: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Edit(usize, &'static str, Edit),
    Commit(usize),
    Up(UpStep),
    /// Two `up` at once.
    Ups(Who),
    /// An `up` and a `down` at once: one waits for the other.
    UpAndDown(Who),
    /// An `up` while somebody looks for idle environments.
    UpMeanwhile(Who),
    Down {
        who: Who,
        volumes: bool,
        trouble: Trouble,
    },
    /// A link is switched to another environment's component, or back.
    Link {
        who: Who,
        key: &'static str,
        back: bool,
        live: bool,
        trouble: Trouble,
    },
    Keep {
        who: Who,
        time: Duration,
    },
    Prune {
        dry: bool,
        trouble: Trouble,
    },
    Pass(Duration),
    /// Our clock is set back.
    SetBack(Duration),
    Hand(Hand, usize),
    RemoveNetwork(usize),
    RestartDaemon,
    /// The registry gets another image under this name.
    Push(&'static str),
}

/// What is on the engine before anything is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Setup {
    /// Somebody else's container has the name that one of ours would get.
    pub(crate) container: bool,
    /// The same for a network.
    pub(crate) network: bool,
    /// The same for a volume.
    pub(crate) volume: bool,
    /// Whether records are written to files, which takes time, or kept in memory.
    pub(crate) files: bool,
}

/// The walk of a seed.
pub(crate) fn walk(seed: u64) -> (Setup, Vec<Step>) {
    let mut dice = Dice::new(seed);
    let (container, network, volume) = (dice.chance(5), dice.chance(3), dice.chance(3));
    let setup = Setup { container, network, volume, files: dice.chance(30) };
    let steps = 6 + dice.index(18);
    let calm = dice.chance(40);
    let mut walk = Vec::new();
    for _ in 0..steps {
        // Somebody edits something, and brings it up.
        match dice.within(0..100) {
            0..30 => {
                let checkout = usize::from(dice.chance(25));
                walk.push(edit(checkout, &mut dice));
                if dice.chance(50) {
                    walk.push(Step::Commit(checkout));
                }
                let who = Who { checkout, ..who(&mut dice) };
                walk.push(Step::Up(up(Who { checkout, name: named(checkout, who.name) }, calm, &mut dice)));
            }
            30..53 => {
                let who = who(&mut dice);
                walk.push(Step::Up(up(who, calm, &mut dice)));
            }
            53..55 => walk.push(Step::Ups(who(&mut dice))),
            55..56 => walk.push(Step::UpAndDown(who(&mut dice))),
            56..61 => {
                let (who, volumes) = (who(&mut dice), dice.chance(40));
                walk.push(Step::Down { who, volumes, trouble: trouble(calm, &mut dice) });
            }
            61..67 => {
                let key = KEYS[dice.index(2)];
                let (who, back, live) = (who(&mut dice), dice.chance(40), dice.chance(30));
                walk.push(Step::Link { who, key, back, live, trouble: trouble(calm, &mut dice) });
            }
            67..69 => {
                let time = Duration::from_secs(60 * dice.within(1..40));
                walk.push(Step::Keep { who: who(&mut dice), time });
            }
            // Nobody uses it for some time, and a monitor looks at it meanwhile.
            69..74 => {
                let time = Duration::from_secs(60 * dice.weighted(&[(3, 11), (2, 31), (2, 121)]));
                for _ in 0..dice.within(2..6) {
                    walk.push(Step::Prune { dry: dice.chance(25), trouble: Trouble::None });
                    walk.push(Step::Pass(time));
                }
                walk.push(match dice.chance(50) {
                    true => Step::UpMeanwhile(who(&mut dice)),
                    false => Step::Prune { dry: false, trouble: trouble(calm, &mut dice) },
                });
            }
            74..78 => walk.push(Step::Prune { dry: dice.chance(40), trouble: trouble(calm, &mut dice) }),
            78..80 => {
                walk.push(Step::Pass(Duration::from_secs(dice.weighted(&[(3, 20), (3, 11 * 60), (2, 3 * 3600)]))))
            }
            80..81 => walk.push(Step::SetBack(Duration::from_secs(60 * dice.within(1..600)))),
            81..95 => {
                let hand = dice.weighted(&[
                    (4, Hand::Stop),
                    (2, Hand::Kill),
                    (2, Hand::Crash),
                    (2, Hand::Remove),
                    (3, Hand::Pause),
                    (1, Hand::Unpause),
                    (2, Hand::Restart),
                    (1, Hand::Rename),
                ]);
                for _ in 0..=dice.index(3) {
                    walk.push(Step::Hand(hand, dice.index(64)));
                }
            }
            95..97 => walk.push(Step::RemoveNetwork(dice.index(16))),
            97..98 => walk.push(Step::Push(dice.weighted(&[(1, "good:1"), (1, "good:2")]))),
            _ => walk.push(Step::RestartDaemon),
        }
    }
    (setup, walk)
}

fn who(dice: &mut Dice) -> Who {
    let (checkout, name) = dice.weighted(&[(10, (0, 0)), (5, (0, 1)), (5, (1, 2)), (1, (1, 0))]);
    Who { checkout, name }
}

/// The other checkout has a name of its own most of the time.
fn named(checkout: usize, name: usize) -> usize {
    match (checkout, name) {
        (0, 2) => 0,
        (1, 1) => 2,
        _ => name,
    }
}

fn edit(checkout: usize, dice: &mut Dice) -> Step {
    let key = KEYS[dice.index(KEYS.len())];
    let number = u32::try_from(dice.index(4)).expect("small");
    let edit = match dice.index(18) {
        0 | 1 => Edit::Image(dice.weighted(&[
            (6, "good:1"),
            (6, "good:2"),
            (4, "vol:1"),
            (2, "vol:2"),
            (2, "once:1"),
            (1, "never:1"),
            (1, "fails:1"),
            (1, "gone:1"),
        ])),
        2 => Edit::Command(number),
        3 => Edit::Variable(number),
        4 => Edit::Label(number),
        5 => Edit::Port(dice.weighted(&[(2, None), (2, Some(23_380)), (1, Some(23_381))])),
        6..9 => Edit::Mount(dice.index(4)),
        9 => Edit::Network,
        10 => Edit::Need(dice.index(3)),
        11 => Edit::Profile,
        12 => Edit::Replicas(number % 3),
        13 => Edit::Restart(dice.weighted(&[
            (1, None),
            (2, Some("always")),
            (2, Some("unless-stopped")),
            (1, Some("on-failure")),
        ])),
        14 => Edit::Check,
        15 => Edit::Idle(dice.weighted(&[(1, None), (2, Some((10, 60))), (1, Some((120, 240)))])),
        16 => Edit::Component,
        _ => Edit::Rename,
    };
    Step::Edit(checkout, key, edit)
}

fn up(who: Who, calm: bool, dice: &mut Dice) -> UpStep {
    let only = dice.chance(12).then(|| KEYS[dice.index(KEYS.len())]);
    let again = dice.chance(40).then(|| dice.chance(60));
    UpStep {
        who,
        person: dice.index(2),
        only,
        extra: dice.chance(25),
        keep_on_failure: dice.chance(15),
        pull: dice.chance(10),
        trouble: trouble(calm, dice),
        again,
    }
}

fn trouble(calm: bool, dice: &mut Dice) -> Trouble {
    if calm || dice.chance(60) {
        return Trouble::None;
    }
    let call = u32::try_from(dice.within(1..24)).expect("small");
    dice.weighted(&[
        (4, Trouble::KilledBefore(call)),
        (4, Trouble::KilledAfter(call)),
        (3, Trouble::Fails(call)),
        (2, Trouble::Lost(call)),
        (1, Trouble::Slow(call)),
        (2, Trouble::GivenUp(call)),
    ])
}
