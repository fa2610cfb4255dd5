"""What a gateway is to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from haddock._cli import _words


@dataclass(frozen=True)
class Wanted:
    """What the options of `haddock serve` and `haddock serve gateway` say. Durations are seconds."""

    listen: str
    admin: str
    services: Mapping[str, Sequence[str]]
    trust_proxy: Sequence[str]
    tcp_keepalive: float
    tunnel_idle: float
    allow_trace: bool
    grace: float
    tls: Sequence[tuple[str, str]] = ()
    redirect: str | None = None
    strict_transport: float = 0
    admin_tls: tuple[str, str] | None = None
    admin_client_ca: str | None = None

    def words(self) -> list[str]:
        """The options again, for a process that is to be such a gateway."""
        words = ["--listen", self.listen, "--admin", self.admin, "--grace", _words.exactly(self.grace)]
        words += ["--tcp-keepalive", _words.exactly(self.tcp_keepalive), "--tunnel-idle", _words.exactly(self.tunnel_idle)]
        for name, hosts in self.services.items():
            words += ["--service", f"{name}={','.join(hosts)}"]
        for certificate, key in self.tls:
            words += ["--tls-cert", certificate, "--tls-key", key]
        if self.redirect is not None:
            words += ["--http-redirect", self.redirect]
        if self.strict_transport:
            words += ["--hsts", _words.exactly(self.strict_transport)]
        if self.admin_tls is not None:
            words += ["--admin-tls-cert", self.admin_tls[0], "--admin-tls-key", self.admin_tls[1]]
        if self.admin_client_ca is not None:
            words += ["--admin-client-ca", self.admin_client_ca]
        for peers in self.trust_proxy:
            words += ["--trust-proxy", peers]
        return [*words, "--allow-trace"] if self.allow_trace else words
