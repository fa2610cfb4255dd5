//! What a `Host` header may hold.

/// Whether it can be the content of a `Host` header. What an instance could misread is refused.
pub(super) fn is_host(host: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
    host.iter().all(plain)
}
