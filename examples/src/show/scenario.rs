//! The course of the main example: release after release under load, until only the last version is left.

use std::io;
use std::path::Path;
use std::time::Duration;

use haddock_core::VersionId;
use procfs::process::Process;

use super::arguments::{Arguments, Sabotage};
use super::breaker::Breaker;
use super::director::Director;
use super::house::House;
use super::load::Load;
use super::outcome::{AtSwitch, Outcome, Wanted};
use crate::client::{Options, Report};

/// Nothing of a run takes longer, but a drain.
const LIMIT: Duration = Duration::from_secs(60);
/// In how long the sessions of a version leave once they are told to.
const LEAVE_OVER: Duration = Duration::from_secs(3);

/// Plays the course in the house, with `program` as the client, and judges it.
///
/// # Errors
/// When something other than the releases themselves fails, such as the client.
pub async fn perform(house: &House, arguments: &Arguments, program: &Path) -> io::Result<(Outcome, Director)> {
    let wanted = Wanted {
        sessions: u64::from(arguments.sessions),
        versions: u64::from(arguments.versions),
        idle: arguments.idle,
    };
    let mut director = Director::new(house.clock().clone());

    director.say(&format!("{house}: version 1 comes up"));
    house.release(1).await?;
    director.until(house, "version 1 settles", LIMIT, |story, _| has_ended(story, 1)).await?;

    let breaker = match arguments.sabotage {
        Some(Sabotage::DropRequest) => Some(Breaker::start(house.address()).await?),
        _ => None,
    };
    let target = breaker.as_ref().map_or(house.address(), Breaker::address);
    director.attach(Load::start(program, &load(arguments, target))?);
    director.until(house, "the load is complete", LIMIT, |_, report| is_complete(report, arguments.sessions)).await?;

    let (mut at_switch, mut memory_mib) = (Vec::new(), Vec::new());
    for number in 2..=arguments.versions {
        let version = u64::from(number);
        house.release(number).await?;
        let what = format!("version {number} is given new sessions");
        director
            .until(house, &what, LIMIT, |story, _| story.has_served(VersionId(version)) || has_ended(story, version))
            .await?;
        if director.story().has_served(VersionId(version)) {
            at_switch.push(AtSwitch::from(director.report()));
        }
        let what = format!("version {number} settles");
        director.until(house, &what, LIMIT, |story, _| has_ended(story, version)).await?;
        memory_mib.push(resident_mib()?);
        if number == 2 {
            do_wrong(house, arguments.sabotage, breaker.as_ref(), &mut director).await?;
        }
        if number > 2 {
            director.leave(&format!("v{}", number - 2), LEAVE_OVER).await?;
        }
    }
    director.leave(&format!("v{}", arguments.versions - 1), LEAVE_OVER).await?;
    let limit = LIMIT + 2 * arguments.idle;
    let last = VersionId(u64::from(arguments.versions));
    director.until(house, "only the last version is left", limit, |story, _| story.is_alone(last)).await?;
    // The last one carries the whole load for a moment: a mistake at the very end would show.
    director.watch(house, Duration::from_secs(1)).await?;

    let outcome = Outcome {
        versions_released: director.story().releases(),
        instances_left: house.site().instances().await?,
        max_versions_at_once: director.timeline().most_at_once(),
        drain_seconds: director.story().drain_seconds(),
        at_switch,
        memory_mib,
        sabotage: arguments.sabotage.map(|sabotage| format!("{sabotage:?}")),
        ..Outcome::default()
    };
    let summary = director.stop().await?;
    let seconds = director.seconds();
    Ok((Outcome { seconds, ..outcome.with_summary(summary) }.judged(&wanted), director))
}

/// Memory of this process, in MiB.
fn resident_mib() -> io::Result<f64> {
    let status = Process::myself().and_then(|process| process.status()).map_err(io::Error::other)?;
    // It is given in KiB.
    Ok(status.vmrss.unwrap_or(0) as f64 / 1024.0)
}

/// What is done wrong on purpose, while the first version drains with its sessions.
async fn do_wrong(
    house: &House,
    sabotage: Option<Sabotage>,
    breaker: Option<&Breaker>,
    director: &mut Director,
) -> io::Result<()> {
    let first: Vec<_> = director.story().instances(VersionId(1)).cloned().collect();
    match sabotage {
        None => return Ok(()),
        Some(Sabotage::StopEarly) => {
            director.say("SABOTAGE: version 1 is stopped behind the controller's back");
            for instance in &first {
                house.stop_behind_the_back(instance).await?;
            }
        }
        Some(Sabotage::MoveSessions) => {
            director.say("SABOTAGE: the sessions of version 1 are given away");
            for instance in &first {
                house.evict_behind_the_back(instance).await?;
            }
        }
        Some(Sabotage::DropRequest) => {
            director.say("SABOTAGE: a connection with a request in flight is cut");
            let breaker = breaker.ok_or_else(|| io::Error::other("the sabotage needs the breaker"))?;
            let cut = async {
                while !breaker.cut_one() {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(LIMIT, cut).await.map_err(|_| io::Error::other("no request was in flight"))?;
        }
    }
    // Long enough for each session to notice.
    director.watch(house, Duration::from_secs(3)).await
}

fn has_ended(story: &super::Story, version: u64) -> bool {
    story.has_settled(VersionId(version)) || story.aborted(VersionId(version)).is_some()
}

/// Sessions that come and go, and some that stay until they are told to leave.
fn load(arguments: &Arguments, target: std::net::SocketAddr) -> Options {
    Options {
        sessions: arguments.sessions as usize,
        rate: arguments.rate,
        stay: Some(Duration::from_secs(4)),
        residents: 0.4,
        idle: arguments.idle,
        arrivals: f64::from(arguments.sessions).max(50.0),
        ..Options::new(target)
    }
}

fn is_complete(report: &Report, sessions: u32) -> bool {
    let sessions = u64::from(sessions);
    let seen = AtSwitch::from(report);
    seen.sessions >= sessions && seen.in_flight >= sessions.min(200) / 10 && seen.websockets >= sessions.min(200) / 20
}
