//! Which images stay. The same rule is for a host and for registries.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::build::labels;
use crate::error::Result;
use crate::image::ImageReference;
use crate::time::Timestamp;

/// An image that was built by us.
pub(super) struct Candidate<'a> {
    /// What tells it from all others.
    pub(super) id: &'a str,
    /// The repositories that it has a name in.
    pub(super) repositories: BTreeSet<String>,
    /// The newest ones stay.
    pub(super) at: Option<Timestamp>,
    pub(super) labels: &'a BTreeMap<String, String>,
    /// Whether builds find it by its inputs.
    pub(super) is_found: bool,
    /// Whether somebody needs it.
    pub(super) is_needed: bool,
}

impl Candidate<'_> {
    fn inputs(&self) -> Option<&str> {
        self.labels.get(labels::INPUTS).map(String::as_str)
    }

    fn base(&self) -> Option<&str> {
        // It is empty if the base is not of a tree.
        self.labels.get(labels::BASE_INPUTS).map(String::as_str).filter(|inputs| !inputs.is_empty())
    }
}

/// Which of these may go, by their places. Each comes before what it is built on, and else the newest first.
pub(super) fn removable(images: &[Candidate<'_>], keep: usize) -> Vec<usize> {
    let mut newest_first: Vec<usize> = (0..images.len()).collect();
    newest_first.sort_by_key(|index| (Reverse(images[*index].at), images[*index].id));
    let mut stays = vec![false; images.len()];
    let mut of_each: BTreeMap<&str, usize> = BTreeMap::new();
    for index in &newest_first {
        let image = &images[*index];
        stays[*index] = image.is_needed;
        for repository in &image.repositories {
            let count = of_each.entry(repository).or_default();
            stays[*index] |= *count < keep;
            *count += 1;
        }
    }
    keep_bases(images, &mut stays);
    newest_first.retain(|index| !stays[*index]);
    bases_last(images, newest_first)
}

/// What stays keeps what it is built on.
fn keep_bases(images: &[Candidate<'_>], stays: &mut [bool]) {
    let mut by_inputs: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, image) in images.iter().enumerate() {
        by_inputs.entry(image.inputs().unwrap_or_default()).or_default().push(index);
    }
    let mut new: Vec<usize> = (0..images.len()).filter(|index| stays[*index]).collect();
    while let Some(index) = new.pop() {
        let Some(same) = images[index].base().and_then(|base| by_inputs.get(base)) else { continue };
        // Of several of the same inputs, builds take the one that they find.
        let is_found = same.iter().any(|base| images[*base].is_found);
        for base in same {
            if !stays[*base] && images[*base].is_found == is_found {
                stays[*base] = true;
                new.push(*base);
            }
        }
    }
}

fn bases_last(images: &[Candidate<'_>], mut rest: Vec<usize>) -> Vec<usize> {
    let mut stand_on: BTreeMap<&str, usize> = BTreeMap::new();
    for base in rest.iter().filter_map(|index| images[*index].base()) {
        *stand_on.entry(base).or_default() += 1;
    }
    let mut ordered = Vec::with_capacity(rest.len());
    while !rest.is_empty() {
        let is_free = |index: &usize| {
            images[*index].inputs().and_then(|inputs| stand_on.get(inputs)).is_none_or(|count| *count == 0)
        };
        // Labels of digests form no circle. If others have written such labels, any order will do.
        let next = rest.remove(rest.iter().position(is_free).unwrap_or(0));
        if let Some(count) = images[next].base().and_then(|base| stand_on.get_mut(base)) {
            *count -= 1;
        }
        ordered.push(next);
    }
    ordered
}

/// The images that stay in any case: by id or digest, and by name.
#[derive(Default)]
pub(super) struct Named {
    ids: BTreeSet<String>,
    names: BTreeSet<ImageReference>,
}

impl Named {
    pub(super) fn read(texts: &BTreeSet<String>) -> Result<Self> {
        let mut named = Self::default();
        for text in texts {
            // No repository is called `sha256` and has a tag of 64 digits.
            if text.starts_with("sha256:") {
                named.ids.insert(text.clone());
            } else {
                named.names.insert(ImageReference::parse(text)?);
            }
        }
        Ok(named)
    }

    pub(super) fn has_id(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Whether this name with its tag or digest is one of these.
    pub(super) fn has(&self, name: &ImageReference) -> bool {
        let by_digest = |digest: &str| {
            self.ids.contains(digest)
                || self.names.iter().any(|it| it.has_repository_of(name) && it.digest() == Some(digest))
        };
        match name.digest() {
            Some(digest) => by_digest(digest),
            // A name with a digest means that digest, whatever its tag means now.
            None => self.names.contains(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An image in these repositories, of these inputs, on these.
    fn image<'a>(id: &'a str, at: u64, repositories: &[&str], labels: &'a BTreeMap<String, String>) -> Candidate<'a> {
        Candidate {
            id,
            repositories: repositories.iter().map(|it| (*it).to_owned()).collect(),
            at: Some(Timestamp::from_millis(at)),
            labels,
            is_found: !repositories.is_empty(),
            is_needed: false,
        }
    }

    fn labels(inputs: &str, base: Option<&str>) -> BTreeMap<String, String> {
        let base = base.map(|base| (labels::BASE_INPUTS.to_owned(), base.to_owned()));
        [(labels::INPUTS.to_owned(), inputs.to_owned())].into_iter().chain(base).collect()
    }

    fn gone<'a>(images: &[Candidate<'a>], keep: usize) -> Vec<&'a str> {
        removable(images, keep).into_iter().map(|index| images[index].id).collect()
    }

    #[test]
    fn an_image_counts_in_each_repository_that_it_has_a_name_in() {
        let none = BTreeMap::new();
        let both = || image("both", 1, &["a", "b"], &none);
        assert_eq!(gone(&[image("a2", 2, &["a"], &none), both(), image("b0", 0, &["b"], &none)], 1), ["b0"]);
        let newer = [image("a2", 2, &["a"], &none), both(), image("b2", 2, &["b"], &none)];
        assert_eq!(gone(&newer, 1), ["both"], "no repository keeps it");
    }

    #[test]
    fn bases_stay_with_what_stands_on_them_and_go_after_it() {
        let (base, java, app) = (labels("b", None), labels("j", Some("b")), labels("a", Some("j")));
        // A base that was named last is removed last.
        let mut images =
            [image("app", 1, &["app"], &app), image("java", 2, &["java"], &java), image("base", 3, &["base"], &base)];
        assert_eq!(gone(&images, 0), ["app", "java", "base"]);
        images[0].is_needed = true;
        assert_eq!(gone(&images, 0), [""; 0]);
    }

    #[test]
    fn a_nameless_image_of_the_same_inputs_is_no_base() {
        let (base, app) = (labels("b", None), labels("a", Some("b")));
        let images = [image("app", 1, &["app"], &app), image("old", 1, &[], &base), image("new", 2, &["base"], &base)];
        assert_eq!(gone(&images, 1), ["old"]);
        assert_eq!(gone(&images[..2], 1), [""; 0], "nothing else can be the base");
    }

    #[test]
    fn labels_in_a_circle_end() {
        let (one, two) = (labels("1", Some("2")), labels("2", Some("1")));
        assert_eq!(gone(&[image("one", 1, &["a"], &one), image("two", 2, &["b"], &two)], 0), ["two", "one"]);
    }

    #[test]
    fn images_are_named_by_id_digest_or_name() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let texts = ["sha256:1", "r.local/app:v1", &format!("r.local/db@{digest}")].map(str::to_owned);
        let named = Named::read(&texts.into()).expect("read");
        let has = |name: &str| named.has(&ImageReference::parse(name).expect("a reference"));
        assert!(named.has_id("sha256:1") && !named.has_id("sha256:2"));
        assert!(has("r.local/app:v1") && !has("r.local/app:v2") && !has("r.local/db:v1"));
        assert!(has(&format!("r.local/db:v1@{digest}")) && !has(&format!("r.local/app@{digest}")));
        assert!(Named::read(&BTreeSet::from(["Not A Name".to_owned()])).is_err());
    }
}
