//! What the engine is asked for when a container is made.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    ContainerCreateBody, DeviceMapping, DeviceRequest as EngineRequest, EndpointIpamConfig, EndpointSettings,
    HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, HostConfigLogConfig, Mount as EngineMount, MountBindOptions,
    MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkingConfig, PortBinding,
    ResourcesBlkioWeightDevice, ResourcesUlimits, RestartPolicy as EnginePolicy, RestartPolicyNameEnum, ThrottleDevice,
};

use super::Reach;
use super::client::EngineVersion;
use crate::container::{
    Attachment, BindOptions, ContainerOptions, ContainerSpec, DeviceRate, DeviceRequest, DeviceWeight, Endpoint,
    HealthCheck, ImageOptions, Limits, Logging, Mount, MountKind, NetworkMode, PublishedPort, Reservations, Resources,
    RestartPolicy, TmpfsOptions, Ulimit, VolumeOptions,
};

/// The oldest API in which a hardware address belongs to a network that the container joins: Docker 25.
const ENDPOINT_MAC_API: (u32, u32) = (1, 44);
/// Where the engine is reached, here and within the container.
const API_SOCKET: &str = "/var/run/docker.sock:/var/run/docker.sock:rw";
/// The option of an endpoint for its interface's name within the container.
const INTERFACE_NAME: &str = "com.docker.network.endpoint.ifname";

pub(super) fn body(spec: &ContainerSpec, reach: Reach, engine: &EngineVersion) -> ContainerCreateBody {
    let ContainerSpec {
        name: _, // beside the body
        image,
        entrypoint,
        command,
        environment,
        identity: _,
        labels: _, // both by `all_labels`
        networks,
        network_mode,
        expose: _,  // in `exposed` and `bindings`
        publish: _, // as well
        health_check,
        stop_signal,
        mounts: _,  // in `host`
        files: _,   // put into it when it has been made
        restart: _, // in `host`
        options,
    } = spec;
    // A container in another's network namespace has the other's names, too.
    let own_network = !matches!(network_mode, Some(NetworkMode::Container(_) | NetworkMode::Host));
    let mac_address = options.mac_address.as_ref().filter(|_| engine.api >= ENDPOINT_MAC_API);
    let first = networks.first().map(|attachment| (attachment.network.clone(), endpoint(attachment)));
    // Where a container joins no network of its own, the engine's `bridge` is its network.
    let first = first.or_else(|| mac_address.map(|_| ("bridge".to_owned(), EndpointSettings::default())));
    ContainerCreateBody {
        image: Some(image.clone()),
        hostname: options.hostname.clone().filter(|_| own_network),
        domainname: options.domainname.clone(),
        user: options.user.clone(),
        working_dir: options.working_dir.clone(),
        tty: Some(options.tty),
        open_stdin: Some(options.stdin_open),
        entrypoint: entrypoint.clone(),
        cmd: command.clone(),
        env: Some(environment.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
        labels: Some(spec.all_labels().into_iter().collect()),
        exposed_ports: Some(exposed(spec)),
        healthcheck: health_check.as_ref().map(health_config),
        stop_signal: stop_signal.clone(),
        host_config: Some(host(spec, reach)),
        networking_config: first.map(|(network, mut endpoint)| {
            endpoint.mac_address = endpoint.mac_address.or_else(|| mac_address.cloned());
            NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) }
        }),
        ..Default::default()
    }
}

/// A container's `mac_address` as engines before Docker 25 take it: beside the networks.
pub(super) fn mac_address_apart(spec: &ContainerSpec, engine: &EngineVersion) -> Option<String> {
    spec.options.mac_address.clone().filter(|_| engine.api < ENDPOINT_MAC_API)
}

