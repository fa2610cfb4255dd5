//! Which credentials a registry wants: the header `WWW-Authenticate` of [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110),
//! and the [tokens](https://distribution.github.io/distribution/spec/auth/token/) of registries.

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password.
    Basic,
    /// A token of another server, which wants name and password.
    Token { realm: String, service: Option<String>, scope: Option<String> },
}

impl Challenge {
    /// The first one that is understood.
    pub(super) fn read<'h>(headers: impl Iterator<Item = &'h str>) -> Option<Self> {
        let mut basic = None;
        for header in headers {
            let (scheme, rest) = header.trim().split_once(' ').unwrap_or((header.trim(), ""));
            if scheme.eq_ignore_ascii_case("bearer") {
                let mut parameters = parameters(rest);
                let mut take = |name: &str| {
                    let found = parameters.iter().position(|(key, _)| key.eq_ignore_ascii_case(name))?;
                    Some(parameters.swap_remove(found).1)
                };
                if let Some(realm) = take("realm") {
                    return Some(Self::Token { realm, service: take("service"), scope: take("scope") });
                }
            } else if scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            }
        }
        basic
    }
}

/// `name="value",name=value`, with commas within quotes.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((name, after)) = rest.split_once('=') {
        let (mut value, mut end) = (String::new(), after.len());
        let (mut is_quoted, mut is_escaped) = (false, false);
        for (place, c) in after.char_indices() {
            match c {
                c if is_escaped => {
                    value.push(c);
                    is_escaped = false;
                }
                '\\' if is_quoted => is_escaped = true,
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => {
                    end = place;
                    break;
                }
                c => value.push(c),
            }
        }
        found.push((name.trim().to_owned(), value.trim().to_owned()));
        rest = after.get(end + 1..).unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let token = |realm: &str, service: Option<&str>, scope: Option<&str>| {
            let [service, scope] = [service, scope].map(|it| it.map(str::to_owned));
            Some(Challenge::Token { realm: realm.to_owned(), service, scope })
        };
        for (headers, expected) in [
            (
                &[r#"Bearer realm="https://a.local/token",service="r.local",scope="repository:a/b:pull,delete""#][..],
                token("https://a.local/token", Some("r.local"), Some("repository:a/b:pull,delete")),
            ),
            (&["bearer Realm=https://a.local/t , error=\"a\\\"b\""], token("https://a.local/t", None, None)),
            (&["Basic realm=\"r\"", "Bearer realm=\"https://a.local\""], token("https://a.local", None, None)),
            (&["Basic realm=\"r\""], Some(Challenge::Basic)),
            (&["Negotiate", "Bearer service=\"none\""], None),
            (&[], None),
        ] {
            assert_eq!(Challenge::read(headers.iter().copied()), expected, "{headers:?}");
        }
    }
}
