//! Many points are made few that look the same.

use std::collections::BTreeSet;

use super::model::{Line, Page};
use crate::time::Timestamp;

/// Slots over the width of a chart, for all its lines together.
const SLOTS: usize = 720;
/// Fewer would show at a glance.
const FEWEST_SLOTS: usize = 20;

/// How many slots each line has, so that the page does not grow with their number.
pub(super) fn slots(lines: usize) -> usize {
    (SLOTS / lines.max(1)).clamp(FEWEST_SLOTS, SLOTS / 2)
}

/// Of the points within the page, at most the first, last, smallest and largest of each slot, and whether the slot has
/// one that is unknown. What is drawn looks as if all were drawn (Jugel et al. 2014, "M4").
pub(super) fn live(page: &Page, line: &Line, slots: usize) -> Vec<(Timestamp, Option<u64>)> {
    let mut thin: Vec<(Timestamp, Option<u64>)> = Vec::new();
    let first = line.live.partition_point(|(at, _)| *at < page.from);
    if let Some((_, before)) = first.checked_sub(1).map(|last| line.live[last]) {
        thin.push((page.from, before));
    }
    let within = line.live[first..].partition_point(|(at, _)| *at <= page.to) + first;
    for group in line.live[first..within].chunk_by(|(a, _), (b, _)| slot(page, *a, slots) == slot(page, *b, slots)) {
        let known = || (0..group.len()).filter(|at| group[*at].1.is_some());
        let mut keep = BTreeSet::from([0, group.len() - 1]);
        keep.extend(known().min_by_key(|at| group[*at].1));
        keep.extend(known().max_by_key(|at| group[*at].1));
        keep.extend((0..group.len()).find(|at| group[*at].1.is_none()));
        thin.extend(keep.into_iter().map(|at| group[at]));
    }
    thin
}

/// The times at which shares change, at most one in each slot.
pub(super) fn changes(page: &Page, slots: usize) -> Vec<Timestamp> {
    let all = page.lines.iter().flat_map(|line| line.shares.iter().map(|(at, _)| *at));
    let within: BTreeSet<Timestamp> = all.filter(|at| *at > page.from && *at < page.to).collect();
    let within: Vec<Timestamp> = within.into_iter().collect();
    let groups = within.chunk_by(|a, b| slot(page, *a, slots) == slot(page, *b, slots));
    let last = groups.filter_map(|group| group.last().copied());
    std::iter::once(page.from).chain(last).collect()
}

fn slot(page: &Page, at: Timestamp, slots: usize) -> u128 {
    let width = (page.to - page.from).as_millis().max(1);
    (at - page.from).as_millis() * slots as u128 / width
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::Share;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn page(live: Vec<(Timestamp, Option<u64>)>) -> Page {
        let mut page = Page::new("a page", at(1000), at(101_000));
        page.lines.push(Line { live, ..Line::new("version 1") });
        page
    }

    #[test]
    fn peaks_and_unknown_times_stay() {
        let value = |second: u64| match second {
            50_123 => Some(9_999),
            60_321 => None,
            second => Some(second % 7),
        };
        let page = page((0..=200_000).map(|second| (at(second), value(second))).collect());
        let thin = live(&page, &page.lines[0], 100);
        assert!(thin.len() <= 100 * 5 + 6, "{}", thin.len());
        assert!(thin.contains(&(at(50_123), Some(9_999))) && thin.contains(&(at(60_321), None)));
        assert!(thin.is_sorted_by_key(|(at, _)| *at));
        assert_eq!(thin.first().map(|(at, _)| *at), Some(page.from), "the value before the page is known at its begin");
        assert_eq!(thin.last().map(|(at, _)| *at), Some(page.to));
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let points = vec![(at(1000), Some(3)), (at(5000), None), (at(6000), Some(4))];
        let page = page(points.clone());
        assert_eq!(live(&page, &page.lines[0], 100), points);
        assert_eq!(changes(&page, 100), [page.from]);
    }

    #[test]
    fn a_flickering_share_has_a_change_for_each_slot() {
        let mut page = page(Vec::new());
        page.lines[0].shares = (0..100_000).map(|n| (at(1000 + n), Share::percent(u32::from(n % 2 == 0)))).collect();
        assert_eq!(changes(&page, 50).len(), 51);
    }
}
