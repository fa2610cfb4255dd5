//! Networks, on subnets of our own pool.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{Ipam, IpamConfig, Network as BollardNetwork, NetworkCreateRequest};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::error::{answer, is_missing, translate};
use super::pool::Used;
use super::routes::{self, Route};
use super::{AddressPool, DockerRuntime, Reach, label_filter, name_taken, needs};
use crate::container::{ContainerId, Network, NetworkSpec, Selector, Subnet};
use crate::error::{Error, ErrorKind, Result};
use crate::time::sleep;

/// How often an engine is asked whether a network has become free, and the pause between two attempts.
const MAX_REMOVE_ATTEMPTS: usize = 40;
const NETWORK_POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How often a subnet is tried. Each refusal means that somebody has just taken a subnet, or is about to.
const MAX_SUBNET_ATTEMPTS: usize = 160;
/// For how many attempts a bridge that the engine does not list is taken for a network that somebody is making.
const NEW_BRIDGE_ATTEMPTS: usize = 40;

impl DockerRuntime {
    pub(super) async fn create_subnet(&self, spec: &NetworkSpec) -> Result<Network> {
        let name = &spec.name;
        let what = format!("create network `{name}`");
        needs::check_network(&self.engine, spec)?;
        let mut created = false;
        for look in 0..MAX_SUBNET_ATTEMPTS {
            // One that was created is listed now; what others are about to do takes time.
            if look > 0 && !created {
                sleep(NETWORK_POLL_INTERVAL).await;
            }
            let all = self.all_networks(&HashMap::<String, Vec<String>>::new()).await?;
            let (same_name, others): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|network| network.name.as_deref() == Some(name));
            if !same_name.is_empty() {
                return self.adopt_network(spec, same_name).await;
            }
            // Its own subnets, or another driver's addresses, are not ours to find.
            if !needs_subnet(spec) {
                let _permit = self.client.permit().await;
                let call = self.client.docker.create_network(request(spec, None));
                let answered = self.client.change(&what, call).await?;
                created = answered.is_ok();
                match answered {
                    Err(error) if answer(&error).is_none_or(|(_, it)| !it.contains("already exists")) => {
                        return Err(translate(&what, &error));
                    }
                    _ => continue,
                }
            }
            let networks: Vec<Ipv4Net> = others.iter().flat_map(subnets).collect();
            let all_routes = self.routes().await?;
            let (bridges, routes): (Vec<_>, Vec<_>) = all_routes.iter().partition(|route| route.may_be_new());
            let of = |routes: Vec<&Route>| routes.into_iter().map(|route| route.subnet).collect::<Vec<_>>();
            let mut used = Used { networks, routes: of(routes) };
            let full = |used: &Used| exhausted(&what, &self.pool, used, &all_routes);
            let mut subnet = self.pool.free(name, &used).next().ok_or_else(|| full(&used))?;
            // The bridge of a network that is being made is there before the engine lists the network, and it may be
            // this very one, asked for by somebody who died since. If it is never listed it is another engine's.
            let bridges = Used { routes: of(bridges), ..Used::default() };
            if !self.pool.free(name, &bridges).any(|free| free == subnet) {
                if look < NEW_BRIDGE_ATTEMPTS {
                    continue;
                }
                used.routes.extend(bridges.routes);
                subnet = self.pool.free(name, &used).next().ok_or_else(|| full(&used))?;
            }
            let _permit = self.client.permit().await;
            let call = self.client.docker.create_network(request(spec, Some(subnet)));
            let answered = self.client.change(&what, call).await?;
            created = answered.is_ok();
            match answered {
                Ok(_) => {}
                Err(error) => match answer(&error) {
                    // Somebody was faster: perhaps with this very network, so look at the names first.
                    Some((_, message)) if is_overlap(message) => {}
                    Some((409, message)) if message.contains("already exists") => {}
                    _ => return Err(translate(&what, &error)),
                },
            }
        }
        Err(Error::new(
            ErrorKind::AddressPoolExhausted,
            format!("cannot {what}: {MAX_SUBNET_ATTEMPTS} subnets were taken by others"),
        )
        .with_hint("give the runtime an address pool that nobody else uses"))
    }

    /// The subnets that are in use where the engine's networks are, as far as we can see that.
    async fn routes(&self) -> Result<Vec<Route>> {
        Ok(if self.reach().await? == Reach::Direct { routes::of_this_machine() } else { Vec::new() })
    }

    /// The pool's subnets that are free, and the engine's networks and this machine's routes that take the others away.
    pub(super) async fn look_at_pool(&self) -> Result<(u64, Vec<String>)> {
        let networks = self.all_networks(&HashMap::new()).await?;
        let all = self.routes().await?;
        let used = Used {
            networks: networks.iter().flat_map(subnets).collect(),
            routes: all.iter().map(|route| route.subnet).collect(),
        };
        let free = self.pool.free("", &used).count() as u64;
        Ok((free, in_the_way(&self.pool, &all, &used).into_iter().map(|(_, route)| route.to_string()).collect()))
    }

    /// Takes the network of that name, if it is the one that was asked for. The engine lets two have one name: then
    /// the oldest stays.
    async fn adopt_network(&self, spec: &NetworkSpec, mut same_name: Vec<BollardNetwork>) -> Result<Network> {
        same_name.sort_by_key(|network| (network.created.clone(), network.id.clone()));
        let found: Vec<Network> = same_name.into_iter().map(network).collect();
        if found.iter().any(|network| !spec.identity.is_carried_by(&network.labels)) {
            return Err(name_taken("network", &spec.name));
        }
        let mut found = found.into_iter();
        let first = found.next().expect("at least one was found");
        for twin in found {
            self.remove_subnet(&twin.id).await?;
        }
        Ok(first)
    }

    pub(super) async fn all_networks(&self, filters: &HashMap<String, Vec<String>>) -> Result<Vec<BollardNetwork>> {
        let options = ListNetworksOptionsBuilder::default().filters(filters).build();
        self.client.read("list networks", self.client.docker.list_networks(Some(options))).await
    }

    pub(super) async fn list_networks(&self, selector: &Selector) -> Result<Vec<Network>> {
        let filters = HashMap::from([("label".to_owned(), label_filter(&selector.0))]);
        let all = self.all_networks(&filters).await?;
        // The engine's filter is not relied on: what does not match is not ours to touch.
        Ok(all.into_iter().map(network).filter(|network| selector.matches(&network.labels)).collect())
    }

    pub(super) async fn network_members(&self, id: &str) -> Result<Vec<ContainerId>> {
        let what = format!("inspect network `{id}`");
        match self.client.ask(&what, self.client.docker.inspect_network(id, None::<InspectNetworkOptions>)).await? {
            Ok(found) => Ok(found.containers.unwrap_or_default().into_keys().map(ContainerId).collect()),
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            Err(error) => Err(translate(&what, &error)),
        }
    }

    pub(super) async fn remove_subnet(&self, id: &str) -> Result<()> {
        let what = format!("remove network `{id}`");
        for _ in 0..MAX_REMOVE_ATTEMPTS {
            let answered = {
                let _permit = self.client.permit().await;
                self.client.change(&what, self.client.docker.remove_network(id)).await?
            };
            match answered {
                Ok(()) => return Ok(()),
                Err(error) if is_missing(&error) => return Ok(()),
                Err(error) => match answer(&error) {
                    // A container that is being removed leaves its network a little later.
                    Some((_, message)) if message.contains("has active endpoints") => {
                        sleep(NETWORK_POLL_INTERVAL).await
                    }
                    _ => return Err(translate(&what, &error)),
                },
            }
        }
        Err(Error::new(ErrorKind::RuntimeRefused, format!("cannot {what}: containers are still on it"))
            .with_hint("remove the containers first, and disconnect others with `docker network disconnect`"))
    }
}

