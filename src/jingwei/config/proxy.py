"""Who asks, when a proxy of ours stands before the web server."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from django.conf import settings


class TrustedProxy:
    """Take address and scheme of the asker from the headers of a proxy in `JINGWEI_PROXIES`.

    Of `X-Forwarded-For` only the last entry counts, the one our own proxy wrote; headers that
    come from anybody else are ignored. Without the setting nothing is done.
    """

    def __init__(self, get_response: Callable[[Any], Any]) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if request.META.get("REMOTE_ADDR") in settings.ENV.proxies:
            last = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
            with suppress(ValueError):
                request.META["REMOTE_ADDR"] = str(ip_address(last))
            if request.META.get("HTTP_X_FORWARDED_PROTO") == "https":
                request.META["wsgi.url_scheme"] = "https"
        return self.get_response(request)
