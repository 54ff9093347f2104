"""Bodies that are too large and addresses with NUL are refused before anything is read."""

from __future__ import annotations

import pytest
from django.urls import reverse

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


def test_a_stranger_may_send_photos_with_a_report_and_nowhere_else():
    from jingwei.config.limits import LARGEST_REPORT, LARGEST_WITHOUT_SESSION, REPORT

    def status(path: str, length: int) -> str:
        said: list[str] = []
        application = limited(lambda _environ, start: start("200 OK", []) or [])
        environ = {"CONTENT_LENGTH": str(length), "PATH_INFO": path}
        list(application(environ, lambda line, _headers: said.append(line)))
        return said[0][:3]

    assert reverse("findings:report") == REPORT
    assert status(REPORT, LARGEST_REPORT) == "200"
    assert status(REPORT, LARGEST_REPORT + 1) == "413"
    assert status("/findings/", LARGEST_WITHOUT_SESSION + 1) == "413"


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [("/cases/", "q=a%20b", "200"), ("/cases/", "q=a%00", "400"), ("/a\0b/", "", "400")],
)
def test_an_address_with_nul_is_refused(path: str, query: str, wanted: str) -> None:
    said: list[str] = []
    application = limited(lambda _environ, start: start("200 OK", []) or [])
    environ = {"PATH_INFO": path, "QUERY_STRING": query}
    list(application(environ, lambda line, _headers: said.append(line)))
    assert said[0][:3] == wanted
