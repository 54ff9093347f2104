"""Only our own proxy may say who asks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.test import RequestFactory

from jingwei.config.proxy import TrustedProxy


@pytest.mark.parametrize(
    ("peer", "forwarded", "wanted", "secure"),
    [
        ("10.0.0.1", "192.0.2.7", "192.0.2.7", True),
        ("10.0.0.1", "198.51.100.1, 192.0.2.7", "192.0.2.7", True),
        ("10.0.0.1", "nonsense", "10.0.0.1", True),
        ("203.0.113.9", "192.0.2.7", "203.0.113.9", False),
    ],
)
def test_who_asks(settings, peer: str, forwarded: str, wanted: str, secure: bool) -> None:
    settings.ENV = replace(settings.ENV, proxies=("10.0.0.1",))
    request = RequestFactory().get(
        "/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded, HTTP_X_FORWARDED_PROTO="https"
    )
    seen = TrustedProxy(lambda r: (r.META["REMOTE_ADDR"], r.is_secure()))(request)
    assert seen == (wanted, secure)
