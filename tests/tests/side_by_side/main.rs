//! The same bytes through HAProxy and through the gateway: what each answers, and what the instance behind it sees.
//!
//! Where the two differ, the case says what each does, and why the gateway does it so. A proxy that is nearly everywhere is
//! the measure: what it takes, clients send; what it refuses, nobody misses.
//!
//! What it does is written down as version 2.6 does it. Another may do otherwise: then that is said, and the gateway alone is
//! held to what is written down.

mod cases;
mod proxies;

use std::fmt::Write as _;
use std::time::Duration;

use cases::{CASES, Case};
use proxies::{SILENCES, Side, start};

/// What became of a case, in one line each for the client and the instance.
async fn outcome(side: &Side, case: &Case, silence: Duration) -> String {
    let answers = side.send(case.sent, silence).await;
    let seen = side.seen();
    let seen = if seen.is_empty() { "nothing".to_owned() } else { seen.join(" | ") };
    format!("{answers} <- {seen}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn raw_requests_are_treated_alike_or_for_a_reason() {
    assert!(CASES.len() >= 40, "{} cases", CASES.len());
    let Some((haproxy, gateway)) = start().await else { return };
    let as_written = haproxy.version().is_some_and(|version| version.starts_with("2.6"));
    let (mut wrong, mut otherwise) = (String::new(), String::new());
    for case in CASES {
        let (mut theirs, mut ours, mut right) = (String::new(), String::new(), false);
        for silence in SILENCES {
            (theirs, ours) = tokio::join!(outcome(&haproxy, case, silence), outcome(&gateway, case, silence));
            right = match case.differs {
                None => ours == theirs,
                Some(differs) => ours == differs.gateway && (theirs == differs.haproxy || !as_written),
            };
            if right {
                break;
            }
        }
        let told = if as_written || case.differs.is_some() { &mut wrong } else { &mut otherwise };
        if !right {
            let wanted = case
                .differs
                .map_or(String::new(), |it| format!("\n  wanted   {}\n           {}", it.haproxy, it.gateway));
            writeln!(told, "{}\n  haproxy  {theirs}\n  gateway  {ours}{wanted}", case.what)
                .expect("a string takes all");
        }
    }
    if !otherwise.is_empty() {
        eprintln!("HAProxy {:?} does otherwise than the gateway:\n{otherwise}", haproxy.version());
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
