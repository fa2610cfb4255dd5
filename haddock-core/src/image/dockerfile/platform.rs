//! The arguments that BuildKit sets by itself.

use std::collections::BTreeMap;

/// The arguments that BuildKit sets by itself, for a build on this host for the platform `os/architecture[/variant]`.
///
/// ```
/// let args = haddock_core::image::dockerfile::platform_args("linux/arm/v7");
/// assert_eq!(args["TARGETPLATFORM"], "linux/arm/v7");
/// assert_eq!(args["TARGETVARIANT"], "v7");
/// assert_eq!(args["BUILDOS"], "linux");
/// ```
#[must_use]
pub fn platform_args(platform: &str) -> BTreeMap<String, String> {
    let host = host_platform();
    let parts = [("BUILD", host.as_str()), ("TARGET", platform)].into_iter().flat_map(|(prefix, platform)| {
        let mut words = platform.splitn(3, '/').map(str::to_owned);
        let mut next = move || words.next().unwrap_or_default();
        let (os, arch, variant) = (next(), next(), next());
        [("PLATFORM", platform.to_owned()), ("OS", os), ("ARCH", arch), ("VARIANT", variant)]
            .map(|(name, value)| (format!("{prefix}{name}"), value))
    });
    parts.collect()
}

/// The platform of containers on this host, with the names of the OCI image specification.
pub(super) fn host_platform() -> String {
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "loongarch64" => "loong64",
        other => other,
    };
    format!("linux/{arch}")
}
