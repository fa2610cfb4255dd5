//! The keys of a compose file: those that are read, and those that are not supported yet. The latter are in the Compose
//! Specification, or are planned. Any other key is a mistake.

/// The keys of one kind of mapping.
pub(super) struct Keys {
    /// What the mapping is, for messages.
    pub(super) what: &'static str,
    /// Keys that are read.
    pub(super) supported: &'static [&'static str],
    /// Keys that are not supported yet, each with what to do instead.
    pub(super) planned: &'static [(&'static str, &'static str)],
    /// Whether keys `x-…` of other programs are allowed, as in the Compose Specification.
    pub(super) extensible: bool,
}

/// What a key is.
pub(super) enum Verdict {
    Supported,
    /// A key `x-…` of another program.
    Extension,
    /// Not supported yet; with what to do instead.
    Planned(&'static str),
    /// Not known; with the key that was probably meant.
    Unknown(Option<&'static str>),
    /// Our own key, at the wrong place.
    Misplaced,
}

/// For the last arm of a reader: a key that is listed as supported has an arm of its own.
pub(super) fn unread(key: &str) -> ! {
    unreachable!("`{key}` is listed as supported, and nothing reads it")
}

/// The key that our settings stand under.
const OURS: &str = "x-haddock";
const LATER: &str = "remove it; the keys that are supported are listed in docs/reference/compose-file.md";
const SWARM: &str = "remove it: only a swarm keeps secrets and configs";
const WINDOWS: &str = "remove it: it is for Windows";
const HOOKS: &str = "remove it; a component of its own that ends, and `depends_on` it, does the same before a start";

pub(super) static FILE: Keys = Keys {
    what: "a compose file",
    supported: &["name", "version", "services", "networks", "volumes", "secrets", "configs", "include", "x-haddock"],
    planned: &[("models", LATER)],
    extensible: true,
};

pub(super) static SERVICE: Keys = Keys {
    what: "a component",
    supported: &[
        "image",
        "annotations",
        "attach",
        "blkio_config",
        "build",
        "cap_add",
        "cap_drop",
        "cgroup",
        "cgroup_parent",
        "command",
        "configs",
        "container_name",
        "cpu_count",
        "cpu_percent",
        "cpu_period",
        "cpu_quota",
        "cpu_rt_period",
        "cpu_rt_runtime",
        "cpu_shares",
        "cpus",
        "cpuset",
        "depends_on",
        "deploy",
        "develop",
        "device_cgroup_rules",
        "devices",
        "dns",
        "dns_opt",
        "dns_search",
        "domainname",
        "entrypoint",
        "env_file",
        "environment",
        "expose",
        "extends",
        "external_links",
        "extra_hosts",
        "gpus",
        "group_add",
        "healthcheck",
        "hostname",
        "init",
        "ipc",
        "isolation",
        "label_file",
        "labels",
        "links",
        "logging",
        "mac_address",
        "mem_limit",
        "mem_reservation",
        "mem_swappiness",
        "memswap_limit",
        "network_mode",
        "networks",
        "oom_kill_disable",
        "oom_score_adj",
        "pid",
        "pids_limit",
        "platform",
        "ports",
        "privileged",
        "profiles",
        "pull_policy",
        "read_only",
        "restart",
        "runtime",
        "scale",
        "secrets",
        "security_opt",
        "shm_size",
        "stdin_open",
        "stop_grace_period",
        "stop_signal",
        "storage_opt",
        "sysctls",
        "tmpfs",
        "tty",
        "ulimits",
        "user",
        "use_api_socket",
        "userns_mode",
        "uts",
        "volumes",
        "volumes_from",
        "working_dir",
    ],
    planned: &[
        ("credential_spec", WINDOWS),
        ("driver_opts", LATER),
        ("log_driver", "write `logging: { driver: … }`"),
        ("log_opt", "write `logging: { options: … }`"),
        ("models", LATER),
        ("net", "write `network_mode`"),
        ("post_start", HOOKS),
        ("post_stop", HOOKS),
        ("pre_start", HOOKS),
        ("pre_stop", HOOKS),
        ("provider", LATER),
        ("pull_refresh_after", LATER),
        ("volume_driver", "write the driver under the file's `volumes`"),
    ],
    extensible: true,
};

pub(super) static ENV_FILE: Keys =
    Keys { what: "an entry of `env_file`", supported: &["path", "required", "format"], planned: &[], extensible: true };

pub(super) static PORT: Keys = Keys {
    what: "a port",
    supported: &["target", "published", "host_ip", "protocol", "name", "app_protocol", "mode"],
    planned: &[],
    extensible: true,
};

pub(super) static BUILD: Keys = Keys {
    what: "`build`",
    supported: &[
        "context",
        "dockerfile",
        "dockerfile_inline",
        "additional_contexts",
        "args",
        "cache_from",
        "cache_to",
        "entitlements",
        "extra_hosts",
        "isolation",
        "labels",
        "network",
        "no_cache",
        "no_cache_filter",
        "platforms",
        "privileged",
        "provenance",
        "pull",
        "sbom",
        "secrets",
        "shm_size",
        "ssh",
        "tags",
        "target",
        "ulimits",
    ],
    planned: &[],
    extensible: true,
};

pub(super) static DEPLOY: Keys = Keys {
    what: "`deploy`",
    supported: &[
        "replicas",
        "resources",
        "mode",
        "labels",
        "endpoint_mode",
        "placement",
        "restart_policy",
        "rollback_config",
        "update_config",
    ],
    planned: &[],
    extensible: true,
};

pub(super) static DEVELOP: Keys = Keys { what: "`develop`", supported: &["watch"], planned: &[], extensible: true };

pub(super) static PLACEMENT: Keys = Keys {
    what: "`placement`",
    supported: &["constraints", "preferences", "max_replicas_per_node"],
    planned: &[],
    extensible: true,
};

pub(super) static RESTART_POLICY: Keys = Keys {
    what: "`restart_policy`",
    supported: &["condition", "delay", "max_attempts", "window"],
    planned: &[],
    extensible: true,
};

pub(super) static UPDATE_CONFIG: Keys = Keys {
    what: "how a swarm updates",
    supported: &["parallelism", "delay", "failure_action", "monitor", "max_failure_ratio", "order"],
    planned: &[],
    extensible: true,
};

pub(super) static RESOURCES: Keys =
    Keys { what: "`resources`", supported: &["limits", "reservations"], planned: &[], extensible: true };

pub(super) static LIMITS: Keys =
    Keys { what: "`limits`", supported: &["cpus", "memory", "pids"], planned: &[], extensible: true };

pub(super) static RESERVATIONS: Keys = Keys {
    what: "`reservations`",
    supported: &["cpus", "memory", "devices"],
    planned: &[("generic_resources", LATER)],
    extensible: true,
};

pub(super) static DEVICE_REQUEST: Keys = Keys {
    what: "a request for devices",
    supported: &["capabilities", "count", "device_ids", "driver", "options"],
    planned: &[],
    extensible: true,
};

pub(super) static MOUNT: Keys = Keys {
    what: "a mount",
    supported: &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"],
    planned: &[],
    extensible: true,
};

pub(super) static MOUNT_BIND: Keys = Keys {
    what: "`bind`",
    supported: &["propagation", "create_host_path", "recursive", "selinux"],
    planned: &[],
    extensible: true,
};

pub(super) static MOUNT_VOLUME: Keys =
    Keys { what: "`volume`", supported: &["nocopy", "subpath", "labels"], planned: &[], extensible: true };

pub(super) static MOUNT_IMAGE: Keys = Keys { what: "`image`", supported: &["subpath"], planned: &[], extensible: true };

pub(super) static MOUNT_TMPFS: Keys =
    Keys { what: "`tmpfs`", supported: &["size", "mode"], planned: &[], extensible: true };

pub(super) static FILE_USE: Keys = Keys {
    what: "an entry of `secrets` or `configs`",
    supported: &["source", "target", "uid", "gid", "mode"],
    planned: &[],
    extensible: true,
};

pub(super) static DECLARED_FILE: Keys = Keys {
    what: "a secret or config",
    supported: &["file", "environment", "content", "name", "external", "labels", "template_driver"],
    planned: &[("driver", SWARM), ("driver_opts", SWARM)],
    extensible: true,
};

pub(super) static DECLARED_VOLUME: Keys = Keys {
    what: "a volume",
    supported: &["name", "external", "driver", "driver_opts", "labels"],
    planned: &[],
    extensible: true,
};

pub(super) static EXTERNAL: Keys = Keys { what: "`external`", supported: &["name"], planned: &[], extensible: true };

pub(super) static DECLARED_NETWORK: Keys = Keys {
    what: "a network",
    supported: &[
        "name",
        "external",
        "driver",
        "driver_opts",
        "internal",
        "attachable",
        "enable_ipv4",
        "enable_ipv6",
        "labels",
        "ipam",
    ],
    planned: &[],
    extensible: true,
};

pub(super) static IPAM: Keys =
    Keys { what: "`ipam`", supported: &["driver", "config", "options"], planned: &[], extensible: true };

pub(super) static IPAM_CONFIG: Keys = Keys {
    what: "an entry of `config`",
    supported: &["subnet", "gateway", "ip_range", "aux_addresses"],
    planned: &[],
    extensible: true,
};

pub(super) static ENDPOINT: Keys = Keys {
    what: "how a component joins a network",
    supported: &[
        "aliases",
        "driver_opts",
        "gw_priority",
        "interface_name",
        "ipv4_address",
        "ipv6_address",
        "link_local_ips",
        "mac_address",
        "priority",
    ],
    planned: &[],
    extensible: true,
};

pub(super) static BLKIO: Keys = Keys {
    what: "`blkio_config`",
    supported: &[
        "weight",
        "weight_device",
        "device_read_bps",
        "device_read_iops",
        "device_write_bps",
        "device_write_iops",
    ],
    planned: &[],
    extensible: true,
};

pub(super) static BLKIO_WEIGHT: Keys =
    Keys { what: "the weight of a device", supported: &["path", "weight"], planned: &[], extensible: true };

pub(super) static BLKIO_RATE: Keys =
    Keys { what: "the rate of a device", supported: &["path", "rate"], planned: &[], extensible: true };

pub(super) static WATCH: Keys = Keys {
    what: "an entry of `watch`",
    supported: &["path", "action", "target", "ignore", "include", "exec", "initial_sync"],
    planned: &[],
    extensible: true,
};

pub(super) static LOGGING: Keys =
    Keys { what: "`logging`", supported: &["driver", "options"], planned: &[], extensible: true };

pub(super) static DEVICE: Keys =
    Keys { what: "a device", supported: &["source", "target", "permissions"], planned: &[], extensible: true };

pub(super) static ULIMIT: Keys = Keys { what: "a limit", supported: &["soft", "hard"], planned: &[], extensible: true };

pub(super) static DEPENDENCY: Keys =
    Keys { what: "a dependency", supported: &["condition", "required", "restart"], planned: &[], extensible: true };

pub(super) static HEALTH_CHECK: Keys = Keys {
    what: "a health check",
    supported: &["test", "interval", "timeout", "retries", "start_period", "start_interval", "disable"],
    planned: &[],
    extensible: true,
};

pub(super) static HADDOCK: Keys = Keys {
    what: "`x-haddock`",
    supported: &[
        "service",
        "entry",
        "ready",
        "session",
        "shared",
        "link_variables",
        "release",
        "guard",
        "notify",
        "health_interval",
        "idle",
        "production",
        "follow",
    ],
    planned: &[("host", LATER)],
    extensible: false,
};

pub(super) static FOLLOW: Keys =
    Keys { what: "`follow`", supported: &["release", "image", "every", "freeze"], planned: &[], extensible: false };

pub(super) static IDLE: Keys =
    Keys { what: "`idle`", supported: &["stop_after", "remove_after"], planned: &[], extensible: false };

pub(super) static PRODUCTION: Keys = Keys {
    what: "`production`",
    supported: &["links", "without", "variables"],
    planned: &[("hosts", LATER)],
    extensible: false,
};

pub(super) static READY: Keys =
    Keys { what: "`ready`", supported: &["http", "host", "within"], planned: &[], extensible: false };

pub(super) static SESSION: Keys = Keys {
    what: "`session`",
    supported: &[
        "idle",
        "ignore",
        "by",
        "cookie",
        "cookie_mode",
        "same_site",
        "domain",
        "path",
        "partitioned",
        "count",
    ],
    planned: &[],
    extensible: false,
};

pub(super) static COUNT: Keys =
    Keys { what: "`count`", supported: &["http", "pointer", "every"], planned: &[], extensible: false };

pub(super) static RELEASE: Keys = Keys {
    what: "`release`",
    supported: &[
        "replicas",
        "ramp",
        "every",
        "after",
        "harm_budget",
        "settle",
        "drain",
        "queue",
        "max_versions",
        "unresponsive_for",
        "before",
        "hooks",
    ],
    planned: &[("by", "write it under `session`: `session: { by: client }`")],
    extensible: false,
};

pub(super) static STAGE: Keys = Keys {
    what: "a stage of the ramp",
    supported: &["share", "every", "after", "gate"],
    planned: &[],
    extensible: false,
};

pub(super) static GATE: Keys =
    Keys { what: "a gate", supported: &["command", "call", "every", "within"], planned: &[], extensible: false };

pub(super) static GUARD: Keys = Keys {
    what: "`guard`",
    supported: &["acts", "false_alarm", "tolerate", "at_most", "failed", "slow"],
    planned: &[],
    extensible: false,
};

pub(super) static FAILED: Keys = Keys {
    what: "`failed`",
    supported: &["status", "except", "paths", "except_paths", "header"],
    planned: &[],
    extensible: false,
};

pub(super) static SLOW: Keys =
    Keys { what: "`slow`", supported: &["after", "tolerate"], planned: &[], extensible: false };

pub(super) static BEFORE: Keys =
    Keys { what: "`before`", supported: &["component", "within"], planned: &[], extensible: false };

pub(super) static RELEASE_HOOKS: Keys =
    Keys { what: "`hooks`", supported: &["serving", "draining"], planned: &[], extensible: false };

pub(super) static HOOK: Keys =
    Keys { what: "a hook", supported: &["component", "command", "within"], planned: &[], extensible: false };

pub(super) static DRAIN: Keys =
    Keys { what: "`drain`", supported: &["evict_after", "notify_clients"], planned: &[], extensible: false };
pub(super) static NOTIFY_CLIENTS: Keys =
    Keys { what: "`notify_clients`", supported: &["header"], planned: &[], extensible: false };

impl Keys {
    pub(super) fn judge(&self, key: &str) -> Verdict {
        if self.supported.contains(&key) {
            return Verdict::Supported;
        }
        if let Some((_, hint)) = self.planned.iter().find(|(name, _)| *name == key) {
            return Verdict::Planned(hint);
        }
        if key.starts_with("x-") {
            // `x-haddok` is more likely a typing error than the key of another program.
            return match nearest(key, [OURS]) {
                Some(ours) if self.supported.contains(&ours) => Verdict::Unknown(Some(ours)),
                Some(_) => Verdict::Misplaced,
                None if self.extensible => Verdict::Extension,
                None => Verdict::Unknown(None),
            };
        }
        Verdict::Unknown(self.meant(key))
    }

    /// The known key that is most like this one, if it is like enough.
    fn meant(&self, key: &str) -> Option<&'static str> {
        let known = self.supported.iter().copied().chain(self.planned.iter().map(|(name, _)| *name));
        nearest(key, known)
    }
}

/// The candidate that is most like the text, if it is like enough to be what was meant.
pub(super) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = match text.chars().count() {
        0..=2 => 0,
        // No key is that long, and the time to compute the distance grows with the product of both lengths.
        41.. => return None,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    let distance = |candidate| {
        strsim::damerau_levenshtein(&text.to_lowercase().replace('-', "_"), &str::replace(candidate, '-', "_"))
    };
    candidates
        .into_iter()
        .map(|candidate| (distance(candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
