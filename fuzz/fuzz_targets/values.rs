//! Durations, sizes and percentages.
#![no_main]

use haddock_core::value;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(share) = value::percentage(text) {
        assert_eq!(value::percentage(&share.to_string()), Ok(share));
    }
    let _ = (value::duration(text), value::size(text));
});
