//! Whatever a compose file holds, it is read or refused, and nothing panics. What was read can be written down in
//! Compose's own form, and reads as the same again.

#![no_main]

use haddock_core::environment::compose::{ComposeFile, Purpose, ResolveOptions, Values, canonical};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(file) = ComposeFile::parse("compose.yaml", text) else { return };
    for purpose in [Purpose::Environment, Purpose::Release] {
        let options = ResolveOptions { tag: Some("v1".to_owned()), purpose, ..ResolveOptions::default() };
        match file.check(&options) {
            Ok(resolved) => {
                let written = canonical(&resolved.name, &resolved.spec, Values::Shown).to_string();
                let again = ComposeFile::parse("again.yaml", &written).expect("what is written is YAML");
                let _ = again.check(&options);
                if purpose == Purpose::Release {
                    resolved.spec.check_side_by_side().expect("it was resolved for a release");
                }
                let _ = resolved.spec.in_production();
            }
            Err(errors) => assert!(!errors.is_empty(), "what is refused is refused for a reason"),
        }
    }
});
