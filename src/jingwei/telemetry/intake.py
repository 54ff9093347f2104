"""The gateway's judgement of one telegram, without any socket.

What a telegram is refused for is a short word (`REASONS`), which counts, lists and pages use. A
refused telegram is not answered: an upload's only answer is 9014, and it means that the data were
taken (the codes of QnRtn belong to 9011, by which a device answers the host, HJ 212-2017 §6.6.5);
the device repeats it after its time-out, and a stranger learns nothing.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from jingwei import hj212
from jingwei.hj212 import Message
from jingwei.standards import codes
from jingwei.telemetry.register import Device, Register

REASONS = {
    "crc": "wrong check sum",
    "format": "not a telegram of HJ 212",
    "unknown_mn": "the MN is not in the register",
    "network": "the device may not send from this address",
    "disabled": "the device is disabled",
    "password": "wrong password",
    "st": "the system type is not registered for the device",
    "oversized": "a telegram longer than the gateway takes",
    "rubbish": "bytes that are no telegram",
    "half": "a telegram that never ended",
}
_INTERACTION = "91"  # ST of answers (HJ 212-2017 table 5)
_PASSWORD = re.compile(rb"(PW=)[^;]*")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`reason`: empty, or a key of `REASONS`. `answer`: the frame to send once the telegram is in
    the journal, where the device asked for one."""

    accepted: bool
    reason: str
    message: Message
    answer: bytes | None


class Intake:
    """Judges telegrams by the device register."""

    def __init__(self, register: Register) -> None:
        self.register = register

    def judge(self, frame: bytes, peer: str) -> Verdict:
        """The verdict on one frame (`##` to check sum) from `peer` ("address:port")."""
        message = hj212.decode(frame)
        device = self.register.get(message.mn) if message.mn else None
        if device is not None and (device.dialects or message.version != device.version):
            message = hj212.decode(
                frame, version=device.version, dialects=frozenset(device.dialects)
            )
        reason = _reason(message, device, peer)
        if reason:
            return Verdict(False, reason, message, None)
        return Verdict(True, "", message, _answer(message))


def masked(raw: bytes) -> str:
    """A telegram as text: UTF-8 where it is, `\\x..` where it is not, the password as `******`."""
    return _PASSWORD.sub(rb"\1******", raw).decode("utf-8", "backslashreplace").strip()


def _reason(message: Message, device: Device | None, peer: str) -> str:
    if not message.ok:
        return "crc" if (message.error or "").startswith(("wrong CRC", "CRC")) else "format"
    if device is None:
        return "unknown_mn"
    if not device.allows(peer.rpartition(":")[0].strip("[]")):
        return "network"
    if not device.enabled:
        return "disabled"
    if not hmac.compare_digest((message.pw or "").encode(), device.password.encode()):
        return "password"
    if device.systems and message.st not in device.systems and message.st != _INTERACTION:
        return "st"
    return ""


def _answer(message: Message) -> bytes | None:
    """9014 for data, 9013 for a notice, nothing for answers and for what asks for nothing."""
    if not message.wants_answer:
        return None
    command = codes.command(message.cn or "", message.version or "2017")
    kind = command.kind if command else "upload"  # 9016–9999 are free for extensions
    if "notify" in kind:
        return hj212.answer("9013", message)
    return hj212.answer("9014", message) if "upload" in kind else None
