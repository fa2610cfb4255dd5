//! What the engine is asked for when a container is made.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest as EngineRequest, EndpointIpamConfig, EndpointSettings,
    HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount as EngineMount, MountBindOptions,
    MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkingConfig, PortBinding,
    ResourcesUlimits, RestartPolicy as EnginePolicy, RestartPolicyNameEnum,
};

use super::Reach;
use crate::container::{
    Attachment, ContainerOptions, ContainerSpec, DeviceRequest, HealthCheck, Mount, MountKind, NetworkMode,
    PublishedPort, RestartPolicy, Ulimit,
};

pub(super) fn body(spec: &ContainerSpec, reach: Reach) -> ContainerCreateBody {
    let options = &spec.options;
    let first = spec.networks.first();
    // With another's network, its names are the other's, too.
    let own_network = !matches!(spec.network_mode, Some(NetworkMode::Container(_) | NetworkMode::Host));
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        hostname: options.hostname.clone().filter(|_| own_network),
        domainname: options.domainname.clone(),
        user: options.user.clone(),
        working_dir: options.working_dir.clone(),
        tty: Some(options.tty),
        open_stdin: Some(options.stdin_open),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
        labels: Some(spec.labels.iter().map(|(key, value)| (key.clone(), value.clone())).collect()),
        exposed_ports: Some(exposed(spec)),
        healthcheck: spec.health_check.as_ref().map(health_check),
        stop_signal: spec.stop_signal.clone(),
        host_config: Some(host(spec, reach)),
        networking_config: first.map(|attachment| NetworkingConfig {
            endpoints_config: Some(HashMap::from([(attachment.network.clone(), endpoint(attachment))])),
        }),
        ..Default::default()
    }
}

fn host(spec: &ContainerSpec, reach: Reach) -> HostConfig {
    let ContainerOptions { resources, .. } = &spec.options;
    let options = &spec.options;
    let limits = resources.limits.clone().unwrap_or_default();
    let reserved = resources.reservations.clone().unwrap_or_default();
    let map = |pairs: &std::collections::BTreeMap<String, String>| {
        (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect::<HashMap<_, _>>())
    };
    let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    let network = spec.network_mode.as_ref().map(ToString::to_string);
    HostConfig {
        network_mode: network.or_else(|| spec.networks.first().map(|attachment| attachment.network.clone())),
        port_bindings: Some(bindings(spec, reach)),
        restart_policy: Some(restart(spec.restart)),
        binds: Some(spec.mounts.iter().filter_map(bind).collect()),
        mounts: Some(spec.mounts.iter().filter(|it| bind(it).is_none()).map(mount).collect()),
        tmpfs: (!options.tmpfs.is_empty()).then(|| {
            let split = options.tmpfs.iter().map(|it| it.split_once(':').unwrap_or((it, "")));
            split.map(|(path, options)| (path.to_owned(), options.to_owned())).collect()
        }),
        annotations: map(&options.annotations),
        cap_add: list(&options.cap_add),
        cap_drop: list(&options.cap_drop),
        cgroup_parent: options.cgroup_parent.clone(),
        cgroupns_mode: options.cgroup.as_deref().and_then(|mode| match mode {
            "host" => Some(HostConfigCgroupnsModeEnum::HOST),
            "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            _ => None,
        }),
        cpu_period: options.cpu_period,
        cpu_quota: options.cpu_quota,
        cpu_realtime_period: options.cpu_rt_period,
        cpu_realtime_runtime: options.cpu_rt_runtime,
        cpu_shares: options.cpu_shares,
        cpuset_cpus: options.cpuset.clone(),
        nano_cpus: limits.cpus.or(options.cpus).map(|cpus| cpus.0),
        device_cgroup_rules: list(&options.device_cgroup_rules),
        device_requests: Some(device_requests(&options.gpus, &reserved.devices)).filter(|all| !all.is_empty()),
        devices: (!options.devices.is_empty()).then(|| {
            let mapping = |device: &crate::container::Device| DeviceMapping {
                path_on_host: Some(device.source.clone()),
                path_in_container: Some(device.target.clone()),
                cgroup_permissions: Some(device.permissions.clone().unwrap_or_else(|| "rwm".to_owned())),
            };
            options.devices.iter().map(mapping).collect()
        }),
        dns: list(&options.dns),
        dns_options: list(&options.dns_opt),
        dns_search: list(&options.dns_search),
        extra_hosts: list(&options.extra_hosts.iter().map(|host| host.replacen('=', ":", 1)).collect::<Vec<_>>()),
        group_add: list(&options.group_add),
        init: options.init,
        ipc_mode: options.ipc.clone(),
        log_config: options.logging.clone().map(|logging| HostConfigLogConfig {
            typ: logging.driver,
            config: Some(logging.options.into_iter().collect()),
        }),
        memory: limits.memory.or(options.mem_limit).map(|size| size.0),
        memory_reservation: reserved.memory.or(options.mem_reservation).map(|size| size.0),
        memory_swap: options.memswap_limit.map(|size| size.0),
        memory_swappiness: options.mem_swappiness.map(|size| size.0),
        oom_kill_disable: options.oom_kill_disable.then_some(true),
        oom_score_adj: options.oom_score_adj,
        pid_mode: options.pid.clone(),
        pids_limit: limits.pids.or(options.pids_limit),
        privileged: Some(options.privileged),
        readonly_rootfs: Some(options.read_only),
        runtime: options.runtime.clone(),
        security_opt: list(&options.security_opt),
        shm_size: options.shm_size.map(|size| size.0),
        storage_opt: map(&options.storage_opt),
        sysctls: map(&options.sysctls),
        ulimits: (!options.ulimits.is_empty()).then(|| {
            let limit = |(name, limit): (&String, &Ulimit)| {
                let (soft, hard) = match *limit {
                    Ulimit::Single(both) => (both, both),
                    Ulimit::Pair { soft, hard } => (soft, hard),
                };
                ResourcesUlimits { name: Some(name.clone()), soft: Some(soft), hard: Some(hard) }
            };
            options.ulimits.iter().map(limit).collect()
        }),
        userns_mode: options.userns_mode.clone(),
        uts_mode: options.uts.clone(),
        ..Default::default()
    }
}

