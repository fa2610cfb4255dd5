//! The guard beside the rules that others stop a bad version by: the same releases, the same sessions.
//!
//! ```text
//! cargo run --release --example bench_guard -- [--seeds 200] [--baseline 0.001] [--json]
//! cargo run --release --example bench_guard -- --methods      three tests in the guard's place
//! ```
//!
//! A release is simulated session by session: they begin by chance, at a steady rate; each goes to the candidate with the
//! share that the rule has set, and fails there with `extra` more than on the baseline. All rules know of a failure at once,
//! and a session is one request: for rules that count requests, that is the best case.
//!
//! - **haddock**: looks each second. The share is such that at most ten sessions are harmed until the next look at the
//!   worst rate that the evidence allows, but at most a quarter until the verdict is *fine*: after the full share there is
//!   nothing more to compare with. It also goes on looking after the full share.
//! - **haddock, day before**: with the sessions of the day before as the baseline. That takes for granted that this day is like
//!   that one, which a real service's is not; it shows what the wait for a baseline costs.
//! - **argo/flagger**: 10, 25, 50, 100 %, a minute each. A minute passes with at least 99 % success. After five failed minutes it
//!   aborts. A minute without traffic has failed, as in Flagger (its issue 1035). It looks no more once all steps have passed.
//! - **kayenta**: 10 % for half an hour. From the fifth minute on, each minute a Mann-Whitney test of the error rates by minute, at 1 %.
//!   Without five minutes with traffic in the end, it has no data and fails the release.
//! - **z-test**: the steps of argo/flagger. Each minute a two-proportion test of all sessions so far, at 1 %, from the fifth failed session on, until the
//!   candidate has the 3 000 sessions that such a test is planned for (1 % more, found with 80 %). It asks whether there is any
//!   difference; with tolerance, whether it is above 1 %, which is what haddock asks.
//!
//! A session is harmed if it failed on the candidate and would not have on the baseline. What is not stopped goes on until the end: an
//! hour, a day or 60 days.

use std::io::{self, Write as _};

use clap::Parser;
use haddock_core::release::guard::{Comparison, Evidence, Finding, Guard, Rate, Sessions};
use serde_json::{Value, json};

/// Sessions that may be harmed until the next look.
const HARM_BUDGET: f64 = 10.0;
/// The largest share while the verdict is not fine: the baseline is needed.
const QUARTER: f64 = 0.25;
const STEPS: [f64; 4] = [0.1, 0.25, 0.5, 1.0];
const EXTRA: [f64; 8] = [0.0, 0.002, 0.005, 0.01, 0.02, 0.05, 0.2, 1.0];
const RULES: [&str; 7] = [
    "haddock",
    "haddock, tolerate 0.2%",
    "haddock, day before",
    "argo/flagger",
    "kayenta",
    "z-test",
    "z-test, tolerate 1%",
];

/// The critical value of a one-sided test at 1 %.
const Z: f64 = 2.326;

#[derive(Debug, Parser)]
struct Options {
    /// Releases for each rule, traffic and rate.
    #[arg(long, default_value_t = 200)]
    seeds: u64,
    /// The share of failed sessions on the baseline.
    #[arg(long, default_value_t = 0.001)]
    baseline: f64,
    /// Compare tests, not rules: the sessions that each needs.
    #[arg(long)]
    methods: bool,
    /// One line of JSON at the end.
    #[arg(long)]
    json: bool,
}

struct Traffic {
    name: &'static str,
    per_second: f64,
    end: f64,
}

const TRAFFIC: [Traffic; 3] = [
    Traffic { name: "50 a day", per_second: 50.0 / 86_400.0, end: 60.0 * 86_400.0 },
    Traffic { name: "10 a minute", per_second: 10.0 / 60.0, end: 86_400.0 },
    Traffic { name: "100 a second", per_second: 100.0, end: 3_600.0 },
];

/// `SplitMix64`: the same sessions on every machine.
struct Random(u64);

