"""How large a request may be, and what its address may hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

# Ten files of 15 MB (findings/files.py) and the form around them; a stranger sends a form at most.
LARGEST = 160 * 1024 * 1024
LARGEST_WITHOUT_SESSION = 1024 * 1024
# Three photos of a stranger (findings/report.py).
LARGEST_REPORT = 46 * 1024 * 1024
REPORT = "/findings/report/"


def limited(application: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """Refuse a body that is too large by its announced length, before anything of it is read, and an
    address with the character NUL, which PostgreSQL takes in no text."""

    def guard(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        session = "sessionid=" in environ.get("HTTP_COOKIE", "")
        try:
            length = int(environ.get("CONTENT_LENGTH") or 0)
        except ValueError:
            length = LARGEST + 1
        most = LARGEST if session else LARGEST_WITHOUT_SESSION
        if not session and environ.get("PATH_INFO") == REPORT:
            most = LARGEST_REPORT
        if length > most:
            text = "This is too large to be sent. 内容过大，无法提交。"
            return _refused("413 Content Too Large", text, start_response)
        if "%00" in environ.get("QUERY_STRING", "") or "\0" in environ.get("PATH_INFO", ""):
            text = (
                "The address holds the character NUL: remove it. 地址中含有空字符，请删除后重试。"
            )
            return _refused("400 Bad Request", text, start_response)
        return application(environ, start_response)

    return guard


def _refused(status: str, text: str, start_response: Callable[..., Any]) -> Iterable[bytes]:
    body = text.encode()
    length = ("Content-Length", str(len(body)))
    start_response(status, [("Content-Type", "text/plain; charset=utf-8"), length])
    return [body]
