//! Values of arguments and secrets, kept out of what is shown.

use std::path::Path;

use crate::error::Error;
use crate::image::SecretSource;
use crate::mask::{MIN_MASKED_LENGTH, replaced};
use crate::runtime::BuildRequest;

/// Larger files are no passwords, and nobody prints them by mistake. BuildKit refuses them as secrets.
const MAX_SECRET_BYTES: u64 = 500 * 1024;

/// Values, and what is shown in their place. The longest come first.
pub(super) struct Mask(Vec<(String, String)>);

impl Mask {
    pub(super) fn of(request: &BuildRequest) -> Self {
        let args = request.args.iter().map(|(name, value)| (value.clone(), format!("${name}")));
        let secrets = request.secrets.iter().filter_map(|secret| {
            let value = match &secret.source {
                SecretSource::Variable(name) => std::env::var(name).ok(),
                SecretSource::File(path) => small_file(path),
                SecretSource::Value(value) => Some(value.expose().to_owned()),
            };
            Some((value?.trim().to_owned(), format!("<secret {}>", secret.id)))
        });
        let mut values: Vec<_> = args.chain(secrets).filter(|(value, _)| value.len() >= MIN_MASKED_LENGTH).collect();
        values.sort_by(|(a, _), (b, _)| (b.len(), a).cmp(&(a.len(), b)));
        Self(values)
    }

    pub(super) fn text(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (value, shown)| replaced(&text, value, shown))
    }

    pub(super) fn error(&self, error: Error) -> Error {
        if self.0.is_empty() { error } else { error.retold(|text| self.text(text)) }
    }
}

fn small_file(path: &Path) -> Option<String> {
    let small = std::fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() <= MAX_SECRET_BYTES);
    small.then(|| std::fs::read_to_string(path).ok())?
}
