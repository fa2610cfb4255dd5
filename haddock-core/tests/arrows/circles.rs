//! No circles of files: two files that need each other are one file, or miss a third that both need.
//!
//! A file needs another if it names an item that is defined there: a module that only declares and re-exports is needed by
//! nobody. Methods are not looked at, since no path names them.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::SOURCE;

/// Which file needs which, and one path by which it does.
fn needs() -> BTreeMap<(usize, usize), String> {
    let mut needs = BTreeMap::new();
    for (index, file) in SOURCE.files.iter().enumerate() {
        for path in &file.paths {
            if let Some(other) = SOURCE.definition(file, path).filter(|other| *other != index) {
                needs.entry((index, other)).or_insert_with(|| path.join("::"));
            }
        }
    }
    needs
}

/// The sets of files that all need each other, by whatever way round.
fn circles(count: usize, needs: &BTreeMap<(usize, usize), String>) -> BTreeSet<BTreeSet<usize>> {
    let reached: Vec<BTreeSet<usize>> = (0..count)
        .map(|from| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(at) = next.pop() {
                let others = needs.range((at, 0)..(at + 1, 0)).map(|((_, other), _)| *other);
                next.extend(others.filter(|other| seen.insert(*other)));
            }
            seen
        })
        .collect();
    let circle = |from: usize| reached[from].iter().copied().filter(|to| reached[*to].contains(&from)).collect();
    (0..count).map(circle).filter(|circle: &BTreeSet<usize>| circle.len() > 1).collect()
}

#[test]
fn files_do_not_need_each_other() {
    let needs = needs();
    assert!(needs.len() > SOURCE.files.len(), "paths are not found any more");
    let name = |index: usize| SOURCE.files[index].name.as_str();
    let mut found = String::new();
    for circle in circles(SOURCE.files.len(), &needs) {
        found += "\na circle:\n";
        for ((from, to), path) in needs.iter().filter(|((from, to), _)| circle.contains(from) && circle.contains(to)) {
            found += &format!("    {} needs `{path}` of {}\n", name(*from), name(*to));
        }
    }
    assert!(found.is_empty(), "{found}");
}

#[test]
fn a_circle_is_found() {
    let needs = [(0, 1), (1, 2), (2, 0), (2, 3), (4, 3)].map(|edge| (edge, String::new())).into();
    assert_eq!(circles(5, &needs), [[0, 1, 2].into()].into());
}
