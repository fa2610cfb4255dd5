//! Which room may use which: a room is a file or a folder of `src`.

use std::collections::BTreeSet;

use crate::source::{SOURCE, root};

/// Every room, lowest first, with all that it uses. A room uses only what stands above it in this list.
const ROOMS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("mask", &[]),
    ("time", &[]),
    ("name", &["error"]),
    ("routing", &["error", "name", "time"]),
    ("container", &["error", "name", "time"]),
    ("image", &["error", "name", "time", "container"]),
    ("vcs", &["error", "image", "time"]),
    ("value", &["error", "routing"]),
    ("settings", &["name", "routing"]),
    ("progress", &["container", "name"]),
    ("runtime", &["error", "mask", "time", "name", "container", "image", "progress"]),
    ("locator", &["error", "time", "name", "routing"]),
    ("release", &["error", "time", "name", "routing", "container", "settings"]),
    ("report", &["error", "time", "name", "routing", "release"]),
    ("journal", &["error", "time", "name", "routing", "value", "release"]),
    (
        "environment",
        &["error", "mask", "time", "name", "routing", "container", "image", "value", "settings", "progress", "runtime"],
    ),
    (
        "rehearsal",
        &["error", "time", "name", "routing", "container", "value", "settings", "release", "report", "environment"],
    ),
    ("build", &["error", "time", "name", "image", "runtime", "environment"]),
    (
        "controller",
        &[
            "error",
            "time",
            "name",
            "routing",
            "container",
            "runtime",
            "locator",
            "release",
            "report",
            "journal",
            "environment",
        ],
    ),
    ("follow", &["error", "time", "name", "image", "runtime", "release", "environment", "controller"]),
    (
        "testing",
        &[
            "error",
            "time",
            "name",
            "routing",
            "container",
            "image",
            "runtime",
            "locator",
            "release",
            "journal",
            "environment",
            "controller",
        ],
    ),
];

fn room_of(file: &str) -> &str {
    file.split('/').next().unwrap_or_default().trim_end_matches(".rs")
}

#[test]
fn rooms_use_what_stands_above_them() {
    let mut used: BTreeSet<(String, String)> = BTreeSet::new();
    let mut wrong = String::new();
    let allowed: BTreeSet<(String, String)> = ROOMS
        .iter()
        .flat_map(|(room, uses)| uses.iter().map(|used| ((*room).to_owned(), (*used).to_owned())))
        .collect();
    for file in SOURCE.files.iter().filter(|file| file.name != "lib.rs") {
        let room = room_of(&file.name);
        for path in &file.paths {
            let Some(absolute) = SOURCE.absolute(file, path) else { continue };
            let named = absolute.first().filter(|first| ROOMS.iter().any(|(room, _)| room == first)).cloned();
            // What `lib.rs` re-exports counts for the room that defines it.
            let defined = || SOURCE.definition(file, path).map(|other| room_of(&SOURCE.files[other].name).to_owned());
            let Some(other) = named.or_else(defined).filter(|other| other != room) else { continue };
            let edge = (room.to_owned(), other);
            if !allowed.contains(&edge) {
                wrong +=
                    &format!("\n`{}` names `{}`: `{}` does not use `{}`", file.name, path.join("::"), edge.0, edge.1);
            }
            used.insert(edge);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let unused: Vec<_> = allowed.difference(&used).collect();
    assert!(unused.is_empty(), "no longer used: {unused:?}");
}

#[test]
fn the_list_of_rooms_is_whole_and_in_order() {
    let files = SOURCE.files.iter().map(|file| room_of(&file.name)).filter(|room| *room != "lib");
    let listed = ROOMS.iter().map(|(room, _)| *room);
    assert_eq!(files.collect::<BTreeSet<_>>(), listed.collect::<BTreeSet<_>>());
    for (position, (room, uses)) in ROOMS.iter().enumerate() {
        assert!(root().join(room).is_dir() || root().join(format!("{room}.rs")).is_file(), "there is no `{room}`");
        for used in *uses {
            let above = ROOMS[..position].iter().any(|(other, _)| other == used);
            assert!(above, "`{used}` does not stand above `{room}`");
        }
    }
}
