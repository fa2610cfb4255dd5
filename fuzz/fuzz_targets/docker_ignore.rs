//! Patterns of `.dockerignore`, and paths that they are compared with.
#![no_main]

use haddock_core::image::ignore::Ignore;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (text, path) = input;
    match Ignore::parse(".dockerignore", text) {
        Ok(ignore) => {
            let mut at = ignore.root();
            for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
                if !at.may_descend() {
                    assert!(ignore.excludes(path), "what nobody enters is left out");
                    return;
                }
                at = at.enter(name);
            }
            assert_eq!(ignore.excludes(path), at.is_excluded());
        }
        Err(error) => {
            let place = error.place().expect("what is refused has a place");
            assert!(place.line >= 1 && place.line <= text.lines().count() as u64, "{error}");
        }
    }
});
