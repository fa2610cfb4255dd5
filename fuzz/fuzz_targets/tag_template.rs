//! Templates of tags, and the revisions that they are filled with. What they make is a tag.
#![no_main]

use haddock_core::image::{ImageReference, Revision, TagTemplate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, Option<&str>, u128, u8, bool)| {
    let (template, branch, commit, digits, dirty) = input;
    let Ok(template) = template.parse::<TagTemplate>() else { return };
    assert_eq!(template.to_string().parse(), Ok(template.clone()));
    let commit = format!("{commit:032x}")[..usize::from(digits % 33)].to_owned();
    let revision = Revision { branch: branch.map(str::to_owned), commit, dirty, ..Revision::default() };
    if let Ok(tag) = template.tag(&revision) {
        let image = ImageReference::parse(&format!("shop:{tag}")).expect("it is a tag");
        assert_eq!(image.tag(), Some(tag.as_str()));
        assert!(!dirty || tag.ends_with("-dirty"), "{tag}");
    }
});
