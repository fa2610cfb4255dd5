//! What an image is, by its manifests and configurations: the
//! [OCI image specification](https://github.com/opencontainers/image-spec), and Docker's formats before it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::RegistryClient;
use crate::error::Result;
use crate::image::ImageReference;
use crate::runtime::RegistryImage;
use crate::time::Timestamp;

/// What is pushed beside an image and is none, such as where it came from, names this operating system.
const NO_IMAGE: &str = "unknown";

#[derive(Deserialize)]
struct Manifest {
    config: Option<Descriptor>,
    #[serde(default)]
    layers: Vec<Descriptor>,
    /// Only an index has these.
    manifests: Option<Vec<Descriptor>>,
}

#[derive(Deserialize)]
struct Descriptor {
    #[serde(default, rename = "mediaType")]
    media_type: String,
    digest: String,
    #[serde(default)]
    size: u64,
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    os: Option<String>,
}

#[derive(Deserialize)]
struct Configuration {
    created: Option<String>,
    config: Option<Container>,
}

#[derive(Deserialize)]
struct Container {
    #[serde(rename = "Labels")]
    labels: Option<BTreeMap<String, String>>,
}

pub(super) fn describe(client: &RegistryClient, image: &ImageReference) -> Result<Option<RegistryImage>> {
    let Some(answer) = client.manifest(image)? else { return Ok(None) };
    let digest = answer.digest().or(image.digest());
    let digest = digest.ok_or_else(|| client.odd(&format!("it does not tell the digest of `{image}`")))?.to_owned();
    let manifest: Manifest = client.read(&answer.body, &format!("the manifest of `{image}`"))?;
    let mut described = RegistryImage { ids: [digest.clone()].into(), digest, ..RegistryImage::default() };
    match &manifest.manifests {
        None => of_one(client, image, &manifest, &mut described)?,
        Some(parts) => of_several(client, image, parts, &mut described)?,
    }
    Ok(Some(described))
}

fn of_one(
    client: &RegistryClient,
    image: &ImageReference,
    manifest: &Manifest,
    described: &mut RegistryImage,
) -> Result<()> {
    // An older format has no configuration, and something else than an image has another one.
    let is_image = |config: &&Descriptor| config.media_type.contains("image");
    let Some(config) = manifest.config.as_ref().filter(is_image) else { return Ok(()) };
    let Some(answer) = client.blob(image, &config.digest)? else { return Ok(()) };
    let configuration: Configuration = client.read(&answer.body, &format!("the configuration of `{image}`"))?;
    described.ids.insert(config.digest.clone());
    described.labels = configuration.config.and_then(|config| config.labels).unwrap_or_default();
    described.created = configuration.created.as_deref().and_then(written);
    described.size = config.size + manifest.layers.iter().map(|layer| layer.size).sum::<u64>();
    Ok(())
}

fn of_several(
    client: &RegistryClient,
    image: &ImageReference,
    parts: &[Descriptor],
    described: &mut RegistryImage,
) -> Result<()> {
    let mut labels: Option<BTreeMap<String, String>> = None;
    for part in parts {
        described.parts.insert(part.digest.clone());
        let os = part.platform.as_ref().and_then(|platform| platform.os.as_deref());
        if os == Some(NO_IMAGE) {
            continue;
        }
        let named = image.with_digest(&part.digest)?;
        let Some(answer) = client.manifest(&named)? else { continue };
        let manifest: Manifest = client.read(&answer.body, &format!("the manifest of `{named}`"))?;
        let mut one = RegistryImage::default();
        of_one(client, &named, &manifest, &mut one)?;
        described.ids.extend(one.ids);
        described.created = described.created.max(one.created);
        described.size += one.size;
        match &mut labels {
            None => labels = Some(one.labels),
            Some(all) => all.retain(|name, value| one.labels.get(name) == Some(value)),
        }
    }
    described.ids.extend(described.parts.iter().cloned());
    described.labels = labels.unwrap_or_default();
    Ok(())
}

fn written(time: &str) -> Option<Timestamp> {
    let millis = time.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    u64::try_from(millis).ok().map(Timestamp::from_millis)
}
