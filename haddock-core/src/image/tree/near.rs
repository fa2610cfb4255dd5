//! Which name was probably meant.

/// The name that is most like this one: a third of the letters may be wrong.
pub(super) fn nearest<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let name = name.to_lowercase();
    let allowed = name.chars().count().min(40) / 3;
    let distances = names.into_iter().map(|known| (strsim::damerau_levenshtein(known, &name), known));
    distances.filter(|(distance, _)| *distance <= allowed).min().map(|(_, near)| near)
}
