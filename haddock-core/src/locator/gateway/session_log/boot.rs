//! The boot of the machine, and the header of a log, which names it.

use std::fs;

/// The format of the file. One of another format is not read, and the sessions are not known.
const FORMAT: &str = "haddock sessions 2";
/// A boot id is a UUID.
const BOOT_BYTES: usize = 36;
/// In the place of a boot id: the log was ended in order.
const ENDED: &str = "ended-in-order----------------------";
/// The number in a header is written as hex digits.
const RANDOM_DIGITS: usize = 16;
pub(super) const HEADER_BYTES: usize = FORMAT.len() + 1 + BOOT_BYTES + 1 + RANDOM_DIGITS + 1;

/// The boot of the machine, by the id that its kernel has given it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::locator::gateway) struct Boot(String);

impl Boot {
    /// The present one. `None`: this system does not tell.
    pub(in crate::locator::gateway) fn present() -> Option<Self> {
        Self::of(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim())
    }

    pub(super) fn of(id: &str) -> Option<Self> {
        let is_one = id.len() == BOOT_BYTES && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        is_one.then(|| Self(id.to_owned()))
    }
}

/// What a log says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It grows as long as this boot lasts.
    Running,
    /// It is whole, and good for any boot.
    Ended,
}

/// A header: of a log that runs in this boot, or for `None` of one that is ended. `random` makes it another one each time, so
/// that no record of one file passes for one of another.
pub(super) fn header(boot: Option<&Boot>, random: u64) -> String {
    let boot = boot.map_or(ENDED, |Boot(id)| id);
    format!("{FORMAT} {boot} {random:016x}\n")
}

/// What a log with this header is. `None`: it is of another format, or of another boot.
pub(super) fn kind(header: &[u8], present: Option<&Boot>) -> Option<Kind> {
    let boot = header.strip_prefix(FORMAT.as_bytes())?.strip_prefix(b" ")?.get(..BOOT_BYTES)?;
    if boot == ENDED.as_bytes() {
        return Some(Kind::Ended);
    }
    present.is_some_and(|Boot(id)| id.as_bytes() == boot).then_some(Kind::Running)
}
