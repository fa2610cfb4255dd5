//! The report page: what is on it, that nothing breaks out of it, and that it stays small.

use std::time::Duration;

use haddock_core::report::{Conclusion, Fact, Gap, Line, Mark, Page, Scale, Table, Tone};
use haddock_core::{Share, Timestamp};

/// 24 November 2026, 10:00.
const BEGIN: Timestamp = Timestamp::from_millis(1_795_514_400_000);

fn at(minute: u64) -> Timestamp {
    BEGIN + Duration::from_secs(60 * minute)
}

/// A release that goes well, with an old version that drains.
fn good() -> Page {
    let mut page = Page::new("accounting: release of version 8", at(0), at(180));
    page.subtitle = "main-3f2a1bc, commit 3f2a1bc, asked for by `me`".to_owned();
    let text = "version 8 has had all new sessions since 10:40 and is the known good one".to_owned();
    page.conclusion = Some(Conclusion { tone: Tone::Good, word: "settled".to_owned(), text });
    page.facts = vec![
        Fact::new("until the full share", "40 min"),
        Fact::new("until version 7 was gone", "2 h 48 min"),
        Fact { note: "of 4 812 begun".to_owned(), ..Fact::new("sessions failed on version 8", "3") },
        Fact::new("sessions lost", "0"),
    ];
    let stages = [(0, 0), (12, 10), (24, 50), (40, 100)];
    let new = stages.map(|(minute, percent)| (at(minute), Share::percent(percent)));
    let old = stages.map(|(minute, percent)| (at(minute), Share::percent(percent).rest()));
    let rise = |minute: u64, from: u64| minute.saturating_sub(from);
    let old_live = (0..=168).map(|minute| {
        let falls = rise(minute, 30) * 9 + rise(minute, 90) * 2;
        (at(minute), Some((1000 + minute % 5 * 7).saturating_sub(falls)))
    });
    let new_live = (12..=180).map(|minute| {
        let grown = rise(minute, 12) + rise(minute, 24) * 5 + rise(minute, 40) * 5;
        (at(minute), (!(100..108).contains(&minute)).then_some(grown.min(960 + minute % 7 * 6)))
    });
    page.lines = vec![
        Line { shares: old.to_vec(), live: old_live.collect(), ..Line::new("version 7") },
        Line { candidate: true, shares: new.to_vec(), live: new_live.collect(), ..Line::new("version 8") },
    ];
    page.gaps = vec![Gap { from: at(100), to: at(108) }];
    let mark = |minute, tone, label: &str, text: &str| Mark::new(at(minute), tone, label, text);
    page.marks = vec![
        mark(0, Tone::Neutral, "begins", "the release of version 8 begins (app: registry.local/app:main-3f2a1bc)"),
        mark(3, Tone::Neutral, "launching", "version 8 is being launched"),
        mark(12, Tone::Neutral, "stage 10 %", "version 8 is to get 10% of the new sessions"),
        mark(24, Tone::Neutral, "stage 50 %", "version 8 is to get 50% of the new sessions"),
        mark(40, Tone::Neutral, "stage 100 %", "version 8 is to get 100% of the new sessions"),
        mark(50, Tone::Good, "settled", "version 8 has settled"),
        mark(168, Tone::Neutral, "gone", "instance `accounting-7` of version 7 is gone"),
    ];
    page.tables = vec![Table {
        caption: "Sessions by version".to_owned(),
        head: ["version", "begun", "failed", "failed of begun"].map(str::to_owned).to_vec(),
        rows: [["version 7", "3 120", "2", "0.06 %"], ["version 8", "4 812", "3", "0.06 %"]]
            .map(|row| row.map(str::to_owned).to_vec())
            .to_vec(),
    }];
    page
}

/// A release of a version with faults, and many versions at once.
fn aborted() -> Page {
    let mut page = Page::new("shop: release of version 12", at(0), at(30));
    page.scale = Scale::Since(at(0));
    let text = "its failed sessions exceed those of version 11 by more than 1 %".to_owned();
    page.conclusion = Some(Conclusion { tone: Tone::Bad, word: "aborted".to_owned(), text });
    for version in 8..=12_u64 {
        let live =
            (0..=30).map(|minute| (at(minute), Some((version * 40 + minute * (version % 3)) * (30 - minute) / 30)));
        let share = if version == 12 {
            [0, 10, 25, 0]
        } else if version == 11 {
            [100, 90, 75, 100]
        } else {
            [0; 4]
        };
        let shares = [0, 5, 12, 19].into_iter().zip(share).map(|(minute, share)| (at(minute), Share::percent(share)));
        page.lines.push(Line {
            candidate: version == 12,
            shares: shares.collect(),
            live: live.collect(),
            ..Line::new(format!("version {version}"))
        });
    }
    page.marks = (0..9)
        .map(|n| Mark::new(at(4 + n / 3), Tone::Neutral, "stage", format!("the event with number {n}")))
        .chain([Mark::new(
            at(19),
            Tone::Bad,
            "aborted",
            "the release of version 12 was aborted: too many failed sessions",
        )])
        .collect();
    page
}

