//! Whether a load saw anything wrong.

use std::sync::OnceLock;

use haddock_examples::client::Summary;

/// Asserts that nothing failed, and nothing was lost or moved.
///
/// # Panics
/// If something was. If the kernel has dropped packets meanwhile, because its table of connections was full, that is
/// said too: then it is the machine that is too busy, with somebody else's connections most likely.
pub fn assert_clean(summary: &Summary) {
    assert!(summary.is_clean(), "{summary:#?}{}", excuse());
}

/// What the machine is to blame for since the first call; nothing, if it is not.
#[must_use]
pub fn excuse() -> String {
    static BEFORE: OnceLock<u64> = OnceLock::new();
    let dropped = dropped();
    match dropped - *BEFORE.get_or_init(|| dropped) {
        0 => String::new(),
        n => format!("\nthe kernel dropped {n} packets because its table of connections (nf_conntrack) was full"),
    }
}

/// Packets of new connections that the kernel has dropped for want of room in its table, since the machine's start:
/// the columns `drop` and `early_drop` of each processor, in hexadecimal.
fn dropped() -> u64 {
    let text = std::fs::read_to_string("/proc/net/stat/nf_conntrack").unwrap_or_default();
    let mut lines = text.lines().map(|line| line.split_whitespace());
    let Some(names) = lines.next() else { return 0 };
    let columns: Vec<usize> = names.enumerate().filter(|(_, name)| name.ends_with("drop")).map(|(n, _)| n).collect();
    lines
        .map(|values| {
            let values: Vec<&str> = values.collect();
            let read = |column: &usize| u64::from_str_radix(values.get(*column)?, 16).ok();
            columns.iter().filter_map(read).sum::<u64>()
        })
        .sum()
}
