"""What a telegram says, once read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, overload

from jingwei.hj212.values import moment

# Bits of the Flag byte `V5 V4 V3 V2 V1 V0 D A` (HJ 212-2017 §6.3.2, table 2).
ANSWER: Final = 1
SPLIT: Final = 2


# Crc, Item and Message are not frozen, though nobody changes them: making a frozen one costs four times as
# much, a sixth of what a gateway does for a telegram.


@dataclass(slots=True)
class Crc:
    """The check sum that came (`given`, as sent) beside the printed one of what came (`computed`).

    `ok`: the four digits given are the printed check sum, or an accepted dialect of it; None where
    there was nothing to compare (a bare data segment). `dialect`: how the sender deviates, if it
    does: "lower" (lower-case digits), "unpadded" (leading zeros left out), "modbus"
    (CRC-16/Modbus), "swapped" and "modbus-swapped" (low byte first), "ciphertext" (over the
    encrypted segment instead of the clear one).
    """

    given: str | None
    computed: str
    ok: bool | None
    dialect: str | None


@dataclass(slots=True)
class Item:
    """One factor (or instrument) with its fields: `Item("w01018", {"Avg": "1.230", "Flag": "N"})`."""

    code: str
    fields: dict[str, str]


class LateItems(Sequence[Item]):
    """Items that are made when somebody looks: a gateway does not at those of most telegrams.

    `shape`: code, fields, first and last of their `values`, of each.
    """

    __slots__ = ("_made", "_shape", "_values")

    def __init__(
        self, shape: tuple[tuple[str, tuple[str, ...], int, int], ...], values: list[str]
    ) -> None:
        self._shape, self._values = shape, values
        self._made: tuple[Item, ...] | None = None

    def _all(self) -> tuple[Item, ...]:
        if self._made is None:
            values = self._values
            self._made = tuple(
                [
                    Item(code, dict(zip(fields, values[first:last], strict=True)))
                    for code, fields, first, last in self._shape
                ]
            )
        return self._made

    def __len__(self) -> int:
        return len(self._shape)

    def __iter__(self) -> Iterator[Item]:
        return iter(self._all())

    @overload
    def __getitem__(self, at: int) -> Item: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Item, ...]: ...
    def __getitem__(self, at: int | slice) -> Item | tuple[Item, ...]:
        return self._all()[at]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LateItems | tuple):
            return NotImplemented
        return self._all() == tuple(other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._all())


@dataclass(slots=True)
class Message:
    """A telegram as read. All values are the text that was sent.

    `ok` False: not to be used, `error` says why; the fields then hold what could still be read.
    Errors begin with what they are: "no frame", "incomplete", "wrong length", "no CRC", "more than
    one telegram" (the frame); "wrong CRC", "CRC dialect" (the check sum); "encrypted"; and of the
    content "ungrammatical", "not text", "no CN", "CN", "no MN", "no DataTime", "DataTime",
    "PNUM and PNO", "split packet".
    `problems`: deviations from the standard that did no harm, each as `what: detail`.
    `params`: what stands in CP beside the items and DataTime; a name that is sent several times
    (`PolId=101;PolId=102`) has its values joined by commas, which no value can contain.
    `qn`: of the header, or, as 2005 answers have it, out of CP.
    """

    ok: bool
    error: str | None = None
    version: str | None = None
    qn: str | None = None
    st: str | None = None
    cn: str | None = None
    mn: str | None = None
    pw: str | None = None
    flag: int | None = None
    pnum: int | None = None
    pno: int | None = None
    data_time: str | None = None
    rf: str | None = None
    items: Sequence[Item] = ()
    params: dict[str, str] = field(default_factory=dict)
    crc: Crc | None = None
    problems: tuple[str, ...] = ()
    raw: bytes = b""

    @property
    def time(self) -> datetime | None:
        """DataTime as an aware UTC time; None where there is none or it is no time."""
        return moment(self.data_time) if self.data_time else None

    @property
    def wants_answer(self) -> bool:
        """Whether the Flag asks for an answer (bit A).

        Devices of 2005 send no Flag: there a QN in the header of data asks for one (HJ/T 212-2005
        C.5, upload with answer), while answers of 2005 carry the QN inside CP.
        """
        if self.flag is not None:
            return bool(self.flag & ANSWER)
        return (
            self.version == "2005"
            and self.qn is not None
            and "QN" not in self.params
            and self.data_time is not None
        )

    @property
    def split(self) -> bool:
        """Whether this is one packet of several (see `Reassembler`)."""
        return self.pnum is not None and self.pnum > 1

    def to_json(self) -> dict[str, Any]:
        """The object that `jingwei decode` prints: without password and raw bytes."""
        return {
            "ok": self.ok,
            "error": self.error,
            "version": self.version,
            "qn": self.qn,
            "st": self.st,
            "cn": self.cn,
            "mn": self.mn,
            "flag": self.flag,
            "pnum": self.pnum,
            "pno": self.pno,
            "data_time": self.data_time,
            "rf": self.rf,
            "items": [{"code": item.code, **item.fields} for item in self.items],
            "params": self.params,
            "crc": None
            if self.crc is None
            else {
                "given": self.crc.given,
                "computed": self.crc.computed,
                "ok": self.crc.ok,
                "dialect": self.crc.dialect,
            },
            "problems": list(self.problems),
        }
