"""One dialogue with a device: request, 9011, data, 9012. No socket, no clock of its own.

Choreography (HJ 212-2017 §6.5, the same in 2005 and 2025): the host sends the request with Flag
A, the device answers 9011 with `QnRtn`, sends what was asked for, and ends with 9012 and
`ExeRtn`; a notice (2012, 2022) it answers with 9013. Unanswered requests are sent again, with the
same QN, so that a device which took the first one does not act twice.

Tolerated: a 9011 that never comes where data or 9012 do, and a missing 9012 after data. Telegrams
of the device's own are never taken for answers unless they are what was asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from jingwei import hj212
from jingwei.hj212 import Message
from jingwei.hj212.catalogue import command_segment
from jingwei.standards import codes
from jingwei.telemetry.envelope import COMMANDS

HISTORY: Final = frozenset(("2013", "2031", "2041", "2051", "2052", "2061", "2062", "2071"))
# What moves something at the site: it takes long, and must not be done twice unasked.
ACTS: Final = frozenset(("3011", "3012", "3013", "3014", "3015", "3022", "3024"))
# What may not be sent again by itself after a line was lost in the middle.
ONCE: Final = ACTS | {"1014", "1072"}

NOW: Final = "{now}"  # in CP: stands for the time of sending (1012)
_KEPT = 60_000  # characters of content kept


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. `answer`, `tries`: HJ 212-2017 table 1 (10 s, 3 times); `silence`: without any sign
    between 9011 and 9012; `act`: the same where the site has something to do."""

    answer: float = 10.0
    tries: int = 3
    silence: float = 60.0
    act: float = 1800.0
    longest: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked of a device. `key`: encrypt the request with it (1014)."""

    id: str
    mn: str
    st: str
    cn: str
    cp: str
    version: str
    password: str
    key: bytes | None = None
    form: str = "raw"


class Dialogue:
    """`state`: "sent", "accepted", and at last "done", "refused" or "failed"; `result` says more:
    `qn`, `QnRtn`, `ExeRtn`, `why` (a key of `WHY`), and `telegrams`, `first`, `last` of history and
    the `content` of an answer that is not in the lake."""

    def __init__(
        self,
        order: Order,
        now: float,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        timing: Timing | None = None,
        qn: str = "",
        wait: float = 0.0,
    ) -> None:
        """`wait`: seconds before the request goes out for the first time."""
        self.order = order
        self.state = "sent"
        self.qn = qn or hj212.qn(wall())
        self.result: dict[str, Any] = {"qn": self.qn}
        self.changed = True  # something to tell since this was last set to False
        self._wall = wall
        self._timing = timing or Timing()
        found = codes.command(order.cn, order.version)
        self._notice = found is not None and found.kind == "notify"
        self._begun = self._heard = now + wait
        self._tries = 0
        self._size = 0
        self._span = _span(order.cp) if order.cn in HISTORY else None
        self._times: set[datetime] = set()

    @property
    def over(self) -> bool:
        return self.state in ("done", "refused", "failed")

    def frame(self) -> bytes:
        """The request as it goes out now."""
        o = self.order
        text = command_segment(
            o.cn, version=o.version, st=o.st, mn=o.mn, pw=o.password, number=self.qn,
            cp=o.cp.replace(NOW, hj212.seconds(self._wall())),
        )  # fmt: skip
        return hj212.frame(text, key=o.key, form=o.form)

    def tick(self, now: float) -> bytes | None:
        """What is to be sent now: the request, first and again, until it is answered."""
        timing = self._timing
        if self.over or now < self._begun:
            return None
        if now - self._begun > timing.longest:
            self._end("failed", "longest")
            return None
        if self.state == "sent":
            if self._tries and now - self._heard < timing.answer:
                return None
            if self._tries >= timing.tries:
                self._end("failed", "no_answer")
                return None
            self._tries += 1
            self._heard = now
            return self.frame()
        patience = timing.act if self.order.cn in ACTS else timing.silence
        if now - self._heard > patience:
            self._end("done" if self._telegrams else "failed", "no_result")
        return None

    def hear(self, message: Message, now: float, whole: Message | None = None) -> bool:
        """Whether the message belongs to the dialogue. `whole`: the telegram that it completes,
        where it is a packet of a split one (None: not complete yet)."""
        if self.over:
            return False
        if message.qn == self.qn and message.cn in ("9011", "9012", "9013"):
            self._heard = now
            self._answered(message)
            return True
        if message.cn != self.order.cn or not self._asked(message):
            return False
        if self._span is not None or message.qn == self.qn:
            self._heard = now  # what comes unasked as well is no sign of life in the dialogue
        if self.state == "sent":
            self.state = "accepted"
        self.changed = True
        if whole is None and message.split:
            return True
        self._data(whole or message)
        return True

    def lost(self) -> None:
        """The connection has gone."""
        self._end("failed", "line")

    def _answered(self, message: Message) -> None:
        name = {"9011": "QnRtn", "9012": "ExeRtn"}.get(message.cn or "")
        self.changed = True
        if name is None:  # 9013
            if self._notice:
                self._end("done", "")
            return
        text = message.params.get(name, "")
        code = int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None
        self.result[name] = code if code is not None else text[:20]
        if name == "QnRtn":
            if code == 1:
                self.state = "accepted"
                if self._notice:
                    self._end("done", "")
            else:
                self._end("refused", "")
        elif code == 1:
            self._end("done", "")
        elif code == 100:
            self._end("done", "no_data")
        else:
            self._end("failed", "execution")

    def _asked(self, message: Message) -> bool:
        if message.qn == self.qn:
            return True
        if self._span is None:
            # A device that gives the answer a QN of its own; its unasked uploads look the same.
            return self.state == "accepted"
        first, last = self._span
        time = message.time
        return time is not None and (first is None or last is None or first <= time <= last)

    @property
    def _telegrams(self) -> int:
        return int(self.result.get("telegrams", 0))

    def _data(self, message: Message) -> None:
        result = self.result
        result["telegrams"] = self._telegrams + 1
        time = message.time
        if time is not None:
            if len(self._times) < 100_000:
                self._times.add(time)
                result["periods"] = len(self._times)
            text = time.isoformat()
            result["first"] = min(result.get("first", text), text)
            result["last"] = max(result.get("last", text), text)
        if self.order.cn in HISTORY and self.order.cn in COMMANDS:
            return  # it is in the lake
        content = {
            "params": dict(message.params),
            "items": [{"code": i.code, **i.fields} for i in message.items],
            "time": message.data_time,
        }
        self._size += len(message.raw)
        if self._size <= _KEPT:
            result.setdefault("content", []).append(content)

    def _end(self, state: str, why: str) -> None:
        self.state = state
        self.changed = True
        if why:
            self.result["why"] = why


WHY: Final[Mapping[str, str]] = {
    "no_answer": "the device did not answer",
    "no_result": "the device did not say how it ended",
    "no_data": "the device has no data of this time",
    "execution": "the device could not do it",
    "line": "the connection was lost",
    "longest": "it took too long",
    "restart": "the gateway was started anew; whether the device did it is not known",
    "unknown": "the device is not in the register",
    "secret": "the sealed content cannot be opened",
}


def _span(cp: str) -> tuple[datetime | None, datetime | None]:
    """BeginTime and EndTime of a request."""
    found = dict(part.partition("=")[::2] for part in cp.split(";"))
    return hj212.moment(found.get("BeginTime", "")), hj212.moment(found.get("EndTime", ""))