/// What is asked for under `gpus` is capable of being one.
fn device_requests(gpus: &[DeviceRequest], reserved: &[DeviceRequest]) -> Vec<EngineRequest> {
    let gpus = gpus.iter().map(|it| {
        let gpu = ["gpu".to_owned()].into_iter().filter(|gpu| !it.capabilities.contains(gpu));
        DeviceRequest { capabilities: gpu.chain(it.capabilities.iter().cloned()).collect(), ..it.clone() }
    });
    let request = |it: DeviceRequest| EngineRequest {
        driver: it.driver,
        count: it.count,
        device_ids: Some(it.device_ids).filter(|ids| !ids.is_empty()),
        // A list of alternatives, each of which has all that it lists.
        capabilities: Some(vec![it.capabilities]),
        options: Some(it.options.into_iter().collect()),
    };
    gpus.chain(reserved.iter().cloned()).map(request).collect()
}

fn exposed(spec: &ContainerSpec) -> Vec<String> {
    let published = spec.publish.iter().map(|port| format!("{}/{}", port.container, port.protocol));
    let mut exposed: Vec<String> = spec.expose.iter().map(|port| tcp(*port)).chain(published).collect();
    exposed.sort_unstable();
    exposed.dedup();
    exposed
}

fn bindings(spec: &ContainerSpec, reach: Reach) -> HashMap<String, Option<Vec<PortBinding>>> {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.publish {
        let binding =
            PortBinding { host_ip: port.host_address.map(|address| address.to_string()), host_port: host_port(port) };
        let inside = format!("{}/{}", port.container, port.protocol);
        bindings.entry(inside).or_default().get_or_insert_default().push(binding);
    }
    if let Reach::Published(address) = reach {
        for port in &spec.expose {
            let binding = PortBinding { host_ip: Some(address.to_string()), host_port: None };
            bindings.entry(tcp(*port)).or_insert_with(|| Some(vec![binding]));
        }
    }
    bindings
}

fn host_port(port: &PublishedPort) -> Option<String> {
    match (port.host, port.host_last) {
        (Some(first), Some(last)) => Some(format!("{first}-{last}")),
        (host, _) => host.map(|port| port.to_string()),
    }
}

