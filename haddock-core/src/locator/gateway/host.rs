//! What a `Host` header may hold, and the name in it.

/// Whether it can be the content of a `Host` header. What an instance could misread is refused.
pub(super) fn is_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
    host.iter().all(plain)
}

/// A `Host` header without its port, and without the dot at the end of a fully qualified name.
pub(super) fn host_name(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(colon) if !host.ends_with(']') => &host[..colon],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}