fn exhausted(what: &str, pool: &AddressPool, used: &Used, routes: &[Route]) -> Error {
    let error = |why: &str| Error::new(ErrorKind::AddressPoolExhausted, format!("cannot {what}: {why}"));
    match in_the_way(pool, routes, used).first() {
        Some((taken, route)) if *taken * 2 > pool.len() => {
            let why = format!("{route} is in the way of {taken} of the {} subnets of the pool `{pool}`", pool.len());
            error(&why).with_hint("choose addresses that nothing else uses, such as `HADDOCK_ADDRESS_POOL=172.28.0.0/14`")
        }
        _ => error(&format!("all {} subnets of the pool `{pool}` are in use", pool.len())).with_hint(
            "remove environments that nobody needs, or choose a larger pool, such as `HADDOCK_ADDRESS_POOL=172.28.0.0/14`",
        ),
    }
}

/// The routes that take subnets away which no network of the engine has, with how many: the most first.
fn in_the_way<'r>(pool: &AddressPool, routes: &'r [Route], used: &Used) -> Vec<(u64, &'r Route)> {
    let others = routes.iter().filter(|route| !used.networks.iter().any(|network| network.contains(&route.subnet)));
    let mut found: Vec<_> = others.map(|route| (pool.taken_by(route.subnet), route)).filter(|it| it.0 > 0).collect();
    found.sort_by_key(|(taken, _)| std::cmp::Reverse(*taken));
    found
}

