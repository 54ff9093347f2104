"""How a message looks to a group robot or an interface: one function a format, no I/O.

WeCom: https://developer.work.weixin.qq.com/document/path/91770 ("text", at most 2,048 bytes of
UTF-8, `mentioned_mobile_list`; HTTP 200 with `errcode` 0). DingTalk:
https://open.dingtalk.com/document/robots/custom-robot-access (`timestamp` in milliseconds and
`sign`: base64 of HMAC-SHA256 over "timestamp, line feed, secret" with the secret as key; a person
is mentioned by `@` and the number in the text). Both take at most 20 messages a minute a robot.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote_plus, urlsplit

PER_MINUTE = 20
WECOM_BYTES = 2048


@dataclass(frozen=True)
class Notice:
    """What is to be said. `page`: address with host; `phones` of those who are to be mentioned."""

    id: int
    kind: str
    zh: str
    en: str
    page: str
    urgent: bool
    time: datetime
    phones: tuple[str, ...] = ()
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What is to be posted where."""

    address: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def cut(text: str, size: int) -> str:
    """The longest beginning of a text that has at most `size` bytes in UTF-8."""
    return text.encode()[:size].decode(errors="ignore")


def _plain(notice: Notice) -> str:
    mark = "【紧急】" if notice.urgent else ""
    return f"{mark}{notice.zh}" + (f"\n{notice.page}" if notice.page else "")


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def wecom(notice: Notice, address: str, secret: str, now: datetime) -> Request:
    """A text message of a WeCom group robot; its key stands in the address."""
    text: dict[str, Any] = {"content": cut(_plain(notice), WECOM_BYTES)}
    if notice.phones:
        text["mentioned_mobile_list"] = list(notice.phones)
    return Request(address, _json({"msgtype": "text", "text": text}))


def dingtalk(notice: Notice, address: str, secret: str, now: datetime) -> Request:
    """A text message of a DingTalk robot, signed where it has a secret."""
    content = _plain(notice) + "".join(f"\n@{phone}" for phone in notice.phones)
    if secret:
        stamp = str(int(now.timestamp() * 1000))
        sign = base64.b64encode(
            hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
        )
        joint = "&" if urlsplit(address).query else "?"
        address += f"{joint}timestamp={stamp}&sign={quote_plus(sign)}"
    return Request(
        address,
        _json(
            {
                "msgtype": "text",
                "text": {"content": content},
                "at": {"atMobiles": list(notice.phones), "isAtAll": False},
            }
        ),
    )


def signed_json(notice: Notice, address: str, secret: str, now: datetime) -> Request:
    """JSON for a system of one's own: `X-Jingwei-Signature: sha256=` and the hex HMAC-SHA256 over
    timestamp (seconds, `X-Jingwei-Timestamp`), a full stop, and the body, with the secret as key.
    `id` is the same in every attempt."""
    body = _json(
        {
            "id": notice.id,
            "kind": notice.kind,
            "text": {"zh": notice.zh, "en": notice.en},
            "page": notice.page,
            "urgent": notice.urgent,
            "time": notice.time.isoformat(),
            "users": list(notice.users),
        }
    )
    headers = {"X-Jingwei-Timestamp": str(int(now.timestamp()))}
    if secret:
        signature = hmac.new(
            secret.encode(), headers["X-Jingwei-Timestamp"].encode() + b"." + body, hashlib.sha256
        )
        headers["X-Jingwei-Signature"] = f"sha256={signature.hexdigest()}"
    return Request(address, body, headers)


FORMATS: dict[str, Callable[[Notice, str, str, datetime], Request]] = {
    "wecom": wecom,
    "dingtalk": dingtalk,
    "json": signed_json,
}


def refusal(format: str, answer: bytes) -> str:
    """What a robot says against a message in an answer with status 200; empty where it took it."""
    if format == "json":
        return ""
    try:
        said = json.loads(answer)
        code = said["errcode"]
    except (ValueError, KeyError, TypeError):
        return "answer without errcode"
    return "" if code == 0 else f"errcode {code}: {said.get('errmsg', '')}"[:250]