/// More of everything than a page can show.
fn too_much() -> Page {
    let mut page = good();
    page.lines = (0..40)
        .map(|n| Line {
            live: (0..20_000)
                .map(|second| (BEGIN + Duration::from_secs(second), Some(second * 7919 % 999_983 + n)))
                .collect(),
            shares: (0..20_000)
                .map(|second| {
                    (
                        BEGIN + Duration::from_secs(second),
                        Share::basis_points(u32::try_from(second * 31 % 250).expect("small")),
                    )
                })
                .collect(),
            ..Line::new(format!("version {n}"))
        })
        .collect();
    let long = "a message of somebody who has much to say ".repeat(100);
    page.marks = (0..5000)
        .map(|n| {
            Mark::new(
                BEGIN + Duration::from_secs(2 * n),
                if n % 500 == 0 { Tone::Bad } else { Tone::Neutral },
                &long,
                &long,
            )
        })
        .collect();
    page.tables = vec![Table {
        caption: long.clone(),
        head: vec!["head".to_owned(); 100],
        rows: vec![vec!["12 345".to_owned(); 100]; 1000],
    }];
    page.notes = vec![long.clone(); 100];
    page.facts = vec![Fact::new(&long, &long); 100];
    page
}

/// For people and for the browser's test, which look at them.
fn written(name: &str, page: &Page) -> String {
    let html = page.html();
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(format!("{name}.html")), &html).expect("it can be written");
    html
}

#[test]
fn a_page_names_all_that_it_shows() {
    let html = written("good", &good());
    for text in [
        "accounting: release of version 8",
        "2026-11-24 10:00 to 2026-11-24 13:00 UTC, 3 h",
        "<strong>settled</strong>",
        "until version 7 was gone",
        "version 8 begins with 0\u{202f}%, has 10\u{202f}% at 10:12:00, has 50\u{202f}% at 10:24:00, has 100\u{202f}% at 10:40:00.",
        "version 7: at most 1\u{202f}028 at 10:04:00, 0 at 12:48:00.",
        "aria-label=\"6: 10:50:00, version 8 has settled\"",
        "no sessions were recorded",
        "<th scope=\"row\">version 8</th><td>4 812</td>",
    ] {
        assert!(html.contains(text), "{text} is missing");
    }
    assert_eq!(html.matches("class=\"gap\"").count(), 1);
    assert_eq!(html, good().html(), "the same page has the same bytes");
}

#[test]
fn a_page_of_what_did_not_happen_counts_from_its_begin() {
    let html = written("aborted", &aborted());
    assert!(html.contains("30 min in virtual time") && !html.contains("UTC"), "no date");
    assert!(html.contains("aria-label=\"10: 19 min, the release of version 12 was aborted"));
}

#[test]
fn a_page_loads_nothing_and_runs_nothing() {
    for page in [good(), aborted(), too_much()] {
        let html = page.html();
        assert!(html.contains("default-src 'none'"));
        for forbidden in ["<script", "src=", "@import", "http:", "https:", "javascript:", "<link", "<base"] {
            let found =
                html.match_indices(forbidden).filter(|(at, _)| !html[*at..].starts_with("http://www.w3.org/2000/svg"));
            assert_eq!(found.count(), 0, "{forbidden}");
        }
        let urls = html.match_indices("url(").filter(|(at, _)| !html[*at..].starts_with("url(#p"));
        assert_eq!(urls.count(), 0);
    }
}

#[test]
fn no_text_breaks_out() {
    let odd = "</title></style></svg>\"'><img src=x onerror=alert(1)>&amp;\u{1b}\u{202e}<script>";
    let mut page = good();
    (page.title, page.subtitle) = (odd.to_owned(), odd.to_owned());
    page.conclusion = Some(Conclusion { tone: Tone::Bad, word: odd.to_owned(), text: odd.to_owned() });
    page.lines[0].name = odd.to_owned();
    page.marks[0] = Mark::new(at(1), Tone::Bad, odd, odd);
    page.facts[0] = Fact { label: odd.to_owned(), value: odd.to_owned(), note: odd.to_owned() };
    page.tables[0] = Table { caption: odd.to_owned(), head: vec![odd.to_owned()], rows: vec![vec![odd.to_owned()]] };
    page.notes = vec![odd.to_owned()];
    let html = written("odd", &page);
    let plain = good().html();
    for tag in ["<img", "<script", "</style>", "</title>", "\u{1b}", "\u{202e}"] {
        // A mark has a title of its own.
        assert_eq!(html.matches(tag).count(), plain.matches(tag).count(), "{tag}");
    }
    assert!(html.contains("&lt;img src=x onerror=alert(1)&gt;&amp;amp;"));
}

#[test]
fn a_page_is_small_however_much_is_known() {
    let html = written("too_much", &too_much());
    assert!(html.len() <= 300 * 1024, "{} bytes", html.len());
    assert!(html.contains(" more are not shown."));
    assert_eq!(html.matches("class=\"mark bad\"").count(), 10, "bad news stays");
}

#[test]
fn what_is_empty_is_a_page_too() {
    let html = written("empty", &Page::new("shop", BEGIN, BEGIN));
    assert!(html.contains("not recorded") && !html.contains("NaN") && !html.contains("inf"));
}
