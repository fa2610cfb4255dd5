//! The services of a gateway, and which one a host name means.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use crate::error::{Error, ErrorKind, Result};
use crate::name::ServiceName;

use super::host::host_name;
use super::service::{Service, ServiceFactory, is_replaced};

/// Which service a host name means.
#[derive(Debug, Default)]
pub(super) struct Directory {
    services: Vec<Arc<Service>>,
    by_host: HashMap<Box<str>, Arc<Service>>,
    /// The service that takes all other hosts.
    default: Option<Arc<Service>>,
}

impl Directory {
    pub(super) fn services(&self) -> &[Arc<Service>] {
        &self.services
    }

    /// The service of a `Host` header.
    pub(super) fn of_host(&self, host: &str) -> Option<&Arc<Service>> {
        if !self.by_host.is_empty() {
            let name = host_name(host).to_ascii_lowercase();
            if let Some(service) = self.by_host.get(name.as_str()) {
                return Some(service);
            }
        }
        self.default.as_ref()
    }

    fn named(&self, name: &ServiceName) -> Option<&Arc<Service>> {
        self.services.iter().find(|service| service.name == *name)
    }
}

/// All services, and what is needed to make one.
#[derive(Debug)]
pub(super) struct Services {
    directory: RwLock<Arc<Directory>>,
    /// Grows with each change of the directory.
    generation: AtomicU64,
    /// Whether a service that was not named at the start may be added.
    open: bool,
    /// Another gateway decides, or is about to.
    is_given: AtomicBool,
    pub(super) maker: ServiceFactory,
}

impl Services {
    /// The services that were named at the start, each with its hosts. If none was named, it is the one that has its
    /// state on disk, or else the first one for which a table is applied.
    pub(super) fn new(maker: ServiceFactory, named: &[(ServiceName, Vec<String>)]) -> Result<Self> {
        let mut directory = Directory::default();
        let open = named.is_empty();
        if open {
            for name in maker.store.services()? {
                add(&mut directory, maker.make(&name, &[])?)?;
            }
        }
        for (name, hosts) in named {
            add(&mut directory, maker.make(name, hosts)?)?;
        }
        Ok(Self {
            directory: RwLock::new(Arc::new(directory)),
            generation: AtomicU64::new(1),
            open,
            is_given: AtomicBool::new(false),
            maker,
        })
    }

    pub(super) fn directory(&self) -> Arc<Directory> {
        Arc::clone(&self.directory.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// An error where another gateway decides, or is about to: what is here is no longer true.
    pub(super) fn check(&self) -> Result<()> {
        if self.is_given.load(Ordering::Acquire) { Err(is_replaced()) } else { Ok(()) }
    }

    pub(super) fn give(&self) {
        self.is_given.store(true, Ordering::Release);
    }

    pub(super) fn take_back(&self) {
        self.is_given.store(false, Ordering::Release);
    }

    /// Changes with the directory.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(super) fn get(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.directory().named(name).cloned()
    }

    /// The service of that name. It is added if it is new.
    pub(super) fn get_or_make(&self, name: &ServiceName) -> Result<Arc<Service>> {
        if let Some(service) = self.get(name) {
            return Ok(service);
        }
        let mut directory = self.directory.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = directory.named(name) {
            return Ok(Arc::clone(service));
        }
        if !self.open {
            let message = format!("this gateway does not serve `{name}`");
            return Err(Error::new(ErrorKind::NotFound, message).with_hint("name it when the gateway is started"));
        }
        let mut new = Directory {
            services: directory.services.clone(),
            by_host: directory.by_host.clone(),
            default: directory.default.clone(),
        };
        let service = self.maker.make(name, &[])?;
        add(&mut new, Arc::clone(&service))?;
        *directory = Arc::new(new);
        self.generation.fetch_add(1, Ordering::Release);
        Ok(service)
    }
}

fn add(directory: &mut Directory, service: Arc<Service>) -> Result<()> {
    let taken = |what: &str, other: &Service| {
        Error::new(ErrorKind::InvalidValue, format!("`{}` cannot have {what}: `{}` has", service.name, other.name))
            .with_hint("give each service its hosts; one may be without and takes the rest")
    };
    if let Some(other) = directory.named(&service.name) {
        return Err(taken("a second entry", other));
    }
    if service.hosts.is_empty() {
        if let Some(other) = &directory.default {
            return Err(taken("all hosts", other));
        }
        directory.default = Some(Arc::clone(&service));
    }
    for host in &service.hosts {
        if let Some(other) = directory.by_host.insert(host.as_str().into(), Arc::clone(&service)) {
            return Err(taken(&format!("host `{host}`"), &other));
        }
    }
    directory.services.push(service);
    Ok(())
}
