"""The gateway's judgement of one telegram, without any socket.

What a telegram is refused for is a short word (`REASONS`), which counts, lists and pages use. A
refused telegram is not answered: an upload's only answer is 9014, and it means that the data were
taken (the codes of QnRtn belong to 9011, by which a device answers the host, HJ 212-2017 §6.6.5);
the device repeats it after its time-out, and a stranger learns nothing.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from jingwei import hj212
from jingwei.hj212 import Message
from jingwei.telemetry.register import Device, Register

REASONS = {
    "crc": "wrong check sum",
    "format": "not a telegram of HJ 212",
    "unknown_mn": "the MN is not in the register",
    "network": "the device may not send from this address",
    "disabled": "the device is disabled",
    "password": "wrong password",
    "no_key": "encrypted, and no key is registered for the device",
    "wrong_key": "encrypted, and no key of the device opens it",
    "st": "the system type is not registered for the device",
    "oversized": "a telegram longer than the gateway takes",
    "rubbish": "bytes that are no telegram",
    "half": "a telegram that never ended",
    "flood": "the device sends more than the gateway takes of one device",
}
_INTERACTION = "91"  # ST of answers (HJ 212-2017 table 5)
_KEYS = 2  # the present key, and the one before it: what was under way when it changed
_MN = re.compile(rb"(?:^|;)MN=([!-:<-~]{1,27});")
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
        self.also: Callable[[str], str] = lambda mn: ""  # a password that is about to be in force

    def judge(self, frame: bytes, peer: str) -> Verdict:
        """The verdict on one frame (`##` to check sum) from `peer` ("address:port")."""
        found = _MN.search(frame, 6, 300)
        device = self.register.get(found[1].decode()) if found else None
        message = self._read(frame, device)
        if message.mn and (device is None or device.mn != message.mn):
            other = self.register.get(message.mn)  # an MN written in some odd way
            if other is not device:
                device, message = other, self._read(frame, other)
        reason = self._reason(message, device, peer)
        if reason:
            return Verdict(False, reason, message, None)
        return Verdict(True, "", message, _answer(message))

    def _read(self, frame: bytes, device: Device | None) -> Message:
        """The message as the device's register row says: version, dialects, key."""
        if device is None:
            return hj212.decode(frame)
        version, dialects = device.version, frozenset(device.dialects)
        keys = self.register.keys(device.mn)[:_KEYS] if device.keys else ()
        if not keys:
            return hj212.decode(frame, version=version, dialects=dialects)
        for number, key in enumerate(keys):
            message = hj212.decode(frame, version=version, key=key, dialects=dialects)
            if message.ok or not encrypted(message):
                if number and message.ok:
                    old = (*message.problems, "the key before the present one")
                    message = replace(message, problems=old)
                break
        return message

    def _reason(self, message: Message, device: Device | None, peer: str) -> str:
        if not message.ok and not encrypted(message):
            return "crc" if (message.error or "").startswith(("wrong CRC", "CRC")) else "format"
        if device is None:
            return "unknown_mn"
        if not device.allows(peer.rpartition(":")[0].strip("[]")):
            return "network"
        if not device.enabled:
            return "disabled"
        given = (message.pw or "").encode()
        if not hmac.compare_digest(given, device.password.encode()) and not (
            given and hmac.compare_digest(given, self.also(device.mn).encode())
        ):
            return "password"
        if device.systems and message.st not in device.systems and message.st != _INTERACTION:
            return "st"
        if not message.ok:
            return "wrong_key" if device.keys else "no_key"
        return ""


def masked(raw: bytes) -> str:
    """A telegram as text: UTF-8 where it is, `\\x..` where it is not, the password as `******`."""
    return _PASSWORD.sub(rb"\1******", raw).decode("utf-8", "backslashreplace").strip()


def encrypted(message: Message) -> bool:
    """Whether a message could not be read because it is encrypted."""
    return (message.error or "").startswith("encrypted")


def _answer(message: Message) -> bytes | None:
    cn = hj212.reply(message)
    return None if cn is None else hj212.answer(cn, message)
