"""The grammar of every command: what host and device put into CP, by version, with types.

Sources: HJ/T 212-2005 appendix C, HJ 212-2017 tables 3-9 and appendix C. Of HJ 212-2025 the text
was not at hand: its rows follow public implementations made after it (commands 1001, 1002, 1014,
2013, 2052, 2062, 2111, 3022-3024, 9015). 2082 and 2083 exist in no version.

Names and meanings of commands are in `jingwei.standards.codes`; here is only what is needed to
write a CP and to read one back into typed values (`encode`, `content`, `request`, `upload`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time
from decimal import Decimal, InvalidOperation
from typing import Final, Literal

from jingwei.hj212.encoder import segment
from jingwei.hj212.message import Message
from jingwei.hj212.values import moment, number, qn, seconds

Direction = Literal["down", "up"]  # down: from the host to the device
Value = str | int | Decimal | datetime | time
Values = Value | tuple[Value, ...]

# ── types of fields and parameters ─────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Field:
    """A name in CP and the type of its value.

    `kind`: "time" (`yyyyMMddHHmmss` <-> aware datetime), "stamp" (the same with milliseconds),
    "clock" (`hhmmss` <-> time), "hhmm" (<-> time), "integer" (<-> int, `low`..`high` or `among`),
    "decimal" (<-> Decimal), "text" (<-> str), "log" (`//…//` <-> str).
    """

    name: str
    kind: str
    low: int = 0
    high: int = 10**9
    among: frozenset[int] = frozenset()
    size: int = 0  # characters a text must have; 0: any


_TIMES = "SystemTime RestartTime BeginTime EndTime DataTime AlarmTime SampleTime CompleteTime"
_DECIMALS = (
    "Rtd Min Avg Max ZsRtd ZsMin ZsAvg ZsMax Cou RT Data DayData NightData Ala UpValue LowValue "
    "SampleRd StandardValue"
)
_TEXTS = "Flag EFlag SampleType PolId InfoId ReportTarget NewSK QN CN"
_MINUTES = frozenset((1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30))

FIELDS: Final[dict[str, Field]] = {
    field.name: field
    for field in (
        *(Field(name, "time") for name in _TIMES.split()),
        *(Field(name, "decimal") for name in _DECIMALS.split()),
        *(Field(name, "text") for name in _TEXTS.split()),
        Field("SKCreateTime", "stamp"),
        Field("CstartTime", "clock"),
        Field("ReportTime", "hhmm"),
        Field("Info", "log"),
        Field("SN", "text", size=24),
        Field("PW", "text", size=6),
        Field("NewPW", "text", size=6),
        Field("RS", "integer", high=9),
        Field("ResultType", "integer", high=1),
        Field("QnRtn", "integer", low=1, high=999),
        Field("ExeRtn", "integer", low=1, high=999),
        Field("RtdInterval", "integer", low=30, high=3600),
        Field("MinInterval", "integer", among=_MINUTES),
        Field("OverTime", "integer", low=1, high=99),
        Field("ReCount", "integer", low=1, high=99),
        Field("WarnTime", "integer", high=99999),
        Field("VaseNo", "integer", low=1, high=99),
        Field("Ctime", "integer", low=1, high=24),
        Field("Stime", "integer", low=1, high=120),
        Field("CalibrationType", "integer", high=1),
        Field("AlarmType", "integer", high=1),
        Field("PNUM", "integer", low=1, high=9999),
        Field("PNO", "integer", low=1, high=9999),
    )
}

# Ways in which the standards themselves spell a name (2017 C.35 and C.36; 2005 C.21 and C.27).
ALIASES: Final = {"CTime": "Ctime", "PolID": "PolId", "AlarmTarget": "ReportTarget"}
# 2005: OverTime has up to five digits.
_WIDE: Final = Field("OverTime", "integer", low=1, high=99999)

# ── commands ───────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Shape:
    """What CP holds in one direction: parameters in their order, and fields of items."""

    params: tuple[str, ...]
    optional: frozenset[str]  # those of them that may be left out
    repeated: frozenset[str]  # those that may come any number of times
    items: frozenset[str]  # fields that items may have; empty: no items

    @property
    def required(self) -> frozenset[str]:
        return frozenset(self.params) - self.optional - self.repeated


@dataclass(frozen=True, slots=True)
class Command:
    """A command of one version. `down` and `up`: what host and device send under this number.

    `reply`: what the host answers to the device's telegram where it asks for that: "9014" to
    data, "9013" to notices, None to answers and where the device sends nothing.
    """

    cn: str
    version: str
    down: Shape | None
    up: Shape | None
    reply: str | None


_REAL = "-Rtd -Flag -EFlag -SampleTime -ZsRtd"
_SPAN = "-Cou -Min -Avg -Max -ZsMin -ZsAvg -ZsMax -Flag -EFlag -Data -DayData -NightData"
_SPAN_OF_TIME = "BeginTime EndTime"

# CN; versions; what the host sends; what the device sends. "x": nothing goes that way. A name
# with "?" may be left out, one with "*" may be repeated; "-Name" is a field of items. In 2005 a
# device's answer carries the QN of the request inside CP.
_TABLE: Final = f"""
1000; 2005 2017 2025; OverTime ReCount;                  x
1001; 2005;           WarnTime;                          x
1001; 2025;           x;                                 -Info
1002; 2025;           -Info;                             x
1011; 2005;           PolId?;                            QN? PolId? SystemTime
1011; 2017 2025;      PolId?;                            PolId? SystemTime
1012; 2005 2017 2025; PolId? SystemTime;                 x
1013; 2017 2025;      x;                                 PolId?
1014; 2025;           SKCreateTime NewSK;                SKCreateTime
1021; 2005;           PolId*;                            QN? -LowValue -UpValue
1022; 2005;           -LowValue -UpValue;                x
1031; 2005;           ;                                  QN? ReportTarget
1032; 2005;           ReportTarget;                      x
1041; 2005;           ;                                  QN? ReportTime
1042; 2005;           ReportTime;                        x
1061; 2005;           ;                                  QN? RtdInterval
1061; 2017 2025;      ;                                  RtdInterval
1062; 2005 2017 2025; RtdInterval;                       x
1063; 2017 2025;      ;                                  MinInterval
1064; 2017 2025;      MinInterval;                       x
1072; 2005;           PW;                                x
1072; 2017 2025;      NewPW;                             x
2011; 2005 2017;      ;                                  DataTime {_REAL}
2011; 2025;           BeginTime? EndTime?;               DataTime {_REAL}
2012; 2005 2017 2025; ;                                  x
2013; 2025;           {_SPAN_OF_TIME};                   DataTime -SampleTime -CompleteTime -SampleType -Avg -Flag -Info
2021; 2005 2017 2025; ;                                  DataTime -RS
2022; 2005 2017 2025; ;                                  x
2031; 2005 2017 2025; {_SPAN_OF_TIME};                   DataTime {_SPAN}
2041; 2005 2017 2025; {_SPAN_OF_TIME};                   DataTime -RT
2051; 2005 2017 2025; {_SPAN_OF_TIME};                   DataTime {_SPAN}
2052; 2025;           BeginTime? EndTime?;               DataTime -Data
2061; 2005 2017 2025; {_SPAN_OF_TIME};                   DataTime {_SPAN}
2062; 2025;           {_SPAN_OF_TIME};                   DataTime -SampleRd -StandardValue -ResultType
2071; 2005;           {_SPAN_OF_TIME};                   DataTime -Ala
2072; 2005;           x;                                 AlarmTime AlarmType -Ala
2081; 2017 2025;      x;                                 DataTime RestartTime
2111; 2025;           x;                                 DataTime -Avg -Flag
3011; 2005 2017;      PolId;                             x
3011; 2025;           PolId CalibrationType?;            x
3012; 2005 2017 2025; PolId;                             x
3013; 2005 2017 2025; PolId;                             x
3014; 2005;           PolId Ctime*;                      x
3014; 2017;           PolId;                             x
3015; 2017;           ;                                  DataTime VaseNo
3016; 2017;           PolId CstartTime Ctime;            x
3017; 2017;           PolId;                             PolId CstartTime Ctime
3018; 2017 2025;      PolId;                             PolId Stime
3019; 2017 2025;      PolId;                             DataTime? PolId -SN
3020; 2017 2025;      PolId InfoId BeginTime? EndTime?;  DataTime PolId? -Info
3021; 2017 2025;      PolId InfoId -Info;                x
3022; 2025;           PolId;                             x
3023; 2025;           x;                                 DataTime VaseNo -Info
3024; 2025;           PolId;                             x
9011; 2005;           x;                                 QN? QnRtn
9011; 2017 2025;      x;                                 QnRtn
9012; 2005;           x;                                 QN? ExeRtn
9012; 2017 2025;      x;                                 ExeRtn
9013; 2005;           QN?;                               QN?
9013; 2017 2025;      ;
9014; 2005;           QN? CN? PNO? PNUM?;                QN? CN? PNO? PNUM?
9014; 2017 2025;      ;
9015; 2025;           x;
"""

_NOTICES: Final = frozenset(
    (("1001", "2025"), ("1013", "2017"), ("1013", "2025"), ("1014", "2025"), ("2072", "2005"),
     ("9015", "2025"))
)  # fmt: skip


_SINCE_2017: Final = frozenset(("-EFlag", "-SampleTime"))


def _shape(text: str, version: str) -> Shape | None:
    words = [w for w in text.split() if version != "2005" or w not in _SINCE_2017]
    if words == ["x"]:
        return None
    names = [word for word in words if not word.startswith("-")]
    return Shape(
        params=tuple(name.rstrip("?*") for name in names),
        optional=frozenset(name[:-1] for name in names if name.endswith("?")),
        repeated=frozenset(name[:-1] for name in names if name.endswith("*")),
        items=frozenset(word[1:] for word in words if word.startswith("-")),
    )


def _commands() -> dict[str, dict[str, Command]]:
    found: dict[str, dict[str, Command]] = {}
    for line in _TABLE.strip().splitlines():
        cn, versions, down, up = (cell.strip() for cell in line.split(";"))
        for version in versions.split():
            reply: str | None = "9014"
            if cn[:3] == "901" and cn != "9015":
                reply = None
            elif (cn, version) in _NOTICES:
                reply = "9013"
            shapes = _shape(down, version), _shape(up, version)
            if shapes[1] is None:
                reply = None
            found.setdefault(cn, {})[version] = Command(cn, version, *shapes, reply)
    return found


COMMANDS: Final = _commands()

# Uploads whose items say nothing without a time.
DATA_COMMANDS: Final = frozenset(("2011", "2021", "2031", "2041", "2051", "2061"))

_ITEM_FIELDS: Final = frozenset(
    field
    for versions in COMMANDS.values()
    for command in versions.values()
    for shape in (command.down, command.up)
    if shape
    for field in shape.items
)
NUMERIC_FIELDS: Final = frozenset(
    name for name in _ITEM_FIELDS if FIELDS[name].kind in ("decimal", "integer")
)
TEXT_FIELDS: Final = _ITEM_FIELDS - NUMERIC_FIELDS
PARAMETERS: Final = (frozenset(FIELDS) - _ITEM_FIELDS) | frozenset(ALIASES)


def command(cn: str, version: str) -> Command | None:
    """The grammar of a command in a version; None where the version does not have it."""
    return COMMANDS.get(cn, {}).get(version)


# ── values ─────────────────────────────────────────────────────────────────────────────────────


def _field(name: str, version: str) -> Field:
    return _WIDE if name == "OverTime" and version == "2005" else FIELDS[name]


def _bounds(field: Field, value: int) -> None:
    if field.among and value not in field.among:
        allowed = ", ".join(map(str, sorted(field.among)))
        raise ValueError(f"{field.name}: {value} is none of {allowed}")
    if not field.among and not field.low <= value <= field.high:
        raise ValueError(f"{field.name}: {value} is not within {field.low}..{field.high}")


def _safe(name: str, text: str) -> str:
    if any(c in text for c in ";,\r\n") or "&&" in text or text != text.strip():
        raise ValueError(f"{name}: {text!r} cannot stand in CP")
    return text


def write_value(field: Field, value: Value) -> str:
    """The text for a typed value. Raises ValueError where type or range is wrong."""
    kind = field.kind
    if kind in ("time", "stamp") and isinstance(value, datetime):
        return seconds(value) if kind == "time" else qn(value)
    if kind in ("clock", "hhmm") and isinstance(value, time):
        return value.strftime("%H%M%S" if kind == "clock" else "%H%M")
    if kind == "integer" and isinstance(value, int):
        _bounds(field, value)
        return str(value)
    if kind == "decimal" and isinstance(value, (int, Decimal)):
        if not Decimal(value).is_finite():
            raise ValueError(f"{field.name}: {value} is not finite")
        return format(value, "f") if isinstance(value, Decimal) else str(value)
    if kind == "decimal" and isinstance(value, str):
        if number(value) is None:
            raise ValueError(f"{field.name}: {value!r} is no decimal number")
        return value
    if kind == "text" and isinstance(value, str):
        if field.size and len(value) != field.size:
            raise ValueError(f"{field.name}: {value!r} has not {field.size} characters")
        return _safe(field.name, value)
    if kind == "log" and isinstance(value, str):
        # Between double slashes a text may hold anything but their end and the end of CP.
        if any(c in value for c in ";,/") or value != value.strip() or not value.isascii():
            if "//" in value or value[-1:] == "/" or "&&" in value:
                raise ValueError(f"{field.name}: {value!r} holds '//' or '&&'")
            return f"//{value}//"
        return _safe(field.name, value)
    raise ValueError(f"{field.name}: {value!r} is no {kind}")


def read_value(field: Field, text: str) -> Value:
    """The typed value of a text. Raises ValueError where the text is none of its kind."""
    kind = field.kind
    if kind in ("time", "stamp"):
        found = moment(text)
        if found is None:
            raise ValueError(f"{field.name}: {text!r} is no time")
        return found
    if kind in ("clock", "hhmm"):
        digits = 6 if kind == "clock" else 4
        if len(text) != digits or not (text.isascii() and text.isdigit()):
            raise ValueError(f"{field.name}: {text!r} is no time of day")
        return time(int(text[:2]), int(text[2:4]), int(text[4:] or 0))
    if kind == "integer":
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ValueError(f"{field.name}: {text!r} is no whole number")
        _bounds(field, int(text))
        return int(text)
    if kind == "decimal":
        if number(text) is None:
            raise ValueError(f"{field.name}: {text!r} is no decimal number")
        return Decimal(text)
    if kind == "log" and len(text) >= 4 and text[:2] == text[-2:] == "//":
        return text[2:-2]
    return text


# ── CP ─────────────────────────────────────────────────────────────────────────────────────────


def _wanted(cn: str, version: str, direction: Direction) -> Shape:
    found = command(cn, version)
    if found is None:
        raise ValueError(f"CN {cn} is not in the standard of {version}")
    shape = found.down if direction == "down" else found.up
    if shape is None:
        raise ValueError(f"CN {cn} of {version} is never sent {direction}")
    return shape


def encode(
    cn: str,
    version: str,
    direction: Direction,
    params: Mapping[str, Values] | None = None,
    items: Iterable[tuple[str, Mapping[str, Value]]] = (),
) -> str:
    """The text of CP for a command. Raises ValueError for what the command does not have.

    A parameter that may be repeated takes a tuple. Parameters come in the order of the standard.
    """
    shape = _wanted(cn, version, direction)
    given = dict(params or {})
    parts = []
    for name in shape.params:
        value = given.pop(name, None)
        if value is None:
            if name not in shape.required:
                continue
            raise ValueError(f"CN {cn}: {name} is missing")
        values = value if isinstance(value, tuple) else (value,)
        if len(values) > 1 and name not in shape.repeated:
            raise ValueError(f"CN {cn}: {name} is given {len(values)} times")
        field = _field(name, version)
        # The examples of 2017 and 2005 spell it CTime, and devices were built after them.
        sent = "CTime" if name == "Ctime" else name
        parts += [f"{sent}={write_value(field, one)}" for one in values]
    if given:
        raise ValueError(f"CN {cn}: {', '.join(given)} does not belong to it")
    for code, fields in items:
        if not re.fullmatch(r"\w+(?:-\w+)*", code):
            raise ValueError(f"code {code!r} cannot stand in CP")
        if not fields:
            raise ValueError(f"CN {cn}: {code} has no fields")
        for name in fields:
            if name not in shape.items:
                raise ValueError(f"CN {cn}: {code}-{name} does not belong to it")
        parts.append(
            ",".join(f"{code}-{name}={write_value(FIELDS[name], v)}" for name, v in fields.items())
        )
    return ";".join(parts)


@dataclass(frozen=True, slots=True)
class Content:
    """CP as typed values. `problems`: what could not be read so, and is left out."""

    command: Command
    direction: Direction
    params: dict[str, Values]
    items: tuple[tuple[str, dict[str, Value]], ...]
    problems: tuple[str, ...]


def _direction(message: Message, found: Command) -> Direction:
    if found.down is None:
        return "up"
    if found.up is None:
        return "down"
    # Only what the device sends has a DataTime; otherwise the shape that explains more wins.
    if message.data_time is not None:
        return "up"
    names = {ALIASES.get(name, name) for name in message.params}
    fields = {field for item in message.items for field in item.fields}

    def misfit(shape: Shape) -> int:
        return (
            len(names - set(shape.params))
            + len(shape.required - names)
            + len(fields - shape.items)
            + (1 if shape.items and not fields else 0)
        )

    return "up" if misfit(found.up) < misfit(found.down) else "down"


def content(message: Message) -> Content | None:
    """The typed content of a message; None where its version does not have the command.

    Which way it went is seen from what it holds (`DataTime`, say, only comes from devices).
    """
    version = message.version or "2017"
    found = command(message.cn or "", version)
    if found is None:
        return None
    direction = _direction(message, found)
    shape = found.down if direction == "down" else found.up
    assert shape is not None
    problems: list[str] = []
    params: dict[str, Values] = {}
    texts = dict(message.params)
    if message.data_time is not None:
        texts["DataTime"] = message.data_time
    for sent, text in texts.items():
        name = ALIASES.get(sent, sent)
        if name not in shape.params:
            problems.append(f"{sent} does not belong to CN {found.cn}")
            continue
        field = _field(name, version)
        try:
            if name in shape.repeated:
                params[name] = tuple(read_value(field, one) for one in text.split(","))
            else:
                params[name] = read_value(field, text)
        except ValueError as error:
            problems.append(str(error))
    missing = shape.required - {ALIASES.get(name, name) for name in texts}
    problems += [f"{name} is missing" for name in shape.params if name in missing]
    items = []
    for item in message.items:
        values: dict[str, Value] = {}
        for name, text in item.fields.items():
            if name not in shape.items:
                problems.append(f"{item.code}-{name} does not belong to CN {found.cn}")
                continue
            try:
                values[name] = read_value(FIELDS[name], text)
            except (ValueError, InvalidOperation) as error:
                problems.append(f"{item.code}-{error}")
        items.append((item.code, values))
    return Content(found, direction, params, tuple(items), tuple(problems))


# ── telegrams ──────────────────────────────────────────────────────────────────────────────────


def request(
    cn: str,
    *,
    version: str,
    st: str,
    mn: str,
    pw: str,
    number: str,
    params: Mapping[str, Values] | None = None,
    items: Iterable[tuple[str, Mapping[str, Value]]] = (),
) -> str:
    """The data segment of a command from the host; `number` is its QN (see `qn`).

    It asks for an answer: Flag 5 in 2017, 9 in 2025, and 3 in 2005, whose two notices (2012, 2022)
    carry no Flag (HJ/T 212-2005 appendix C).
    """
    cp = encode(cn, version, "down", params, items)
    return command_segment(cn, version=version, st=st, mn=mn, pw=pw, number=number, cp=cp)


def command_segment(
    cn: str, *, version: str, st: str, mn: str, pw: str, number: str, cp: str
) -> str:
    """The data segment of a command from the host whose CP is written already (see `request`)."""
    if version != "2005":
        flag = 5 if version == "2017" else 9
        return segment(cn=cn, st=st, mn=mn, pw=pw, qn=number, flag=flag, cp=cp)
    flag_text = "" if cn in ("2012", "2022") else "Flag=3;"
    return f"QN={number};ST={st};CN={cn};PW={pw};MN={mn};{flag_text}CP=&&{cp}&&"


def upload(
    cn: str,
    *,
    version: str,
    st: str,
    mn: str,
    pw: str,
    number: str | None,
    answer: bool = True,
    params: Mapping[str, Values] | None = None,
    items: Iterable[tuple[str, Mapping[str, Value]]] = (),
    refill: bool = False,
) -> str:
    """The data segment of what a device sends; `refill` marks back-filled data (2025: `RF=1`).

    In 2005 the header carries no Flag, and a QN (`number`) only where an answer 9014 is wanted.
    """
    cp = encode(cn, version, "up", params, items)
    if version == "2005":
        asks = f"QN={number};" if number is not None and answer else ""
        return f"ST={st};CN={cn};{asks}PW={pw};MN={mn};CP=&&{cp}&&"
    if number is None:
        raise ValueError(f"a telegram of {version} needs a QN")
    flag = (4 if version == "2017" else 8) | (1 if answer else 0)
    rf = "1" if refill and version == "2025" else None
    return segment(cn=cn, st=st, mn=mn, pw=pw, qn=number, flag=flag, cp=cp, rf=rf)


def reply(message: Message) -> str | None:
    """The CN with which the host answers what a device sent: "9014", "9013", or None for nothing.

    Nothing where the telegram does not ask, is itself an answer, or is a command that only the host
    gives. A command that the version does not have is answered as data, so that the device does not
    send it for ever. The alarm of 2005 (2072) is answered although its Flag is 0 (HJ/T 212-2005
    appendix C). The heartbeat of 2025 (9015) bears no data: a notice, answered with 9013, as it was
    by loggers that had it before that standard (secondary sources only; they leave 9014 open).
    """
    cn, version = message.cn or "", message.version or "2017"
    if cn in ("9011", "9012", "9013", "9014"):
        return None
    found = command(cn, version)
    if not message.wants_answer and not (cn == "2072" and found is not None and message.qn):
        return None
    return found.reply if found else "9014"