fn tcp(port: u16) -> String {
    format!("{port}/tcp")
}

/// Without a word, restarting is ours: a restarted container is another incarnation, and its sessions are lost.
fn restart(policy: Option<RestartPolicy>) -> EnginePolicy {
    let (name, maximum_retry_count) = match policy {
        None | Some(RestartPolicy::No) => (RestartPolicyNameEnum::NO, None),
        Some(RestartPolicy::Always) => (RestartPolicyNameEnum::ALWAYS, None),
        Some(RestartPolicy::UnlessStopped) => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Some(RestartPolicy::OnFailure(times)) => (RestartPolicyNameEnum::ON_FAILURE, times.map(i64::from)),
    };
    EnginePolicy { name: Some(name), maximum_retry_count }
}

/// A folder of the host in the old form, which makes it where there is none, as people expect.
fn bind(mount: &Mount) -> Option<String> {
    let options = mount.bind.clone().unwrap_or_default();
    if mount.kind != MountKind::Bind || options.create_host_path == Some(false) {
        return None;
    }
    let mut words: Vec<String> = vec![if mount.read_only { "ro" } else { "rw" }.to_owned()];
    words.extend(options.selinux.into_iter().chain(options.propagation));
    Some(format!("{}:{}:{}", mount.source.as_deref().unwrap_or_default(), mount.target, words.join(",")))
}

fn mount(mount: &Mount) -> EngineMount {
    let typ = match mount.kind {
        MountKind::Volume => MountType::VOLUME,
        MountKind::Bind => MountType::BIND,
        MountKind::Tmpfs => MountType::TMPFS,
        MountKind::Image => MountType::IMAGE,
    };
    EngineMount {
        target: Some(mount.target.clone()),
        source: mount.source.clone(),
        typ: Some(typ),
        read_only: Some(mount.read_only),
        bind_options: mount.bind.as_ref().map(|options| MountBindOptions {
            propagation: options.propagation.as_deref().and_then(|text| text.parse().ok()),
            ..Default::default()
        }),
        volume_options: mount
            .volume
            .as_ref()
            .map(|options| MountVolumeOptions { no_copy: Some(options.nocopy), ..Default::default() }),
        image_options: mount.image.as_ref().map(|options| MountImageOptions { subpath: options.subpath.clone() }),
        tmpfs_options: mount.tmpfs.as_ref().map(|options| MountTmpfsOptions {
            size_bytes: options.size.map(|size| size.0),
            mode: options.mode.map(i64::from),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// How a container joins a network.
pub(super) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let asked = &attachment.endpoint;
    let fixed = asked.ipv4_address.is_some() || asked.ipv6_address.is_some() || !asked.link_local_ips.is_empty();
    EndpointSettings {
        aliases: Some(attachment.aliases.clone()),
        links: (!attachment.links.is_empty()).then(|| attachment.links.clone()),
        mac_address: asked.mac_address.clone(),
        driver_opts: (!asked.driver_opts.is_empty()).then(|| asked.driver_opts.clone().into_iter().collect()),
        gw_priority: asked.gw_priority,
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: asked.ipv4_address.map(|address| address.to_string()),
            ipv6_address: asked.ipv6_address.map(|address| address.to_string()),
            link_local_ips: (!asked.link_local_ips.is_empty()).then(|| asked.link_local_ips.clone()),
        }),
        ..Default::default()
    }
}

fn health_check(check: &HealthCheck) -> HealthConfig {
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: Some(check.test.clone()),
        interval: check.interval.map(nanos),
        timeout: check.timeout.map(nanos),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanos),
        start_interval: check.start_interval.map(nanos),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_as_a_gpu_is_capable_of_being_one() {
        let capable = |of: &[&str]| DeviceRequest {
            capabilities: of.iter().map(|it| (*it).to_owned()).collect(),
            ..DeviceRequest::default()
        };
        let asked = device_requests(&[capable(&[]), capable(&["gpu", "utility"])], &[capable(&["tpu"])]);
        let capabilities: Vec<_> = asked.into_iter().map(|it| it.capabilities.unwrap_or_default().concat()).collect();
        assert_eq!(capabilities, [vec!["gpu"], vec!["gpu", "utility"], vec!["tpu"]]);
    }
}
