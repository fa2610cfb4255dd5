//! What the failed and slow sessions of an instance have in common. It is touched only when something fails.

use crate::routing::{FailureKind, first_segment};

/// Kinds that are told apart, for failed sessions and for slow ones. The rest is one kind more.
const MAX_KINDS: usize = 32;

/// The kinds, each with its sessions.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    failed: Vec<FailureKind>,
    slow: Vec<FailureKind>,
}

impl Kinds {
    /// A session failed, or was slow, for the first time: with this request.
    pub(super) fn count(&mut self, slow: bool, path: &str, status: Option<u16>) {
        let kinds = if slow { &mut self.slow } else { &mut self.failed };
        let path = first_segment(path);
        if let Some(kind) = kinds.iter_mut().find(|kind| kind.path == path && kind.status == status) {
            kind.sessions += 1;
            return;
        }
        let is_full = kinds.len() >= MAX_KINDS;
        let (path, status) = if is_full { (FailureKind::OTHER, None) } else { (path, status) };
        match kinds.last_mut().filter(|kind| is_full && kind.path == path) {
            Some(rest) => rest.sessions += 1,
            None => kinds.push(FailureKind { path: path.to_owned(), status, slow, sessions: 1 }),
        }
    }

    /// All of them, those of most sessions first.
    pub(super) fn all(&self) -> Vec<FailureKind> {
        let mut all: Vec<FailureKind> = self.failed.iter().chain(&self.slow).cloned().collect();
        all.sort_by_key(|kind| std::cmp::Reverse(kind.sessions));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_and_their_number_is_bounded() {
        let mut kinds = Kinds::default();
        for n in 0..1000_u16 {
            kinds.count(
                false,
                &format!("/p{}/{n}", char::from(b'a' + u8::try_from(n % 26).unwrap())),
                Some(500 + n % 7),
            );
            kinds.count(true, "/search?q=secret", Some(200));
        }
        let all = kinds.all();
        let failed: Vec<_> = all.iter().filter(|kind| !kind.slow).collect();
        assert_eq!(failed.len(), MAX_KINDS + 1);
        assert_eq!(failed.iter().map(|kind| kind.sessions).sum::<u64>(), 1000);
        assert_eq!(failed[0].path, FailureKind::OTHER, "182 kinds, of which 32 are told apart");
        let search = FailureKind { path: "/search".to_owned(), status: Some(200), slow: true, sessions: 1000 };
        assert_eq!(all[0], search);
    }
}