/// Whether it is to get a subnet of the pool.
fn needs_subnet(spec: &NetworkSpec) -> bool {
    let default = |driver: &Option<String>, name: &str| driver.as_deref().is_none_or(|driver| driver == name);
    default(&spec.driver, "bridge")
        && default(&spec.ipam_driver, "default")
        && spec.enable_ipv4 != Some(false)
        && !spec.subnets.iter().any(|it| matches!(it.subnet, IpNet::V4(_)))
}

fn request(spec: &NetworkSpec, free: Option<Ipv4Net>) -> NetworkCreateRequest {
    let NetworkSpec {
        name,
        identity: _,
        labels: _, // both by `all_labels`
        driver,
        driver_opts,
        internal,
        attachable,
        enable_ipv4,
        enable_ipv6,
        ipam_driver,
        ipam_options,
        subnets,
    } = spec;
    let map = |pairs: &BTreeMap<String, String>| pairs.clone().into_iter().collect::<HashMap<_, _>>();
    let asked = subnets.iter().map(|Subnet { subnet, gateway, ip_range, aux_addresses }| IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: gateway.map(|gateway| gateway.to_string()),
        ip_range: ip_range.map(|range| range.to_string()),
        auxiliary_addresses: (!aux_addresses.is_empty())
            .then(|| aux_addresses.iter().map(|(name, address)| (name.clone(), address.to_string())).collect()),
    });
    let alone = |subnet: IpNet| IpamConfig { subnet: Some(subnet.to_string()), ..IpamConfig::default() };
    let has_ipv6 = subnets.iter().any(|it| matches!(it.subnet, IpNet::V6(_)));
    // Engines older than 27 find none by themselves.
    let own = (*enable_ipv6 == Some(true) && !has_ipv6 && ipam_driver.is_none()).then(|| local_ipv6(name));
    let config: Vec<IpamConfig> =
        asked.chain(free.map(|it| alone(IpNet::V4(it)))).chain(own.map(|it| alone(IpNet::V6(it)))).collect();
    let ipam = Ipam {
        driver: ipam_driver.clone(),
        config: (!config.is_empty()).then_some(config),
        options: (!ipam_options.is_empty()).then(|| map(ipam_options)),
    };
    NetworkCreateRequest {
        name: name.clone(),
        driver: Some(driver.clone().unwrap_or_else(|| "bridge".to_owned())),
        options: (!driver_opts.is_empty()).then(|| map(driver_opts)),
        internal: Some(*internal),
        attachable: attachable.then_some(true),
        enable_ipv4: *enable_ipv4,
        enable_ipv6: *enable_ipv6,
        ipam: (ipam != Ipam::default()).then_some(ipam),
        labels: Some(map(&spec.all_labels())),
        ..Default::default()
    }
}

/// A unique local subnet (RFC 4193) that the name decides: of 2^56, so that two names never meet.
fn local_ipv6(name: &str) -> Ipv6Net {
    let hash = blake3::hash(name.as_bytes());
    let mut octets = [0; 16];
    octets[0] = 0xfd;
    octets[1..8].copy_from_slice(&hash.as_bytes()[..7]);
    Ipv6Net::new_assert(octets.into(), 64)
}

fn network(found: BollardNetwork) -> Network {
    let subnet = subnets(&found).next().map(IpNet::V4);
    Network {
        id: found.id.unwrap_or_default(),
        name: found.name.unwrap_or_default(),
        labels: found.labels.unwrap_or_default().into_iter().collect(),
        subnet,
    }
}

pub(super) fn subnets(network: &BollardNetwork) -> impl Iterator<Item = Ipv4Net> {
    let configs = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    configs.filter_map(|config| config.subnet.as_deref()?.parse().ok())
}

/// The refusals of Docker 20.10 to 29 for a subnet that another network has.
fn is_overlap(message: &str) -> bool {
    message.contains("Pool overlaps")
        || message.contains("networks have overlapping")
        || message.contains("overlaps with")
}
