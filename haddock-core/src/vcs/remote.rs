//! Where a repository comes from, without what is secret in it.

/// The URL without user, password, query and fragment. What is no URL stays: `git@host:path`, or a folder.
pub(super) fn without_secrets(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_removed() {
        for (url, shown) in [
            ("https://host/shop.git", "https://host/shop.git"),
            ("https://ci:s3cret@host:8443/shop/@scope/x.git", "https://host:8443/shop/@scope/x.git"),
            ("https://tok@en@host/x", "https://host/x"),
            ("https://host/x.git?private_token=s3cret#part", "https://host/x.git"),
            ("https://user@host", "https://host"),
            ("ssh://git@host:22/shop.git", "ssh://host:22/shop.git"),
            ("git@host:shop/accounting.git", "git@host:shop/accounting.git"),
            ("file:///srv/git/shop.git", "file:///srv/git/shop.git"),
            ("../shop.git", "../shop.git"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
