use super::*;
use crate::container::ContainerId;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const POLICY: IdlePolicy =
    IdlePolicy { stop_after: Some(Duration::from_secs(HOUR)), remove_after: Some(Duration::from_secs(7 * DAY)) };

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn life(started: u64) -> Life {
    Life { incarnation: Incarnation { container: ContainerId("web".to_owned()), started }, cpu: 0, bytes: 0 }
}

fn look(seconds: u64) -> Activity {
    Activity {
        at: at(seconds),
        lives: vec![life(1)],
        running: true,
        restarting: false,
        connections: 0,
        sessions: BTreeSet::new(),
        checking: 0,
    }
}

fn stopped(seconds: u64) -> Activity {
    Activity { lives: Vec::new(), running: false, ..look(seconds) }
}

fn judge(memory: &mut Memory, look: Activity) -> IdleVerdict {
    let now = look.at;
    memory.judge(Some(look), now, &POLICY, None)
}

/// An environment that was looked at each minute between these times, and was always idle.
fn idle(from: u64, until: u64) -> Memory {
    let mut memory = Memory::default();
    for minute in from / MINUTE..=until / MINUTE {
        judge(&mut memory, look(minute * MINUTE));
    }
    memory
}

fn is_idle_for(verdict: &IdleVerdict, seconds: u64) -> bool {
    *verdict == IdleVerdict::Idle { idle: Duration::from_secs(seconds) }
}

#[test]
fn one_that_was_never_used_is_stopped_and_then_removed() {
    let mut memory = Memory::default();
    assert!(is_idle_for(&judge(&mut memory, look(0)), 0));
    for minute in 1..60 {
        assert!(is_idle_for(&judge(&mut memory, look(minute * MINUTE)), minute * MINUTE));
    }
    assert!(matches!(judge(&mut memory, look(HOUR)), IdleVerdict::Stop { .. }));
    for hour in 2..7 * 24 {
        assert!(is_idle_for(&judge(&mut memory, stopped(hour * HOUR)), hour * HOUR));
    }
    assert!(matches!(judge(&mut memory, stopped(7 * DAY)), IdleVerdict::Remove { .. }));
}

#[test]
fn a_single_idle_look_ends_nothing() {
    let mut memory = Memory::default();
    let none = IdlePolicy { stop_after: Some(Duration::ZERO), remove_after: Some(Duration::ZERO) };
    assert!(matches!(memory.judge(Some(look(900)), at(900), &none, None), IdleVerdict::Idle { .. }));
}

#[test]
fn the_shortest_limit_is_reached_by_what_is_remembered() {
    let policy = IdlePolicy { stop_after: Some(Duration::from_millis(1)), remove_after: None };
    let mut memory = Memory::default();
    let verdicts: Vec<IdleVerdict> = (0..3)
        .map(|second| {
            let verdict = memory.judge(Some(look(second)), at(second), &policy, None);
            memory = serde_json::from_slice(&serde_json::to_vec(&memory).expect("written")).expect("read");
            verdict
        })
        .collect();
    assert!(matches!(verdicts[2], IdleVerdict::Stop { .. }), "{verdicts:?}");
}

#[test]
fn a_gap_between_two_looks_ends_nothing_by_itself() {
    // A weekend with the lid closed, a clock that went forward by years, a monitor that did not run.
    for gap in [3 * DAY, 5000 * DAY] {
        for mut memory in [idle(0, 0), idle(0, 29 * MINUTE)] {
            let verdict = judge(&mut memory, look(29 * MINUTE + gap));
            assert!(matches!(verdict, IdleVerdict::Idle { .. }), "{verdict:?}");
        }
    }
    // Looks that are a day apart end it, too.
    let mut memory = Memory::default();
    let verdicts: Vec<IdleVerdict> = (0..4).map(|day| judge(&mut memory, look(day * DAY))).collect();
    assert!(verdicts.iter().any(|verdict| matches!(verdict, IdleVerdict::Stop { .. })), "{verdicts:?}");
    let verdicts: Vec<IdleVerdict> = (4..14).map(|day| judge(&mut memory, stopped(day * DAY))).collect();
    assert!(verdicts.iter().any(|verdict| matches!(verdict, IdleVerdict::Remove { .. })), "{verdicts:?}");
}

#[test]
fn a_clock_that_was_set_back_ends_nothing_and_keeps_nothing_for_ever() {
    let mut memory = idle(10 * DAY, 10 * DAY + 59 * MINUTE);
    assert!(is_idle_for(&judge(&mut memory, look(DAY)), 59 * MINUTE));
    assert!(matches!(judge(&mut memory, look(DAY + MINUTE)), IdleVerdict::Stop { .. }));
}

