//! The word that marks a request as a probe of `haddock check`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::time::Timestamp;

/// How long a word is valid.
const WORD_LIFETIME: Duration = Duration::from_secs(60);

/// What the query says before the word.
const QUERY_PARAMETER: &str = "haddock-probe=";

/// The word that is valid now.
#[derive(Debug, Default)]
pub(super) struct ProbeWords {
    armed: AtomicBool,
    current: Mutex<Option<Word>>,
}

#[derive(Debug)]
struct Word {
    word: String,
    until: Timestamp,
    /// How many probes were answered. An answer from a cache shows a number that was used before.
    answered: u64,
}

impl ProbeWords {
    /// Makes a word that is valid for a minute. The word before it becomes invalid.
    pub(super) fn arm(&self, now: Timestamp) -> Result<String> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).map_err(|error| Error::new(ErrorKind::Io, format!("no random word: {error}")))?;
        let word: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        *self.current() = Some(Word { word: word.clone(), until: now + WORD_LIFETIME, answered: 0 });
        self.armed.store(true, Ordering::Relaxed);
        Ok(word)
    }

    #[inline]
    pub(super) fn is_armed(&self) -> bool {
        self.armed.load(Ordering::Relaxed)
    }

    /// The number of this request, if it has the word.
    pub(super) fn take(&self, query: Option<&str>, now: Timestamp) -> Option<u64> {
        let mut current = self.current();
        let probe = current.as_mut().filter(|probe| now < probe.until);
        let Some(probe) = probe else {
            self.armed.store(false, Ordering::Relaxed);
            return None;
        };
        let word = query?.split('&').find_map(|pair| pair.strip_prefix(QUERY_PARAMETER))?;
        if word != probe.word {
            return None;
        }
        probe.answered += 1;
        Some(probe.answered)
    }

    fn current(&self) -> MutexGuard<'_, Option<Word>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
