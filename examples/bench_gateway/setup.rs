//! How each peer is configured: sessions stick by a cookie, connections are reused on both sides, and nothing is logged.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::Failure;
use crate::load::COOKIE;

/// What a peer is configured for.
pub(crate) struct Setup<'a> {
    pub(crate) address: SocketAddr,
    pub(crate) instances: &'a [SocketAddr],
    /// The folder of the certificate, by https.
    pub(crate) certificate: Option<&'a Path>,
    pub(crate) files: &'a Path,
}

impl Setup<'_> {
    pub(crate) fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.files.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    fn pem(&self, name: &str) -> String {
        self.certificate.map(|folder| folder.join(name).display().to_string()).unwrap_or_default()
    }

    pub(crate) fn haproxy(&self, application: bool) -> String {
        let address = self.address;
        let tls = self.certificate.map(|_| format!(" ssl crt {} alpn http/1.1", self.pem("both.pem")));
        let cookie =
            if application { format!("{COOKIE} prefix nocache") } else { "SRV insert indirect nocache".to_owned() };
        let mut text = format!(
            "global\n nbthread 1\n maxconn 5000\ndefaults\n mode http\n timeout connect 2s\n timeout client 75s\n \
             timeout server 300s\n timeout http-request 10s\n option forwardfor\n option http-keep-alive\n\
             frontend in\n bind {address}{}\n default_backend shop\nbackend shop\n balance roundrobin\n \
             http-reuse always\n cookie {cookie}\n",
            tls.unwrap_or_default()
        );
        for (n, instance) in self.instances.iter().enumerate() {
            text.push_str(&format!(" server s{n} {instance} cookie s{n}\n"));
        }
        text
    }

    pub(crate) fn nginx(&self) -> String {
        let servers: String = self.instances.iter().map(|instance| format!("server {instance}; ")).collect();
        let tls = self
            .certificate
            .map(|_| format!("ssl_certificate {}; ssl_certificate_key {};", self.pem("cert.pem"), self.pem("key.pem")));
        let ssl = if tls.is_some() { " ssl" } else { "" };
        let root = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" };
        format!(
            "{root}worker_processes 1;\ndaemon off;\npid {files}/pid;\nerror_log stderr crit;\n\
             events {{ worker_connections 5000; }}\nhttp {{\n access_log off;\n keepalive_requests 100000000;\n \
             client_body_temp_path {files}/body; proxy_temp_path {files}/proxy; fastcgi_temp_path {files}/f; \
             uwsgi_temp_path {files}/u; scgi_temp_path {files}/s;\n \
             upstream shop {{ {servers} sticky cookie srv path=/ httponly; keepalive 128; keepalive_requests 100000000; }}\n \
             server {{ listen {address}{ssl}; {tls}\n  location / {{ proxy_pass http://shop; proxy_http_version 1.1;\n   \
             proxy_set_header Connection \"\"; proxy_set_header Host $host;\n   \
             proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }} }} }}\n",
            files = self.files.display(),
            address = self.address,
            tls = tls.unwrap_or_default(),
        )
    }

    pub(crate) fn caddy(&self) -> String {
        let instances: Vec<String> = self.instances.iter().map(ToString::to_string).collect();
        // Without a name, Caddy serves any host; the certificate is loaded by hand.
        let (scheme, tls) = match self.certificate {
            Some(_) => ("https", format!("tls {} {}", self.pem("cert.pem"), self.pem("key.pem"))),
            None => ("http", String::new()),
        };
        let host = if self.certificate.is_some() { "shop.example" } else { "" };
        format!(
            "{{\n admin off\n auto_https off\n persist_config off\n log {{\n  level ERROR\n }}\n servers {{\n  protocols h1\n }}\n}}\n\
             {scheme}://{host}:{port} {{\n bind 127.0.0.1\n {tls}\n reverse_proxy {} {{\n  lb_policy cookie srv secret\n }}\n}}\n",
            instances.join(" "),
            port = self.address.port(),
        )
    }

    pub(crate) fn traefik_services(&self) -> serde_json::Value {
        let servers: Vec<_> =
            self.instances.iter().map(|instance| serde_json::json!({ "url": format!("http://{instance}") })).collect();
        let mut router = serde_json::json!({ "entryPoints": ["web"], "rule": "PathPrefix(`/`)", "service": "shop" });
        let mut services = serde_json::json!({ "http": { "services": { "shop": { "loadBalancer": {
            "servers": servers, "sticky": { "cookie": { "name": "srv", "httpOnly": true } } } } } } });
        if self.certificate.is_some() {
            router["tls"] = serde_json::json!({});
            services["tls"] = serde_json::json!({ "stores": { "default": { "defaultCertificate": {
                "certFile": self.pem("cert.pem"), "keyFile": self.pem("key.pem") } } } });
        }
        services["http"]["routers"] = serde_json::json!({ "all": router });
        services
    }

    pub(crate) fn envoy(&self) -> serde_json::Value {
        let endpoint =
            |address: &SocketAddr| serde_json::json!({ "endpoint": { "address": socket_address(*address) } });
        let endpoints: Vec<_> = self.instances.iter().map(endpoint).collect();
        let typed = |name: &str| format!("type.googleapis.com/envoy.extensions.{name}");
        let sticky = serde_json::json!({
            "name": "sticky",
            "typed_config": {
                "@type": typed("filters.http.stateful_session.v3.StatefulSession"),
                "session_state": { "name": "envoy.http.stateful_session.cookie", "typed_config": {
                    "@type": typed("http.stateful_session.cookie.v3.CookieBasedSessionState"),
                    "cookie": { "name": "srv", "path": "/" } } } }
        });
        let router = serde_json::json!({
            "name": "router", "typed_config": { "@type": typed("filters.http.router.v3.Router") } });
        let manager = serde_json::json!({
            "name": "http",
            "typed_config": {
                "@type": typed("filters.network.http_connection_manager.v3.HttpConnectionManager"),
                "stat_prefix": "in", "codec_type": "HTTP1", "use_remote_address": true, "generate_request_id": false,
                "route_config": { "virtual_hosts": [{ "name": "shop", "domains": ["*"],
                    "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": "shop" } }] }] },
                "http_filters": [sticky, router] }
        });
        let mut chain = serde_json::json!({ "filters": [manager] });
        if self.certificate.is_some() {
            chain["transport_socket"] = serde_json::json!({ "name": "tls", "typed_config": {
                "@type": typed("transport_sockets.tls.v3.DownstreamTlsContext"),
                "common_tls_context": { "alpn_protocols": ["http/1.1"], "tls_certificates": [{
                    "certificate_chain": { "filename": self.pem("cert.pem") },
                    "private_key": { "filename": self.pem("key.pem") } }] } } });
        }
        serde_json::json!({ "static_resources": {
            "listeners": [{ "name": "in", "address": socket_address(self.address), "filter_chains": [chain] }],
            "clusters": [{ "name": "shop", "type": "STATIC", "lb_policy": "ROUND_ROBIN", "connect_timeout": "2s",
                "load_assignment": { "cluster_name": "shop", "endpoints": [{ "lb_endpoints": endpoints }] } }] } })
    }
}

fn socket_address(address: SocketAddr) -> serde_json::Value {
    serde_json::json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
