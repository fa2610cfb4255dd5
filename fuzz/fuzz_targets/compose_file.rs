//! Whatever stands in a compose file: a specification, or errors with places.
#![no_main]

use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let options = ResolveOptions {
        variables: [("A", "a b"), ("B", ""), ("C", "8080")].into_iter().collect(),
        tag: Some("v2".into()),
        purpose: Purpose::Release,
        ..ResolveOptions::default()
    };
    let checked = ComposeFile::parse("shop/compose.yaml", text).map_err(|error| vec![error]);
    match checked.and_then(|file| file.check(&options)) {
        Ok(resolved) => assert!(resolved.spec.components.contains_key(&resolved.spec.settings.entry.component)),
        Err(errors) => assert!(!errors.is_empty() && errors.iter().all(|error| error.place().is_some())),
    }
});
