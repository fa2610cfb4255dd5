//! Which keys there are: those that are read, and those that the Compose Specification knows, or that are to come, and
//! that are not supported yet. Anything else is a mistake.

/// The keys of one kind of mapping.
pub(super) struct Keys {
    /// What the mapping is, for messages.
    pub(super) what: &'static str,
    /// Keys that are read.
    pub(super) supported: &'static [&'static str],
    /// Keys that are known, with what to do instead.
    pub(super) planned: &'static [(&'static str, &'static str)],
    /// Whether `x-…` is left to others, as the Compose Specification has it.
    pub(super) extensible: bool,
}

/// What a key is.
pub(super) enum Verdict {
    Supported,
    /// `x-…`, somebody else's.
    Extension,
    /// With what to do instead.
    Planned(&'static str),
    /// With the key that was probably meant.
    Unknown(Option<&'static str>),
    /// Ours, and at the wrong place.
    Misplaced,
}

/// Where our settings stand.
const OURS: &str = "x-haddock";
const LATER: &str = "remove it; the keys that are supported are listed in docs/reference/compose-file.md";
const NETWORK: &str = "remove it: the components of an environment share a network of their own";

pub(super) static FILE: Keys = Keys {
    what: "a compose file",
    supported: &["name", "version", "services", "x-haddock"],
    planned: &[
        ("networks", NETWORK),
        ("volumes", LATER),
        ("configs", LATER),
        ("secrets", LATER),
        ("include", "copy the other file's services into this one"),
        ("models", LATER),
    ],
    extensible: true,
};

pub(super) static SERVICE: Keys = Keys {
    what: "a component",
    supported: &[
        "image",
        "command",
        "entrypoint",
        "environment",
        "env_file",
        "expose",
        "ports",
        "depends_on",
        "links",
        "healthcheck",
        "labels",
        "stop_grace_period",
        "stop_signal",
        "restart",
    ],
    planned: &[
        ("annotations", LATER),
        ("attach", LATER),
        ("blkio_config", LATER),
        ("build", "build the image first, and name it under `image`"),
        ("cap_add", LATER),
        ("cap_drop", LATER),
        ("cgroup", LATER),
        ("cgroup_parent", LATER),
        ("configs", LATER),
        (
            "container_name",
            "remove it: copies of a component run side by side, so their containers cannot share a name",
        ),
        ("cpu_count", LATER),
        ("cpu_percent", LATER),
        ("cpu_period", LATER),
        ("cpu_quota", LATER),
        ("cpu_rt_period", LATER),
        ("cpu_rt_runtime", LATER),
        ("cpu_shares", LATER),
        ("cpus", LATER),
        ("cpuset", LATER),
        ("credential_spec", LATER),
        ("deploy", "remove it; for several instances, set `x-haddock.release.replicas`"),
        ("develop", LATER),
        ("device_cgroup_rules", LATER),
        ("devices", LATER),
        ("dns", LATER),
        ("dns_opt", LATER),
        ("dns_search", LATER),
        ("domainname", LATER),
        ("driver_opts", LATER),
        ("extends", "write out the keys of the other service, or use a YAML anchor and `<<`"),
        ("external_links", LATER),
        ("extra_hosts", LATER),
        ("gpus", LATER),
        ("group_add", LATER),
        ("hostname", LATER),
        ("init", LATER),
        ("ipc", LATER),
        ("isolation", LATER),
        ("label_file", "write the labels under `labels`"),
        ("log_driver", LATER),
        ("log_opt", LATER),
        ("logging", LATER),
        ("mac_address", LATER),
        ("mem_limit", LATER),
        ("mem_reservation", LATER),
        ("mem_swappiness", LATER),
        ("memswap_limit", LATER),
        ("models", LATER),
        ("net", NETWORK),
        ("network_mode", NETWORK),
        ("networks", NETWORK),
        ("oom_kill_disable", LATER),
        ("oom_score_adj", LATER),
        ("pid", LATER),
        ("pids_limit", LATER),
        ("platform", LATER),
        ("post_start", LATER),
        ("post_stop", LATER),
        ("pre_start", LATER),
        ("pre_stop", LATER),
        ("privileged", LATER),
        ("profiles", "remove it, or move the component to a file of its own"),
        ("provider", LATER),
        ("pull_policy", LATER),
        ("pull_refresh_after", LATER),
        ("read_only", LATER),
        ("runtime", LATER),
        ("scale", "remove it; for several instances, set `x-haddock.release.replicas`"),
        ("secrets", LATER),
        ("security_opt", LATER),
        ("shm_size", LATER),
        ("stdin_open", LATER),
        ("storage_opt", LATER),
        ("sysctls", LATER),
        ("tmpfs", LATER),
        ("tty", LATER),
        ("ulimits", LATER),
        ("use_api_socket", LATER),
        ("user", "set the user in the image"),
        ("userns_mode", LATER),
        ("uts", LATER),
        ("volume_driver", LATER),
        ("volumes", LATER),
        ("volumes_from", LATER),
        ("working_dir", "set the directory in the image"),
    ],
    extensible: true,
};

pub(super) static ENV_FILE: Keys = Keys {
    what: "an entry of `env_file`",
    supported: &["path", "required"],
    planned: &[("format", LATER)],
    extensible: true,
};

pub(super) static PORT: Keys = Keys {
    what: "a port",
    supported: &["target", "published", "host_ip", "protocol"],
    planned: &[("name", LATER), ("app_protocol", LATER), ("mode", LATER)],
    extensible: true,
};

pub(super) static DEPENDENCY: Keys =
    Keys { what: "a dependency", supported: &["condition", "required", "restart"], planned: &[], extensible: true };

pub(super) static HEALTH_CHECK: Keys = Keys {
    what: "a health check",
    supported: &["test", "interval", "timeout", "retries", "start_period", "disable"],
    planned: &[("start_interval", LATER)],
    extensible: true,
};

pub(super) static HADDOCK: Keys = Keys {
    what: "`x-haddock`",
    supported: &["service", "entry", "ready", "session", "shared", "release"],
    planned: &[("host", LATER), ("notify", LATER), ("idle", LATER), ("production", LATER)],
    extensible: false,
};

pub(super) static READY: Keys =
    Keys { what: "`ready`", supported: &["http", "within"], planned: &[], extensible: false };

pub(super) static SESSION: Keys = Keys {
    what: "`session`",
    supported: &["idle", "ignore"],
    planned: &[("cookie", "remove it: sessions are known by the gateway's own cookie"), ("by", LATER)],
    extensible: false,
};

pub(super) static RELEASE: Keys = Keys {
    what: "`release`",
    supported: &["replicas", "ramp", "every", "settle", "drain", "queue", "max_versions", "unresponsive_for"],
    planned: &[("tolerate", LATER), ("before", LATER), ("hooks", LATER), ("by", LATER)],
    extensible: false,
};

pub(super) static DRAIN: Keys = Keys { what: "`drain`", supported: &["evict_after"], planned: &[], extensible: false };

impl Keys {
    pub(super) fn judge(&self, key: &str) -> Verdict {
        if self.supported.contains(&key) {
            return Verdict::Supported;
        }
        if let Some((_, hint)) = self.planned.iter().find(|(name, _)| *name == key) {
            return Verdict::Planned(hint);
        }
        if key.starts_with("x-") {
            // `x-haddok` is more likely a slip than somebody else's.
            return match nearest(key, [OURS]) {
                Some(ours) if self.supported.contains(&ours) => Verdict::Unknown(Some(ours)),
                Some(_) => Verdict::Misplaced,
                None if self.extensible => Verdict::Extension,
                None => Verdict::Unknown(None),
            };
        }
        Verdict::Unknown(self.meant(key))
    }

    /// The known key that is nearest, if it is near.
    fn meant(&self, key: &str) -> Option<&'static str> {
        let known = self.supported.iter().copied().chain(self.planned.iter().map(|(name, _)| *name));
        nearest(key, known)
    }
}

/// The nearest of the candidates, if it is near enough to be meant.
pub(super) fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = match text.chars().count() {
        0..=2 => 0,
        // Nothing that long is meant for a key, and the distance costs the product of the lengths.
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
