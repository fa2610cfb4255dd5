//! Image references, durations, sizes and percentages.
#![no_main]

use haddock_core::environment::value;
use haddock_core::image::ImageReference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(image) = ImageReference::parse(text) {
        assert_eq!(ImageReference::parse(&image.familiar()).as_ref(), Ok(&image));
        assert_eq!(ImageReference::parse(&image.canonical()), Ok(image));
    }
    if let Ok(share) = value::percentage(text) {
        assert_eq!(value::percentage(&share.to_string()), Ok(share));
    }
    let _ = (value::duration(text), value::size(text));
});
