//! Dockerfiles. What is read stays as it is written, and each image that it names stands where it is said to be.
#![no_main]

use std::collections::BTreeMap;

use haddock_core::image::dockerfile::Dockerfile;
use haddock_core::{Error, ErrorKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Option<&str>)| {
    let (text, target) = input;
    let check = |error: &Error| {
        assert_eq!(error.kind(), ErrorKind::ImageTree, "{error}");
        let place = error.place().expect("what is refused has a place");
        assert!(place.line >= 1 && place.line <= text.matches('\n').count() as u64 + 1, "{error}");
    };
    let args = BTreeMap::new();
    match Dockerfile::parse("Dockerfile", text) {
        Ok(file) => {
            match file.uses(&args, target) {
                Ok(uses) => assert!(uses.iter().all(|used| text.get(used.span.clone()).is_some())),
                Err(error) => check(&error),
            }
            if let Ok(same) = file.with_images(&args, &|_| None) {
                assert_eq!(same, text);
            }
        }
        Err(error) => check(&error),
    }
});
