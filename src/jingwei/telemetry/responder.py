"""A replayed logger's answers to the host's commands, versions 2005, 2017 and 2025.

Pure but for its own memory (clock error, intervals, password, key, parameters): `answer` turns a
request into steps — send, deliver (wait for 9014), pause — which `replay_client` plays on the
wire. The same request come twice (the same QN) is answered again and not done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Any, Final

from jingwei import hj212
from jingwei.hj212 import Message
from jingwei.hj212.catalogue import Value, Values, command, content
from jingwei.telemetry.replay import (
    Device,
    Player,
    Resolution,
    frames,
    periods,
    upload,
)

_HISTORY: Final[dict[str, Resolution]] = {"2051": "minute", "2061": "hour", "2031": "day"}
_ACTS: Final = {"3011": 3.0, "3012": 2.0, "3013": 1.0, "3014": 2.0, "3022": 1.0, "3024": 2.0}
_NO_DATA, _DONE, _REFUSED = 100, 1, 2
_MANY = 5000  # periods that are sent to one request


@dataclass(frozen=True, slots=True)
class Step:
    """`frame` to send, `wait` for its 9014; or a `pause` in seconds at the site."""

    frame: bytes = b""
    wait: bool = False
    pause: float = 0.0


class Responder:
    """One logger's side of the dialogues. `device` changes with its password and key."""

    def __init__(self, player: Player, device: Device, *, clock_error: float = 0.0) -> None:
        self.player = player
        self.device = device
        self.error = timedelta(seconds=clock_error)  # its clock runs ahead by so much
        self.realtime = 30
        self.minutes = 10
        self.timeout = (10, 3)
        self.cycle = (time(0, 0), 2)
        self.parameters: dict[str, str] = {"i13004": "165.0", "i13005": "15"}
        self._vase = 0
        self._done: tuple[str | None, list[Step]] = ("", [])

    def asks(self, message: Message) -> bool:
        """Whether a telegram from the host is a request (and no answer)."""
        return bool(message.cn) and (message.cn or "")[:3] != "901"

    def answer(self, message: Message, now: datetime) -> Iterator[Step]:
        """The steps that answer a request; `now` is the true time."""
        if message.qn is not None and message.qn == self._done[0]:
            yield from self._done[1]
            return
        version = self.device.version
        if message.pw != self.device.password:
            yield self._rtn(message, 3)
            return
        found = command(message.cn or "", version)
        if found is None or found.down is None:
            yield self._rtn(message, 8 if version != "2005" else _REFUSED)
            return
        if message.cn in ("2012", "2022"):
            yield Step(hj212.answer("9013", self._as(message)))
            return
        said = content(message)
        if said is None or said.problems:
            yield self._rtn(message, _REFUSED)
            return
        old = self.device
        first = self._rtn(message, 1)
        yield first
        done = _DONE
        try:
            for step in self._act(message, said.params, said.items, now):
                if isinstance(step, int):
                    done = step
                else:
                    yield step
        finally:
            last = self._frame_of(old, "9012", message, ExeRtn=done)
            self._done = (message.qn, [first, last])
        yield last

    # What each command does

    def _act(
        self,
        message: Message,
        params: dict[str, Values],
        items: tuple[tuple[str, dict[str, Value]], ...],
        now: datetime,
    ) -> Iterator[Step | int]:
        cn = message.cn or ""
        pol = {"PolId": params["PolId"]} if "PolId" in params else {}
        mine = now + self.error
        if cn == "1000":
            self.timeout = (int(str(params["OverTime"])), int(str(params["ReCount"])))
        elif cn == "1011":
            yield self._up(message, {**pol, "SystemTime": mine})
        elif cn == "1012":
            told = params["SystemTime"]
            assert isinstance(told, datetime)
            # It can be as exact as its telegram: whole seconds.
            self.error = told - now.replace(microsecond=0)
        elif cn == "1061":
            yield self._up(message, {"RtdInterval": self.realtime})
        elif cn == "1062":
            self.realtime = int(str(params["RtdInterval"]))
        elif cn == "1063":
            yield self._up(message, {"MinInterval": self.minutes})
        elif cn == "1064":
            self.minutes = int(str(params["MinInterval"]))
        elif cn == "1072":
            password = str(params.get("NewPW") or params["PW"])
            self.device = replace(self.device, password=password)
        elif cn == "1014":
            self.device = replace(self.device, sm4=str(params["NewSK"]).encode())
        elif cn == "1021":
            low: dict[str, Value] = {"LowValue": "0", "UpValue": "100"}
            yield self._up(message, {}, [(c.factor, low) for c in self.device.channels])
        elif cn == "1031":
            yield self._up(message, {"ReportTarget": "01012345678"})
        elif cn == "1041":
            yield self._up(message, {"ReportTime": time(1, 0)})
        elif cn == "2011":
            for frame in self.player.frames(
                self.device, now, "realtime", now, answer=False, qn=message.qn, label=self.error
            ):
                yield Step(frame)
        elif cn == "2021":
            for frame in self.player.state(self.device, mine, now, qn=message.qn):
                yield Step(frame)
        elif cn in _HISTORY:
            yield from self._history(cn, params, now)
        elif cn == "2041":
            yield from self._running(params, now)
        elif cn == "3015":
            self._vase = self._vase % 24 + 1
            yield Step(pause=1.0)
            yield self._up(message, {"DataTime": mine, "VaseNo": self._vase})
        elif cn == "3016":
            start = params["CstartTime"]
            assert isinstance(start, time)
            self.cycle = (start, int(str(params["Ctime"])))
        elif cn == "3017":
            yield self._up(message, {**pol, "CstartTime": self.cycle[0], "Ctime": self.cycle[1]})
        elif cn == "3018":
            yield self._up(message, {**pol, "Stime": 40})
        elif cn == "3019":
            serial = hashlib.sha256(self.device.key.encode()).hexdigest()[:24].upper()
            yield self._up(
                message, {**pol, "DataTime": mine}, [(str(params["PolId"]), {"SN": serial})]
            )
        elif cn == "3020":
            yield from self._information(message, str(params["InfoId"]), pol, mine)
        elif cn == "3021":
            for code, fields in items:
                self.parameters[code] = str(fields["Info"])
        elif cn == "2013" or cn in ("2052", "2062", "2071"):
            yield _NO_DATA
        elif cn in _ACTS:
            yield Step(pause=_ACTS[cn])

    def _history(self, cn: str, params: dict[str, Values], now: datetime) -> Iterator[Step | int]:
        resolution = _HISTORY[cn]
        first, last = params["BeginTime"], params["EndTime"]
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        sent = 0
        step = timedelta(milliseconds=0)
        for start in periods(first, min(last, now) + _ONE[resolution], resolution):
            if start > last or start + _ONE[resolution] > now or sent >= _MANY:
                break
            # Every record has a QN of its own (HJ 212-2017 C.47-C.50).
            step += timedelta(milliseconds=20)
            some = self.player.frames(
                self.device, start, resolution, now + step, refill=True, label=self.error
            )
            for frame in some:
                yield Step(frame, wait=True)
            sent += bool(some)
        if not sent:
            yield _NO_DATA

    def _running(self, params: dict[str, Values], now: datetime) -> Iterator[Step | int]:
        first, last = params["BeginTime"], params["EndTime"]
        assert isinstance(first, datetime)
        assert isinstance(last, datetime)
        days = [d for d in periods(first, min(last, now) + _ONE["day"], "day") if d <= last]
        for number, start in enumerate(days):
            sent = now + timedelta(milliseconds=20 * number)
            items = [("SB1", {"RT": "24.0"})]
            for frame in frames(self.device, "2041", start, items, sent):
                yield Step(frame, wait=True)
        if not days:
            yield _NO_DATA

    def _information(
        self, message: Message, info: str, pol: dict[str, Values], mine: datetime
    ) -> Iterator[Step | int]:
        """State, parameters or the log; a long log comes in packets of its own DataTime."""
        if info.endswith("1001"):  # i11001, i21001, i31001: a log
            for number in range(3):
                at = mine - timedelta(minutes=3 - number)
                text = f"维护记录 {number + 1}/3: 校准完成"
                yield self._up(message, {**pol, "DataTime": at}, [(info, {"Info": text})])
        elif info in self.parameters:
            values: dict[str, Value] = {"Info": self.parameters[info]}
            yield self._up(message, {**pol, "DataTime": mine}, [(info, values)])
        elif info.startswith(("i12", "i22")):
            yield self._up(message, {**pol, "DataTime": mine}, [(info, {"Info": "0"})])
        else:
            yield _NO_DATA

    # Frames

    def _as(self, message: Message) -> Message:
        return replace(message, version=self.device.version)

    def _frame_of(self, device: Device, cn: str, message: Message, **params: int) -> Step:
        text = hj212.answer(cn, replace(message, version=device.version), **params)
        return Step(text)

    def _rtn(self, message: Message, code: int) -> Step:
        return self._frame_of(self.device, "9011", message, QnRtn=code)

    def _up(
        self,
        message: Message,
        params: dict[str, Values],
        items: list[tuple[str, dict[str, Value]]] | None = None,
    ) -> Step:
        values: dict[str, Any] = dict(params)
        found = command(message.cn or "", self.device.version)
        assert found is not None
        assert found.up is not None
        if self.device.version == "2005" and "QN" in found.up.params:
            values["QN"] = message.qn or ""
        values = {name: value for name, value in values.items() if name in found.up.params}
        text = hj212.upload(
            message.cn or "", version=self.device.version, st=self.device.st, mn=self.device.mn,
            pw=self.device.password, number=message.qn, answer=False, params=values,
            items=items or (),
        )  # fmt: skip
        return Step(upload(self.device, message.cn or "", text))


_ONE: Final = {
    "minute": timedelta(minutes=10),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
}
