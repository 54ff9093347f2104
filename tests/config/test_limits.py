"""Bodies that are too large are refused before they are read."""

from __future__ import annotations

import pytest

from jingwei.config.limits import LARGEST, LARGEST_WITHOUT_SESSION, limited


@pytest.mark.parametrize(
    ("length", "cookie", "wanted"),
    [
        ("10", "", "200"),
        (str(LARGEST_WITHOUT_SESSION), "", "200"),
        (str(LARGEST_WITHOUT_SESSION + 1), "", "413"),
        (str(LARGEST_WITHOUT_SESSION + 1), "a=b; sessionid=x", "200"),
        (str(LARGEST + 1), "sessionid=x", "413"),
        ("many", "", "413"),
    ],
)
def test_limit(length: str, cookie: str, wanted: str) -> None:
    said: list[str] = []

    def application(environ: dict, start) -> list[bytes]:
        start("200 OK", [])
        return [b"read"]

    body = limited(application)(
        {"CONTENT_LENGTH": length, "HTTP_COOKIE": cookie}, lambda status, _: said.append(status)
    )
    assert said[0].startswith(wanted)
    assert (b"".join(body) == b"read") is (wanted == "200")
