use super::*;

fn at(text: &str) -> Timestamp {
    let at: jiff::Timestamp = text.parse().expect(text);
    Timestamp::from_millis(u64::try_from(at.as_millisecond()).expect("after 1970"))
}

fn freeze(text: &str) -> Freeze {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

const WEEKEND: &str = "Fri 16:00 – Mon 08:00 Europe/Stockholm";

#[test]
fn it_is_written_in_several_ways() {
    for text in [
        "Fri 16:00 - Mon 08:00 Europe/Stockholm",
        "Fri 16:00-Mon 08:00 Europe/Stockholm",
        "Fri 16:00—Mon 08:00 Europe/Stockholm",
        "friday 16:00 to MONDAY 8:00 europe/stockholm",
        "  Fri 16:00 TO Mon 08:00   Europe/Stockholm ",
    ] {
        assert_eq!(freeze(text), freeze(WEEKEND), "{text}");
    }
    assert_ne!(freeze("Fri 16:00 – Mon 08:00 UTC"), freeze(WEEKEND));
    assert_eq!(
        freeze("Fri 16:00-Mon 08:00 America/Port-au-Prince").to_string(),
        "Fri 16:00-Mon 08:00 America/Port-au-Prince"
    );
}

#[test]
fn what_cannot_be_read_says_why() {
    for (text, why) in [
        ("", "two times"),
        ("Fri – Mon Europe/Stockholm", "two times"),
        ("Fri 16:00 – Mon 08:00", "time zone"),
        ("Fri 16:00 – Mon 25:00 UTC", "`25:00` is not a time"),
        ("Fri 16:60 – Mon 08:00 UTC", "`16:60` is not a time"),
        ("Fre 16:00 – Mon 08:00 UTC", "`Fre` is not a weekday"),
        ("Fri 16:00 – 08:00 UTC", "the other has none"),
        ("Fri 16:00 – 2030-01-02 08:00 UTC", "a date"),
        ("Fri 16:00 – Mon 08:00 Europe/Stockhlm", "`Europe/Stockhlm` is not a time zone"),
        ("Fri 16:00 – Fri 16:00 UTC", "never end"),
        ("06:00 – 06:00 UTC", "never end"),
        ("2030-01-02 08:00 – 2030-01-01 08:00 UTC", "before it begins"),
    ] {
        let error = text.parse::<Freeze>().expect_err(text);
        assert_eq!(error.kind(), ErrorKind::InvalidValue, "{text}");
        assert!(error.message().contains(why) && error.hint().is_some(), "{text}: {error}");
    }
}

#[test]
fn it_begins_and_ends_to_the_millisecond() {
    // In December, Stockholm is one hour ahead. 2026-12-04 is a Friday.
    let (window, end) = (freeze(WEEKEND), at("2026-12-07T07:00:00Z"));
    for (now, expected) in [
        ("2026-12-04T14:59:59.999Z", None),
        ("2026-12-04T15:00:00Z", Some(end)),
        ("2026-12-05T12:00:00Z", Some(end)),
        ("2026-12-07T06:59:59.999Z", Some(end)),
        ("2026-12-07T07:00:00Z", None),
        ("2026-12-09T12:00:00Z", None),
    ] {
        assert_eq!(window.until(at(now)), expected, "{now}");
    }
    assert_eq!(window.shown(end), "Mon 2026-12-07 08:00 Europe/Stockholm");
}

#[test]
fn clocks_that_are_set_forward_or_back_are_followed() {
    let window = freeze(WEEKEND);
    // Clocks go forward on Sunday 2026-03-29: the window is an hour shorter.
    assert_eq!(window.until(at("2026-03-27T15:00:00Z")), Some(at("2026-03-30T06:00:00Z")));
    assert_eq!(window.until(at("2026-03-30T05:59:59Z")), Some(at("2026-03-30T06:00:00Z")));
    assert_eq!(window.until(at("2026-03-30T06:00:00Z")), None);
    // They go back on Sunday 2026-10-25: it is an hour longer.
    assert_eq!(window.until(at("2026-10-23T13:59:59Z")), None);
    assert_eq!(window.until(at("2026-10-23T14:00:00Z")), Some(at("2026-10-26T07:00:00Z")));
    assert_eq!(window.until(at("2026-10-26T06:59:59Z")), Some(at("2026-10-26T07:00:00Z")));
    // 02:30 does not exist on 2026-03-29, and means 03:30; it comes twice on 2026-10-25, and the first one counts.
    let night = freeze("Sun 02:30 – Sun 06:00 Europe/Stockholm");
    assert_eq!(night.until(at("2026-03-29T01:29:59Z")), None);
    assert_eq!(night.until(at("2026-03-29T01:30:00Z")), Some(at("2026-03-29T04:00:00Z")));
    assert_eq!(night.until(at("2026-10-25T00:29:59Z")), None);
    assert_eq!(night.until(at("2026-10-25T00:30:00Z")), Some(at("2026-10-25T05:00:00Z")));
}

#[test]
fn a_window_may_be_of_each_day_or_of_one_time() {
    let night = freeze("22:00 – 06:00 UTC");
    assert_eq!(night.until(at("2026-12-04T21:59:59Z")), None);
    assert_eq!(night.until(at("2026-12-04T22:00:00Z")), Some(at("2026-12-05T06:00:00Z")));
    assert_eq!(night.until(at("2026-12-05T05:59:59Z")), Some(at("2026-12-05T06:00:00Z")));
    let christmas = freeze("2026-12-20 12:00 – 2027-01-07 08:00 Europe/Stockholm");
    assert_eq!(christmas.until(at("2026-12-20T10:59:59Z")), None);
    assert_eq!(christmas.until(at("2026-12-20T11:00:00Z")), Some(at("2027-01-07T07:00:00Z")));
    assert_eq!(christmas.until(at("2027-01-07T07:00:00Z")), None);
    assert_eq!(christmas.until(at("2027-12-24T12:00:00Z")), None);
    // Over the end of the week.
    let whole = freeze("Wed 08:00 – Wed 07:00 UTC");
    assert_eq!(whole.until(at("2026-12-09T07:30:00Z")), None);
    assert_eq!(whole.until(at("2026-12-09T06:59:59Z")), Some(at("2026-12-09T07:00:00Z")));
}

#[test]
fn windows_without_a_gap_are_one_freeze() {
    let windows = [freeze("22:00 – 06:00 UTC"), freeze("Sat 06:00 – Sun 22:00 UTC")];
    let (until, last) = frozen_until(&windows, at("2026-12-04T23:00:00Z")).expect("frozen");
    assert_eq!((until, last), (at("2026-12-07T06:00:00Z"), &windows[0]));
    assert_eq!(frozen_until(&windows, at("2026-12-07T06:00:00Z")), None);
    // It never ends, and that is no endless loop.
    let always = [freeze("06:00 – 18:00 UTC"), freeze("18:00 – 06:00 UTC")];
    assert!(frozen_until(&always, at("2026-12-04T23:00:00Z")).is_some());
}