#[test]
fn one_that_was_started_again_is_in_use() {
    let again = |seconds: u64, started: u64| Activity { lives: vec![life(started)], ..look(seconds) };
    // Stopped for a day, or restarted between two looks.
    for stops in [true, false] {
        let mut memory = idle(0, 59 * MINUTE);
        if stops {
            judge(&mut memory, stopped(HOUR));
        }
        let verdict = judge(&mut memory, again(DAY, 2));
        assert_eq!(verdict, IdleVerdict::Used { why: "it was started".to_owned() });
        assert!(is_idle_for(&judge(&mut memory, again(DAY + MINUTE, 2)), MINUTE));
    }
    // What the engine restarts for ever, because it always fails, is not in use. This is also so while it waits for its
    // next start.
    for waits in [false, true] {
        let mut memory = idle(0, 0);
        let next = |n: u64| match waits && n.is_multiple_of(2) {
            true => Activity { lives: Vec::new(), restarting: true, ..look(n * MINUTE) },
            false => again(n * MINUTE, n + 1),
        };
        let verdicts: Vec<IdleVerdict> = (1..70).map(|n| judge(&mut memory, next(n))).collect();
        assert!(verdicts.iter().any(|verdict| matches!(verdict, IdleVerdict::Stop { .. })), "{verdicts:?}");
    }
}

#[test]
fn each_kind_of_use_keeps_it() {
    let with = |cpu: u64, bytes: u64| Activity { lives: vec![Life { cpu, bytes, ..life(1) }], ..look(HOUR) };
    let silent = Activity { connections: 1, ..look(HOUR) };
    let busy = with(360_000_000_000, 0);
    let chatty = with(0, 6_000_000);
    for used in [Some(silent), Some(busy), Some(chatty), None] {
        let mut memory = idle(0, 59 * MINUTE);
        let verdict = memory.judge(used.clone(), at(HOUR), &POLICY, None);
        assert!(matches!(verdict, IdleVerdict::Used { .. }), "{used:?}");
        let verdict = judge(&mut memory, Activity { at: at(HOUR + MINUTE), ..used.unwrap_or_else(|| look(0)) });
        if let IdleVerdict::Idle { idle } = verdict {
            assert!(idle <= Duration::from_secs(MINUTE), "the look before counts, not one that is long ago");
        }
    }
}

#[test]
fn what_one_container_does_is_not_hidden_by_another_that_ended() {
    let other = |cpu: u64| Life {
        incarnation: Incarnation { container: ContainerId("job".to_owned()), started: 1 },
        cpu,
        bytes: 0,
    };
    let mut memory = Memory::default();
    judge(&mut memory, Activity { lives: vec![life(1), other(900_000_000_000)], ..look(0) });
    let busy = Activity { lives: vec![Life { cpu: 30_000_000_000, ..life(1) }], ..look(MINUTE) };
    assert!(matches!(judge(&mut memory, busy), IdleVerdict::Used { .. }));
}

#[test]
fn a_command_counts_while_it_is_the_same_and_health_checks_do_not() {
    let with = |seconds: u64, id: &str| Activity { sessions: BTreeSet::from([id.to_owned()]), ..look(seconds) };
    let mut memory = Memory::default();
    judge(&mut memory, with(0, "check-1"));
    assert!(matches!(judge(&mut memory, with(60, "check-2")), IdleVerdict::Idle { .. }));
    assert!(matches!(judge(&mut memory, with(61, "check-2")), IdleVerdict::Used { .. }));
}

#[test]
fn the_noise_of_health_checks_is_none() {
    // Checks that take a fifth of the time may take a fifth of a processor, and no more.
    for (cpu, bytes, checking, idle) in
        [(1, 30_000, 0, true), (14, 0, 200, true), (14, 0, 0, false), (16, 0, 200, false), (40, 0, 5_000, false)]
    {
        let mut memory = Memory::default();
        judge(&mut memory, look(0));
        let lives = vec![Life { cpu: cpu * 1_000_000_000, bytes, ..life(1) }];
        let verdict = judge(&mut memory, Activity { lives, checking, ..look(60) });
        assert_eq!(matches!(verdict, IdleVerdict::Idle { .. }), idle, "{cpu} s, {checking}: {verdict:?}");
    }
}

#[test]
fn who_keeps_it_is_heard_and_time_in_which_it_was_kept_is_not_idle() {
    let keep = Some(at(DAY));
    // With and without looks while it is kept; running and stopped.
    for (looks, runs) in [(true, true), (false, true), (true, false), (false, false)] {
        let seen = |seconds: u64| if runs { look(seconds) } else { stopped(seconds) };
        let mut memory = Memory::default();
        memory.judge(Some(seen(0)), at(0), &POLICY, keep);
        for hour in (1..24).filter(|_| looks) {
            let verdict = memory.judge(Some(seen(hour * HOUR)), at(hour * HOUR), &POLICY, keep);
            assert_eq!(verdict, IdleVerdict::Used { why: "somebody keeps it".to_owned() });
        }
        let verdict = memory.judge(Some(seen(DAY + MINUTE)), at(DAY + MINUTE), &POLICY, keep);
        assert!(is_idle_for(&verdict, MINUTE), "{verdict:?}");
    }
}
