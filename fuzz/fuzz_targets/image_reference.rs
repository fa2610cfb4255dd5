//! References to images. What is accepted reads as the same again, however it is written.
#![no_main]

use haddock_core::image::ImageReference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(image) = ImageReference::parse(text) {
        assert_eq!(ImageReference::parse(&image.familiar()).as_ref(), Ok(&image));
        assert_eq!(ImageReference::parse(&image.canonical()), Ok(image));
    }
});
