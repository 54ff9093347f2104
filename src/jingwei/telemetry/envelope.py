"""Observations that did not come as HJ 212: the same journal, the same lake.

What a file, a broker or an API brings is put into an envelope, one for each device, time and
resolution: a JSON object in canonical form (RFC 8785), kept in the journal like any telegram. The
values are the decimal text that was given, under the field names of HJ 212; `source` says where
they came from. The same observations from the same source give the same bytes, and are stored once.

    {"cn": "2061", "items": [{"Avg": "12.5", "Flag": "N", "code": "a21026"}], "jingwei": "observations/1",
     "mn": "…", "source": {"kind": "file", "name": "hours.csv", "row": 2, "sha256": "…"},
     "st": "31", "time": "20260310120000"}

`time` as HJ 212 has it: Asia/Shanghai, 14 digits, or 17 with milliseconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jingwei.evidence import canonical
from jingwei.hj212 import Item, Message
from jingwei.hj212.values import SHANGHAI, moment, number

# The commands that bring data, and the resolution of the lake that each goes to; of those of one
# resolution the first is the one that others are written as. Of 2025: 2013 original values of a
# periodic instrument, 2052 single measurements of noise, 2111 five-minute means of a furnace.
COMMANDS: Final = {
    "2011": "realtime",
    "2051": "minute",
    "2061": "hour",
    "2031": "day",
    "2021": "state",
    "2013": "realtime",
    "2052": "realtime",
    "2111": "minute",
    "2041": "day",  # how long a treatment facility ran
}
KIND: Final = "observations/1"
LIMIT: Final = 64 << 10  # bytes
FIELDS: Final = 16  # of one factor
EARLIEST: Final = datetime(1990, 1, 1, tzinfo=UTC)
AHEAD: Final = timedelta(minutes=10)  # that a clock may be fast
CN: Final = {resolution: cn for cn, resolution in reversed(COMMANDS.items())}
VALUE: Final = dict.fromkeys(COMMANDS.values(), "Avg") | {"realtime": "Rtd"}

_NAME = re.compile(r"[\x21-\x7e]{1,40}")
_CODE = re.compile(r"[0-9A-Za-z_.]{1,24}")
_FIELD = re.compile(r"[A-Za-z0-9]{1,16}")


class EnvelopeError(ValueError):
    """What was given cannot be an observation; the text says what and why."""


def envelope(
    mn: str,
    st: str,
    resolution: str,
    time: datetime,
    items: Mapping[str, Mapping[str, str]],
    source: Mapping[str, Any],
) -> bytes:
    """The bytes for the journal. `items`: by factor code the fields (`Avg`, `Rtd`, `Flag` …) as text.

    `time` aware, the start of the period. Raises `EnvelopeError`.
    """
    if resolution not in CN:
        raise EnvelopeError(f"resolution {resolution!r}: wanted one of {', '.join(CN)}")
    for name, text in (("device number", mn), ("system type", st)):
        if not _NAME.fullmatch(text):
            raise EnvelopeError(f"{name} {text!r}: wanted 1 to 40 characters without spaces")
    if time.tzinfo is None:
        raise EnvelopeError(f"time {time}: without a time zone")
    try:
        local = time.astimezone(SHANGHAI)
    except OverflowError:
        raise EnvelopeError(f"time {time}: outside of what a calendar has") from None
    text = local.strftime("%Y%m%d%H%M%S").rjust(14, "0")
    if local.microsecond:
        text += f"{local.microsecond // 1000:03}"
    if not items:
        raise EnvelopeError("no value")
    for code, fields in items.items():
        if not _CODE.fullmatch(code):
            raise EnvelopeError(f"factor {code!r}: wanted a code such as a21026")
        if len(fields) > FIELDS:
            raise EnvelopeError(f"{code}: {len(fields)} fields: at most {FIELDS}")
        for field, value in fields.items():
            if field == "code":
                raise EnvelopeError(f"{code}: a field cannot be called code")
            if not _FIELD.fullmatch(field) or not isinstance(value, str) or len(value) > 80:
                raise EnvelopeError(f"{code}: {field} is no field of HJ 212 with a short text")
            if field not in ("Flag", "EFlag") and number(value) is None:
                raise EnvelopeError(f"{code}: {field} {value!r} is no decimal number")
    content = {
        "jingwei": KIND,
        "mn": mn,
        "st": st,
        "cn": CN[resolution],
        "time": text,
        "items": [{"code": code, **fields} for code, fields in sorted(items.items())],
        "source": dict(source),
    }
    try:
        data = canonical.dumps(content)
    except canonical.CanonicalError as error:
        raise EnvelopeError(str(error)) from None
    if len(data) > LIMIT:
        raise EnvelopeError(f"{len(data)} bytes of values for one time: at most {LIMIT}")
    return data


def check_time(time: datetime, now: datetime) -> None:
    """Raises `EnvelopeError` for a time that no observation of now or the past can have."""
    if not EARLIEST <= time <= now + AHEAD:
        try:
            text = f"{time.astimezone(SHANGHAI):%Y-%m-%d %H:%M}"
        except OverflowError:
            text = time.isoformat()
        raise EnvelopeError(f"{text} lies in the future, or before {EARLIEST:%Y}")


def is_envelope(raw: bytes) -> bool:
    return raw.startswith(b"{")


def message(raw: bytes) -> Message:
    """The envelope as a message; `ok` False with the reason where it is none. Never raises."""
    try:
        return _message(raw)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        return Message(False, f"no envelope: {error}", raw=raw)


def _message(raw: bytes) -> Message:
    if len(raw) > LIMIT:
        raise ValueError(f"{len(raw)} bytes")
    found = json.loads(raw)
    if not isinstance(found, dict) or found.get("jingwei") != KIND:
        raise ValueError(f"not of the kind {KIND}")
    texts = [found[name] for name in ("mn", "st", "cn", "time")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("mn, st, cn and time must be texts")
    mn, st, cn, time = texts
    if moment(time) is None or cn not in COMMANDS:
        raise ValueError(f"time {time[:40]!r} or cn {cn[:10]!r} cannot be")
    items = []
    for entry in found["items"]:
        fields = {str(k): v for k, v in entry.items() if k != "code"}
        if not isinstance(entry["code"], str) or not all(
            isinstance(v, str) for v in fields.values()
        ):
            raise ValueError("codes and values must be texts")
        items.append(Item(entry["code"], fields))
    return Message(
        True, None, "2017", st=st, cn=cn, mn=mn, data_time=time, items=tuple(items), raw=raw
    )


def described(raw: bytes) -> Sequence[tuple[str, str]]:
    """Where the observations came from, as (word, text), for people; empty where it is not said."""
    try:
        source = json.loads(raw)["source"]
        return [(str(k), str(v)) for k, v in sorted(source.items())]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []
