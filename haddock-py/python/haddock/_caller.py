"""Who calls the admin API of a gateway, as arguments, options and the environment name it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ._errors import InvalidValueError, IoError
from ._given import optional_path

if TYPE_CHECKING:
    import ssl

    from ._given import Path


@dataclass(frozen=True)
class Caller:
    """What a caller has: files. What a gateway does not want is not sent to it."""

    token_file: str | None = None
    """Holds the token."""
    authority: str | None = None
    """The authority of the certificate of a gateway that speaks https, or that certificate itself."""
    own: tuple[str, str] | None = None
    """The caller's certificate and its key."""

    @staticmethod
    def of(token_file: Path | None, ca: Path | None, cert: Path | None, key: Path | None) -> Caller:
        """What is `None` is taken from its variable."""

        def given(value: Path | None, what: str) -> str | None:
            return optional_path(value, what) or os.environ.get(f"HADDOCK_{what.upper()}") or None

        authority, cert, key = given(ca, "gateway_ca"), given(cert, "gateway_cert"), given(key, "gateway_key")
        if (cert is None) != (key is None):
            there, missing = ("gateway_cert", "gateway_key") if key is None else ("gateway_key", "gateway_cert")
            raise InvalidValueError(f"`{there}` is given and `{missing}` is not", hint="a certificate needs its key")
        own = (cert, key) if cert is not None and key is not None else None
        return Caller(given(token_file, "gateway_token_file"), authority, own)

    def authority_for(self, url: str) -> str | None:
        """The authority, if the gateway at this URL speaks https. Without one, nobody could tell whether it is the gateway."""
        if not url.startswith("https:"):
            return None
        if self.authority is None:
            hint = "name the file with the authority of its certificate: `gateway_ca`, `--gateway-ca` or HADDOCK_GATEWAY_CA"
            raise InvalidValueError(f"the gateway at `{url}` cannot be known by its certificate", hint=hint)
        return self.authority

    def token(self) -> str | None:
        """The token that the file holds."""
        if self.token_file is None:
            return None
        try:
            with open(self.token_file, encoding="utf-8") as file:
                return file.read().strip()
        except OSError as error:
            what = f"token file `{self.token_file}` cannot be read: {error.strerror}"
            raise IoError(what, hint="check the path and its permissions") from None

    def context(self, url: str) -> ssl.SSLContext | None:
        """How to open a connection to a gateway that speaks https."""
        import ssl

        authority = self.authority_for(url)
        if authority is None:
            return None
        try:
            context = ssl.create_default_context(cafile=authority)
            if self.own is not None:
                context.load_cert_chain(*self.own)
        except OSError as error:
            files = ", ".join(f"`{file}`" for file in (authority, *(self.own or ())))
            what = f"{files}: {error.strerror or error}"
            raise IoError(what, hint="each has to be a file with PEM, and the key that of the certificate") from None
        # Newer Pythons want more fields of a certificate than others do. The gateway's own certificate will do as authority.
        context.verify_flags = (context.verify_flags & ~ssl.VERIFY_X509_STRICT) | ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