fn host(spec: &ContainerSpec, reach: Reach) -> HostConfig {
    // All options are named here, so that a new one does not compile until it is handled.
    let ContainerOptions {
        annotations,
        cap_add,
        cap_drop,
        cgroup,
        cgroup_parent,
        blkio_config,
        cpu_count,
        cpu_percent,
        cpu_period,
        cpu_quota,
        cpu_rt_period,
        cpu_rt_runtime,
        cpu_shares,
        cpus,
        cpuset,
        resources: Resources { limits, reservations },
        device_cgroup_rules,
        devices,
        dns,
        dns_opt,
        dns_search,
        domainname: _, // in `body`
        extra_hosts,
        gpus,
        group_add,
        hostname: _, // in `body`
        init,
        ipc,
        isolation,
        logging,
        mac_address: _, // in `body`
        mem_limit,
        mem_reservation,
        mem_swappiness,
        memswap_limit,
        oom_kill_disable,
        oom_score_adj,
        pid,
        pids_limit,
        platform: _, // beside the body
        privileged,
        read_only,
        runtime,
        security_opt,
        shm_size,
        stdin_open: _, // in `body`
        storage_opt,
        sysctls,
        tmpfs,
        tty: _, // in `body`
        ulimits,
        use_api_socket,
        user: _, // in `body`
        userns_mode,
        uts,
        volumes_from,
        working_dir: _, // in `body`
    } = &spec.options;
    let Limits { cpus: limited_cpus, memory: limited_memory, pids: limited_pids } = limits.clone().unwrap_or_default();
    // Reserved processors are for the scheduler of a swarm. An engine by itself ignores them, and so does Compose.
    let Reservations { cpus: _, devices: reserved_devices, memory: reserved_memory } =
        reservations.clone().unwrap_or_default();
    let block = blkio_config.clone().unwrap_or_default();
    let map = |pairs: &std::collections::BTreeMap<String, String>| {
        (!pairs.is_empty()).then(|| pairs.clone().into_iter().collect::<HashMap<_, _>>())
    };
    let list = |texts: &[String]| (!texts.is_empty()).then(|| texts.to_vec());
    let network = spec.network_mode.as_ref().map(ToString::to_string);
    HostConfig {
        network_mode: network.or_else(|| spec.networks.first().map(|attachment| attachment.network.clone())),
        port_bindings: Some(bindings(spec, reach)),
        restart_policy: Some(restart(spec.restart)),
        binds: Some(spec.mounts.iter().filter_map(bind).chain(use_api_socket.then(|| API_SOCKET.to_owned())).collect()),
        mounts: Some(spec.mounts.iter().filter(|it| bind(it).is_none()).map(mount).collect()),
        tmpfs: (!tmpfs.is_empty()).then(|| {
            let split = tmpfs.iter().map(|it| it.split_once(':').unwrap_or((it, "")));
            split.map(|(path, options)| (path.to_owned(), options.to_owned())).collect()
        }),
        annotations: map(annotations),
        cap_add: list(cap_add),
        cap_drop: list(cap_drop),
        cgroup_parent: cgroup_parent.clone(),
        cgroupns_mode: cgroup.as_deref().and_then(|mode| match mode {
            "host" => Some(HostConfigCgroupnsModeEnum::HOST),
            "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            _ => None, // `needs` refuses it
        }),
        blkio_weight: block.weight,
        blkio_weight_device: weights(&block.weight_device),
        blkio_device_read_bps: rates(&block.device_read_bps),
        blkio_device_read_iops: rates(&block.device_read_iops),
        blkio_device_write_bps: rates(&block.device_write_bps),
        blkio_device_write_iops: rates(&block.device_write_iops),
        cpu_count: *cpu_count,
        cpu_percent: *cpu_percent,
        isolation: isolation.as_deref().and_then(|isolation| isolation.parse().ok()),
        cpu_period: *cpu_period,
        cpu_quota: *cpu_quota,
        cpu_realtime_period: *cpu_rt_period,
        cpu_realtime_runtime: *cpu_rt_runtime,
        cpu_shares: *cpu_shares,
        cpuset_cpus: cpuset.clone(),
        nano_cpus: limited_cpus.or(*cpus).map(|cpus| cpus.0),
        device_cgroup_rules: list(device_cgroup_rules),
        device_requests: Some(device_requests(gpus, &reserved_devices)).filter(|all| !all.is_empty()),
        devices: (!devices.is_empty()).then(|| {
            let mapping = |device: &crate::container::Device| DeviceMapping {
                path_on_host: Some(device.source.clone()),
                path_in_container: Some(device.target.clone()),
                cgroup_permissions: Some(device.permissions.clone().unwrap_or_else(|| "rwm".to_owned())),
            };
            devices.iter().map(mapping).collect()
        }),
        dns: list(dns),
        dns_options: list(dns_opt),
        dns_search: list(dns_search),
        extra_hosts: list(&extra_hosts.iter().map(|host| host.replacen('=', ":", 1)).collect::<Vec<_>>()),
        group_add: list(group_add),
        init: *init,
        ipc_mode: ipc.clone(),
        log_config: logging.clone().map(|Logging { driver, options }| HostConfigLogConfig {
            typ: driver,
            config: Some(options.into_iter().collect()),
        }),
        memory: limited_memory.or(*mem_limit).map(|size| size.0),
        memory_reservation: reserved_memory.or(*mem_reservation).map(|size| size.0),
        memory_swap: memswap_limit.map(|size| size.0),
        memory_swappiness: mem_swappiness.map(|size| size.0),
        oom_kill_disable: oom_kill_disable.then_some(true),
        oom_score_adj: *oom_score_adj,
        pid_mode: pid.clone(),
        pids_limit: limited_pids.or(*pids_limit),
        privileged: Some(*privileged),
        readonly_rootfs: Some(*read_only),
        runtime: runtime.clone(),
        security_opt: list(security_opt),
        shm_size: shm_size.map(|size| size.0),
        storage_opt: map(storage_opt),
        sysctls: map(sysctls),
        ulimits: (!ulimits.is_empty()).then(|| {
            let limit = |(name, limit): (&String, &Ulimit)| {
                let (soft, hard) = match *limit {
                    Ulimit::Single(both) => (both, both),
                    Ulimit::Pair { soft, hard } => (soft, hard),
                };
                ResourcesUlimits { name: Some(name.clone()), soft: Some(soft), hard: Some(hard) }
            };
            ulimits.iter().map(limit).collect()
        }),
        userns_mode: userns_mode.clone(),
        uts_mode: uts.clone(),
        volumes_from: list(volumes_from),
        ..Default::default()
    }
}

