"""The service's keys. They come from the environment, sign requests, and go nowhere else: neither into
settings nor into logs, reports or errors."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Mapping

from attrs import field, frozen

from uni4d_shared.errors import Uni4DError

__all__ = ["ACCESS_KEY", "API_KEY", "SECRET_KEY", "Keys", "read_keys"]

ACCESS_KEY, SECRET_KEY, API_KEY = "KLING_ACCESS_KEY", "KLING_SECRET_KEY", "KLING_API_KEY"
_VALID_SECONDS = 1_800
_CLOCK_SECONDS = 5
"""How far this clock may be ahead of the service's."""


@frozen
class Keys:
    """Either an access key with its secret, or a bearer token."""

    access: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def bearer(self, now: float | None = None) -> str:
        """What follows ``Authorization: Bearer``: the token, or a JSON Web Token (RFC 7519) signed by
        HS256."""
        if self.token:
            return self.token
        moment = int(time.time() if now is None else now)
        claims = {"iss": self.access, "exp": moment + _VALID_SECONDS, "nbf": moment - _CLOCK_SECONDS}
        signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT'})}.{_encoded(claims)}"
        signature = hmac.new(self.secret.encode(), signed.encode(), hashlib.sha256).digest()
        return f"{signed}.{_base64url(signature)}"

    def hidden(self, text: str) -> str:
        """``text`` without any of the keys, should the service send one back."""
        for secret in (self.secret, self.token, self.access):
            text = text.replace(secret, "***") if secret else text
        return text


def read_keys(environment: Mapping[str, str] | None = None) -> Keys:
    """The keys of the environment; an error names the variables that are missing."""
    values = os.environ if environment is None else environment
    token, access, secret = (values.get(name, "").strip() for name in (API_KEY, ACCESS_KEY, SECRET_KEY))
    if not token and not (access and secret):
        raise Uni4DError(
            "service-keys-missing",
            "The video service needs keys, and the environment has none.",
            f"Set {ACCESS_KEY} and {SECRET_KEY}, or {API_KEY}, before the backend starts.",
        )
    keys = Keys(access, secret, token)
    if not all(value.isascii() and value.isprintable() for value in (access, secret, token)):
        raise Uni4DError(
            "service-keys-missing",
            "The video service's keys hold characters that no key has.",
            "Copy them again.",
        )
    return keys


def _encoded(value: Mapping[str, object]) -> str:
    return _base64url(json.dumps(value, separators=(",", ":")).encode())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
