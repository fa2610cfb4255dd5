//! What needs a newer engine, or what no engine can do: refused by name before anything is made. An older engine would
//! take no notice of it.

use bollard::models::MountBindOptionsPropagationEnum;

use super::client::EngineVersion;
use crate::container::{ContainerSpec, MountKind, NetworkMode, NetworkSpec};
use crate::error::{Error, ErrorKind, Result};

/// What an option is called in the file, whether it is asked for, the API that has it, and the engine that came with it.
type Need = (&'static str, bool, (u32, u32), &'static str);

pub(super) fn check_container(engine: &EngineVersion, spec: &ContainerSpec) -> Result<()> {
    let ends = || spec.networks.iter().map(|attachment| &attachment.endpoint);
    let binds = || spec.mounts.iter().filter_map(|mount| mount.bind.as_ref());
    let recursive = |how: &str| binds().any(|bind| bind.recursive.as_deref() == Some(how));
    let subpath = |mount: &crate::container::Mount| mount.volume.as_ref().is_some_and(|it| it.subpath.is_some());
    let needs = [
        ("annotations", !spec.options.annotations.is_empty(), (1, 43), "24"),
        ("mac_address", ends().any(|end| end.mac_address.is_some()), (1, 44), "25"),
        ("gw_priority", ends().any(|end| end.gw_priority.is_some()), (1, 48), "28"),
        ("interface_name", ends().any(|end| end.interface_name.is_some()), (1, 49), "28.1"),
        ("recursive: writable", recursive("writable"), (1, 44), "25"),
        ("recursive: readonly", recursive("readonly"), (1, 44), "25"),
        ("subpath", spec.mounts.iter().any(subpath), (1, 45), "26"),
        ("type: image", spec.mounts.iter().any(|mount| mount.kind == MountKind::Image), (1, 48), "28"),
    ];
    check(engine, &format!("container `{}`", spec.name), &needs)?;
    let no = |what: &str, hint: &str| {
        let message = format!("container `{}` cannot have {what}", spec.name);
        Err(Error::new(ErrorKind::NotSupported, message).with_hint(hint))
    };
    let shares = matches!(spec.network_mode, Some(NetworkMode::Host | NetworkMode::None | NetworkMode::Container(_)));
    if spec.options.mac_address.is_some() && shares {
        return no("`mac_address` with its `network_mode`, which gives it no interface", "remove one of the two");
    }
    if spec.options.cgroup.as_deref().is_some_and(|mode| !matches!(mode, "host" | "private")) {
        return no("this `cgroup`", "write `host` or `private`");
    }
    for bind in spec.mounts.iter().filter_map(|mount| mount.bind.as_ref()) {
        if bind.create_host_path == Some(false) && bind.selinux.is_some() {
            return no("`selinux` with `create_host_path: false`", "remove one of the two");
        }
        if bind.recursive.is_some() && bind.selinux.is_some() {
            return no("`selinux` with `recursive`", "remove one of the two");
        }
        let known = |text: &String| text.parse::<MountBindOptionsPropagationEnum>().is_ok();
        if bind.propagation.as_ref().is_some_and(|text| !known(text)) {
            return no("this `propagation`", "write `rprivate`, `private`, `rshared`, `shared`, `rslave` or `slave`");
        }
    }
    Ok(())
}

pub(super) fn check_network(engine: &EngineVersion, spec: &NetworkSpec) -> Result<()> {
    check(
        engine,
        &format!("network `{}`", spec.name),
        &[("enable_ipv4: false", spec.enable_ipv4 == Some(false), (1, 48), "28")],
    )
}

fn check(engine: &EngineVersion, of: &str, needs: &[Need]) -> Result<()> {
    let Some((what, _, api, since)) = needs.iter().find(|(_, asked, api, _)| *asked && engine.api < *api) else {
        return Ok(());
    };
    let message = format!("{of} has `{what}`, which the engine {} cannot do", engine.version);
    let hint = format!("remove it, or use Docker {since} or newer (API {}.{})", api.0, api.1);
    Err(Error::new(ErrorKind::NotSupported, message).with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Attachment, Endpoint};

    fn engine(api: (u32, u32)) -> EngineVersion {
        EngineVersion { version: "of the test".to_owned(), api, podman: false, platform: "linux/amd64".to_owned() }
    }

    #[test]
    fn an_old_engine_refuses_by_name_what_it_would_take_no_notice_of() {
        let end = Endpoint { interface_name: Some("eth7".to_owned()), ..Endpoint::default() };
        let networks = vec![Attachment { endpoint: end, ..Attachment::new("net", ["web"]) }];
        let spec = ContainerSpec { name: "web".to_owned(), networks, ..ContainerSpec::default() };
        let error = check_container(&engine((1, 41)), &spec).expect_err("too old");
        assert_eq!(error.kind(), ErrorKind::NotSupported);
        assert!(error.message().contains("`interface_name`"), "{error}");
        assert!(error.hint().expect("a hint").contains("Docker 28.1"), "{error:?}");
        check_container(&engine((1, 49)), &spec).expect("new enough");
        let spec = NetworkSpec { enable_ipv4: Some(false), ..NetworkSpec::default() };
        assert!(check_network(&engine((1, 41)), &spec).is_err());
        assert!(check_network(&engine((1, 51)), &spec).is_ok());
    }
}