fn weights(devices: &[DeviceWeight]) -> Option<Vec<ResourcesBlkioWeightDevice>> {
    let weight = |DeviceWeight { path, weight }: &DeviceWeight| ResourcesBlkioWeightDevice {
        path: Some(path.clone()),
        weight: Some((*weight).into()),
    };
    (!devices.is_empty()).then(|| devices.iter().map(weight).collect())
}

fn rates(devices: &[DeviceRate]) -> Option<Vec<ThrottleDevice>> {
    let rate = |DeviceRate { path, rate }: &DeviceRate| ThrottleDevice { path: Some(path.clone()), rate: Some(rate.0) };
    (!devices.is_empty()).then(|| devices.iter().map(rate).collect())
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

/// By default the engine does not restart: a restarted container is another incarnation, and its sessions are lost.
fn restart(policy: Option<RestartPolicy>) -> EnginePolicy {
    let (name, maximum_retry_count) = match policy {
        None | Some(RestartPolicy::No) => (RestartPolicyNameEnum::NO, None),
        Some(RestartPolicy::Always) => (RestartPolicyNameEnum::ALWAYS, None),
        Some(RestartPolicy::UnlessStopped) => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Some(RestartPolicy::OnFailure(times)) => (RestartPolicyNameEnum::ON_FAILURE, times.map(i64::from)),
    };
    EnginePolicy { name: Some(name), maximum_retry_count }
}

/// A folder of the host in the old form. Engines make such a folder if it is missing, as people expect.
fn bind(mount: &Mount) -> Option<String> {
    let BindOptions { propagation, create_host_path, recursive, selinux } = mount.bind.clone().unwrap_or_default();
    if mount.kind != MountKind::Bind || create_host_path == Some(false) || recursive.is_some() {
        return None;
    }
    let mut words: Vec<String> = vec![if mount.read_only { "ro" } else { "rw" }.to_owned()];
    words.extend(selinux.into_iter().chain(propagation));
    Some(format!("{}:{}:{}", mount.source.as_deref().unwrap_or_default(), mount.target, words.join(",")))
}

fn mount(mount: &Mount) -> EngineMount {
    // Docker Desktop has ignored `consistency` for years.
    let Mount { kind, source, target, read_only, consistency: _, bind, volume, tmpfs, image } = mount;
    let typ = match kind {
        MountKind::Volume => MountType::VOLUME,
        MountKind::Bind => MountType::BIND,
        MountKind::Tmpfs => MountType::TMPFS,
        MountKind::Image => MountType::IMAGE,
    };
    EngineMount {
        target: Some(target.clone()),
        source: source.clone(),
        typ: Some(typ),
        read_only: Some(*read_only),
        // `needs` refuses `selinux`, which this form has not.
        bind_options: bind.as_ref().map(|BindOptions { propagation, create_host_path, recursive, selinux: _ }| {
            let recursive = recursive.as_deref();
            MountBindOptions {
                propagation: propagation.as_deref().and_then(|text| text.parse().ok()),
                create_mountpoint: Some(*create_host_path != Some(false)),
                non_recursive: Some(recursive == Some("disabled")),
                read_only_non_recursive: (recursive == Some("writable")).then_some(true),
                read_only_force_recursive: (recursive == Some("readonly")).then_some(true),
            }
        }),
        volume_options: volume.as_ref().map(|VolumeOptions { nocopy, subpath, labels }| MountVolumeOptions {
            no_copy: Some(*nocopy),
            subpath: subpath.clone(),
            labels: (!labels.is_empty()).then(|| labels.clone().into_iter().collect()),
            ..Default::default()
        }),
        image_options: image.as_ref().map(|ImageOptions { subpath }| MountImageOptions { subpath: subpath.clone() }),
        tmpfs_options: tmpfs.as_ref().map(|TmpfsOptions { size, mode }| MountTmpfsOptions {
            size_bytes: size.map(|size| size.0),
            mode: mode.map(i64::from),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// How a container joins a network.
pub(super) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let Attachment { network: _, aliases, links, endpoint } = attachment;
    let Endpoint {
        aliases: _, // among those of the attachment
        driver_opts,
        gw_priority,
        interface_name,
        ipv4_address,
        ipv6_address,
        link_local_ips,
        mac_address,
        priority: _, // they come in its order
    } = endpoint;
    let fixed = ipv4_address.is_some() || ipv6_address.is_some() || !link_local_ips.is_empty();
    let named = interface_name.iter().map(|name| (INTERFACE_NAME.to_owned(), name.clone()));
    let driver_opts: HashMap<String, String> = driver_opts.clone().into_iter().chain(named).collect();
    EndpointSettings {
        aliases: Some(aliases.clone()),
        links: (!links.is_empty()).then(|| links.clone()),
        mac_address: mac_address.clone(),
        driver_opts: (!driver_opts.is_empty()).then_some(driver_opts),
        gw_priority: *gw_priority,
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: ipv4_address.map(|address| address.to_string()),
            ipv6_address: ipv6_address.map(|address| address.to_string()),
            link_local_ips: (!link_local_ips.is_empty()).then(|| link_local_ips.clone()),
        }),
        ..Default::default()
    }
}

pub(super) fn health_config(check: &HealthCheck) -> HealthConfig {
    let HealthCheck { test, interval, timeout, retries, start_period, start_interval } = check;
    let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
    HealthConfig {
        test: Some(test.clone()),
        interval: interval.map(nanos),
        timeout: timeout.map(nanos),
        retries: retries.map(i64::from),
        start_period: start_period.map(nanos),
        start_interval: start_interval.map(nanos),
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