impl Random {
    fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^= bits >> 31;
        (bits >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// Sessions begun and failed.
#[derive(Debug, Clone, Copy, Default)]
struct Count {
    begun: u64,
    failed: u64,
}

impl Count {
    fn rate(self) -> f64 {
        self.failed as f64 / self.begun as f64
    }

    fn sessions(self) -> Sessions {
        Sessions::new(self.begun, self.failed).expect("no more failed than began")
    }

    fn since(self, before: Self) -> Self {
        Self { begun: self.begun - before.begun, failed: self.failed - before.failed }
    }
}

/// Candidate and baseline.
type Both = [Count; 2];

enum Decision {
    Share(f64),
    Abort,
    /// It has the full share, and nobody looks any more.
    Over,
}

/// What decides about a release.
trait Rule {
    /// Seconds between two looks.
    fn every(&self) -> f64;
    fn first_share(&self) -> f64;
    /// What to do, with all sessions since the release began.
    fn look(&mut self, seen: Both) -> Decision;
}

struct Haddock {
    guard: Guard,
    upcoming: f64,
    share: f64,
    /// Periods that are over, and what had been seen when they ended.
    periods: Vec<Comparison>,
    before: Both,
    last: Both,
    day_before: Option<Count>,
}

impl Haddock {
    fn new(tolerate: f64, per_second: f64, day_before: Option<Count>) -> Self {
        let guard = Guard::default().with_tolerate(Rate::new(tolerate).expect("a rate"));
        let nothing = guard.judge(&Evidence::compared(Sessions::NONE, Sessions::NONE));
        let share = f64::from(nothing.share_within(HARM_BUDGET, per_second).as_basis_points()) / 1e4;
        Self {
            guard,
            upcoming: per_second,
            share: share.min(STEPS[0]),
            periods: Vec::new(),
            before: Both::default(),
            last: Both::default(),
            day_before,
        }
    }
}

impl Rule for Haddock {
    fn every(&self) -> f64 {
        1.0
    }

    fn first_share(&self) -> f64 {
        self.share
    }

    fn look(&mut self, seen: Both) -> Decision {
        // Without new sessions there is no new verdict.
        if seen[0].begun + seen[1].begun == self.last[0].begun + self.last[1].begun {
            return Decision::Share(self.share);
        }
        self.last = seen;
        let [candidate, baseline] = [0, 1].map(|side| seen[side].since(self.before[side]).sessions());
        let mut evidence = self.periods.clone();
        evidence.push(Comparison { candidate, baseline });
        let evidence = match self.day_before {
            Some(before) => Evidence::compared(seen[0].sessions(), seen[1].sessions() + before.sessions()),
            None => Evidence::Compared(evidence),
        };
        // At the full share, only the verdict matters.
        if self.share >= 1.0 {
            return if self.guard.finding(&evidence) == Finding::Harmful {
                Decision::Abort
            } else {
                Decision::Share(1.0)
            };
        }
        let judged = self.guard.judge(&evidence);
        if judged.finding == Finding::Harmful {
            return Decision::Abort;
        }
        let allowed = f64::from(judged.share_within(HARM_BUDGET, self.upcoming).as_basis_points()) / 1e4;
        let known = self.day_before.is_some() || judged.finding == Finding::Fine;
        let allowed = if known { allowed } else { allowed.min(QUARTER) };
        // Each change begins a period, so there are few: doubled, or all.
        let grows = allowed > self.share && allowed >= (2.0 * self.share).min(if known { 1.0 } else { QUARTER });
        if grows || allowed < self.share {
            if allowed < 1.0 {
                self.periods.push(Comparison { candidate, baseline });
                self.before = seen;
            }
            self.share = allowed;
        }
        Decision::Share(self.share)
    }
}

#[derive(Default)]
struct Argo {
    step: usize,
    failed_checks: u32,
    before: Count,
}

impl Rule for Argo {
    fn every(&self) -> f64 {
        60.0
    }

    fn first_share(&self) -> f64 {
        STEPS[0]
    }

    fn look(&mut self, seen: Both) -> Decision {
        let minute = seen[0].since(self.before);
        self.before = seen[0];
        if minute.begun > 0 && minute.rate() <= 0.01 {
            self.step += 1;
        } else {
            self.failed_checks += 1;
        }
        match STEPS.get(self.step) {
            _ if self.failed_checks >= 5 => Decision::Abort,
            Some(share) => Decision::Share(*share),
            None => Decision::Over,
        }
    }
}

#[derive(Default)]
struct Kayenta {
    minutes: u32,
    before: Both,
    rates: [Vec<f64>; 2],
}

impl Rule for Kayenta {
    fn every(&self) -> f64 {
        60.0
    }

    fn first_share(&self) -> f64 {
        STEPS[0]
    }

    fn look(&mut self, seen: Both) -> Decision {
        for side in [0, 1] {
            let minute = seen[side].since(self.before[side]);
            if minute.begun > 0 {
                self.rates[side].push(minute.rate());
            }
        }
        self.before = seen;
        self.minutes += 1;
        let enough = self.rates.iter().all(|rates| rates.len() >= 5);
        if enough && mann_whitney(&self.rates[0], &self.rates[1]) > Z {
            return Decision::Abort;
        }
        match self.minutes {
            30.. if enough => Decision::Over,
            30.. => Decision::Abort,
            _ => Decision::Share(STEPS[0]),
        }
    }
}

/// How far the first are above the second: normal approximation with ties and continuity (Mann and Whitney 1947).
fn mann_whitney(first: &[f64], second: &[f64]) -> f64 {
    let (n, m) = (first.len() as f64, second.len() as f64);
    let wins: f64 = first
        .iter()
        .flat_map(|a| {
            second.iter().map(move |b| {
                if a > b {
                    1.0
                } else if a < b {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    let mut all: Vec<f64> = first.iter().chain(second).copied().collect();
    all.sort_by(f64::total_cmp);
    let ties: f64 = all.chunk_by(|a, b| a == b).map(|same| (same.len() as f64).powi(3) - same.len() as f64).sum();
    let total = n + m;
    let variance = n * m / 12.0 * (total + 1.0 - ties / (total * (total - 1.0)));
    if variance <= 0.0 { 0.0 } else { (wins - n * m / 2.0 - 0.5) / variance.sqrt() }
}

#[derive(Default)]
struct ZTest {
    minutes: usize,
    tolerate: f64,
}

impl Rule for ZTest {
    fn every(&self) -> f64 {
        60.0
    }

    fn first_share(&self) -> f64 {
        STEPS[0]
    }

    fn look(&mut self, seen: Both) -> Decision {
        self.minutes += 1;
        let [n, m] = seen.map(|side| side.begun as f64);
        let failed = seen[0].failed + seen[1].failed;
        if n > 0.0 && m > 0.0 && failed >= 5 {
            let pooled = failed as f64 / (n + m);
            let variance = |rate: f64| rate * (1.0 - rate);
            // The variance under "no difference"; there is none such with tolerance.
            let error = if self.tolerate > 0.0 {
                (variance(seen[0].rate()) / n + variance(seen[1].rate()) / m).sqrt()
            } else {
                (variance(pooled) * (1.0 / n + 1.0 / m)).sqrt()
            };
            if seen[0].rate() - seen[1].rate() - self.tolerate > Z * error {
                return Decision::Abort;
            }
        }
        match STEPS.get(self.minutes) {
            Some(share) => Decision::Share(*share),
            None if n >= 3_000.0 => Decision::Over,
            None => Decision::Share(1.0),
        }
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Outcome {
    harmed: f64,
    aborted_at: Option<f64>,
    full_at: Option<f64>,
}

fn release(rule: &mut dyn Rule, traffic: &Traffic, baseline: f64, extra: f64, seed: u64) -> Outcome {
    let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
    let mut outcome = Outcome::default();
    let mut seen = Both::default();
    let mut share = rule.first_share();
    let (mut now, mut look) = (0.0, rule.every());
    let failing = (baseline + extra).min(1.0);
    loop {
        now += -(1.0 - random.number()).ln() / traffic.per_second;
        while look <= now.min(traffic.end) {
            match rule.look(seen) {
                Decision::Abort => {
                    outcome.aborted_at = Some(look);
                    return outcome;
                }
                Decision::Over => {
                    outcome.full_at.get_or_insert(look);
                    outcome.harmed += (traffic.end - look) * traffic.per_second * (failing - baseline);
                    return outcome;
                }
                Decision::Share(next) => share = next,
            }
            if share >= 1.0 {
                outcome.full_at.get_or_insert(look);
            }
            // Nothing was seen since, so looks in between change nothing for a rule that looks each second.
            look = if rule.every() < 60.0 { (look + rule.every()).max(now.floor()) } else { look + rule.every() };
        }
        if now > traffic.end {
            return outcome;
        }
        let side = usize::from(random.number() >= share);
        let fate = random.number();
        seen[side].begun += 1;
        seen[side].failed += u64::from(fate < [failing, baseline][side]);
        outcome.harmed += f64::from(u8::from(side == 0 && (baseline..failing).contains(&fate)));
    }
}

fn rule(name: &str, traffic: &Traffic, baseline: f64) -> Box<dyn Rule> {
    match name {
        "haddock" => Box::new(Haddock::new(0.01, traffic.per_second, None)),
        "haddock, tolerate 0.2%" => Box::new(Haddock::new(0.002, traffic.per_second, None)),
        "haddock, day before" => {
            // At most 100 000: more would tell nothing more.
            let begun = (traffic.per_second * 86_400.0).min(1e5).round();
            let before = Count { begun: begun as u64, failed: (begun * baseline).round() as u64 };
            Box::new(Haddock::new(0.01, traffic.per_second, Some(before)))
        }
        "argo/flagger" => Box::new(Argo::default()),
        "kayenta" => Box::new(Kayenta::default()),
        "z-test" => Box::new(ZTest::default()),
        _ => Box::new(ZTest { tolerate: 0.01, ..ZTest::default() }),
    }
}

/// The middle one, if at least half have one.
fn median(of: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let all: Vec<_> = of.collect();
    let mut some: Vec<f64> = all.iter().filter_map(|value| *value).collect();
    some.sort_by(f64::total_cmp);
    (2 * some.len() >= all.len()).then(|| some.get(some.len() / 2).copied()).flatten()
}

fn main() -> io::Result<()> {
    let options = Options::parse();
    let mut out = io::stdout().lock();
    if options.methods {
        return methods::compare(&options, &mut out);
    }
    let mut rows = Vec::new();
    for traffic in &TRAFFIC {
        writeln!(out, "\n{}: {:.0} sessions in all", traffic.name, traffic.per_second * traffic.end)?;
        writeln!(
            out,
            "{:>7}  {:24}{:>10}{:>10}{:>12}{:>12}",
            "extra", "rule", "harmed", "aborted", "after s", "full at s"
        )?;
        for extra in EXTRA {
            for name in RULES {
                let outcomes: Vec<Outcome> = (0..options.seeds)
                    .map(|seed| {
                        let mut rule = rule(name, traffic, options.baseline);
                        release(&mut *rule, traffic, options.baseline, extra, seed)
                    })
                    .collect();
                let seeds = options.seeds as f64;
                let harmed = outcomes.iter().map(|outcome| outcome.harmed).sum::<f64>() / seeds;
                let aborted = outcomes.iter().filter(|outcome| outcome.aborted_at.is_some()).count() as f64 / seeds;
                let after = median(outcomes.iter().map(|outcome| outcome.aborted_at));
                let full = median(outcomes.iter().map(|outcome| outcome.full_at));
                let shown = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.0}"));
                writeln!(
                    out,
                    "{:>6.1}%  {name:24}{harmed:>10.1}{:>9.1}%{:>12}{:>12}",
                    100.0 * extra,
                    100.0 * aborted,
                    shown(after),
                    shown(full)
                )?;
                rows.push(json!({
                    "rule": name, "traffic": traffic.name, "extra_error": extra, "harmed_sessions": harmed,
                    "seconds_to_abort": after, "false_aborts": (extra < 0.01).then_some(aborted), "seconds_to_full": full,
                    "aborted": aborted,
                }));
            }
        }
    }
    if options.json {
        writeln!(out, "{}", Value::from_iter([("rows", Value::from(rows))]))?;
    }
    Ok(())
}

mod methods {
    //! Tests that could stand in the guard's place, by the candidate's sessions that each needs at a share of 10 %.

    use super::*;

    /// Nobody waits for more.
    const MOST: u64 = 40_000;
    /// Sessions of the baseline for each of the candidate.
    const BASE: u64 = 9;

    trait Test {
        fn is_harmful(&mut self, block: Both, seen: Both) -> bool;
    }

    /// A block without anything new against the candidate hardly turns a verdict; looking at each would only take longer.
    fn may_turn(block: Both, seen: Both) -> bool {
        block[0].failed > 0 || seen[0].begun.is_multiple_of(64)
    }

    struct Joint(Guard);

    impl Test for Joint {
        fn is_harmful(&mut self, block: Both, seen: Both) -> bool {
            may_turn(block, seen)
                && self.0.finding(&Evidence::compared(seen[0].sessions(), seen[1].sessions())) == Finding::Harmful
        }
    }

    /// A confidence sequence for each rate, with half of the false alarms each.
    struct Split(Guard);

    impl Test for Split {
        fn is_harmful(&mut self, block: Both, seen: Both) -> bool {
            if !may_turn(block, seen) {
                return false;
            }
            let [candidate, baseline] = seen.map(|side| self.0.judge(&Evidence::Alone(side.sessions())).extra);
            candidate.low - baseline.high > 0.01
        }
    }

    /// The E-variables of Turner, Ly and Grünwald (2024) for blocks of one session of the candidate and nine of the baseline: the rates
    /// are predicted from the blocks before, and the null hypothesis has the rates nearest to them.
    #[derive(Default)]
    struct Blocks {
        evidence: f64,
        before: Both,
    }

    impl Test for Blocks {
        fn is_harmful(&mut self, block: Both, seen: Both) -> bool {
            let predicted = |side: Count, failed: f64, good: f64| {
                (side.failed as f64 + failed) / (side.begun as f64 + failed + good)
            };
            let (one, other) = (predicted(self.before[0], 0.3, 1.0), predicted(self.before[1], 0.2, 5.0));
            self.before = seen;
            if one - other > 0.01 {
                let (mut low, mut high) = (other, one - 0.01);
                for _ in 0..50 {
                    let rate = 0.5 * (low + high);
                    let slope = |own: f64, rate: f64| (1.0 - own) / (1.0 - rate) - own / rate;
                    if slope(one, rate + 0.01) + BASE as f64 * slope(other, rate) > 0.0 {
                        high = rate
                    } else {
                        low = rate
                    }
                }
                let gain = |count: Count, own: f64, null: f64| {
                    count.failed as f64 * (own / null).ln()
                        + (count.begun - count.failed) as f64 * ((1.0 - own) / (1.0 - null)).ln()
                };
                let rate = 0.5 * (low + high);
                self.evidence += gain(block[0], one, rate + 0.01) + gain(block[1], other, rate);
            }
            self.evidence >= 100_f64.ln()
        }
    }

    fn needed(test: &mut dyn Test, baseline: f64, extra: f64, seed: u64) -> u64 {
        let mut random = Random(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        let mut seen = Both::default();
        for candidate in 1..=MOST {
            let mut block = [Count { begun: 1, failed: 0 }, Count { begun: BASE, failed: 0 }];
            block[0].failed = u64::from(random.number() < baseline + extra);
            block[1].failed = (0..BASE).filter(|_| random.number() < baseline).count() as u64;
            for side in [0, 1] {
                seen[side].begun += block[side].begun;
                seen[side].failed += block[side].failed;
            }
            if test.is_harmful(block, seen) {
                return candidate;
            }
        }
        MOST
    }

    pub(super) fn compare(options: &Options, out: &mut dyn io::Write) -> io::Result<()> {
        writeln!(out, "sessions of the candidate until it is found harmful, mean of {} seeds", options.seeds)?;
        writeln!(out, "{:>8}{:>8}{:>12}{:>12}{:>12}", "baseline", "extra", "joint", "split", "blocks")?;
        let half = Guard::default().with_false_alarm(Rate::new(0.005).expect("a rate")).expect("valid");
        for baseline in [0.0, 0.001, 0.01, 0.05] {
            for extra in [0.02, 0.05, 0.2, 0.9] {
                let mean = |test: &dyn Fn() -> Box<dyn Test>| {
                    let all = (0..options.seeds).map(|seed| needed(&mut *test(), baseline, extra, seed));
                    all.sum::<u64>() as f64 / options.seeds as f64
                };
                let joint = mean(&|| Box::new(Joint(Guard::default())));
                let split = mean(&|| Box::new(Split(half)));
                let blocks = mean(&|| Box::new(Blocks::default()));
                writeln!(out, "{baseline:>8}{extra:>8}{joint:>12.1}{split:>12.1}{blocks:>12.1}")?;
            }
        }
        Ok(())
    }
}
