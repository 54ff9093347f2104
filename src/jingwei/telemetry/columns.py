"""Many telegrams at once to columns: the decoder of ingest and rebuild.

A compiled kernel reads what almost every telegram is: real-time, minute, hour and day data in
plain ASCII exactly as HJ 212-2017 (and -2025 in clear, and most of 2005) prints it, with a right
check sum and plain decimal numbers. Whatever deviates in the least, it leaves to the plain decoder
(`observations`), telegram by telegram; so both say the same of every telegram, and the kernel
never judges. A number of at most 15 digits is an integer below 2**53 divided by a power of ten not
over 10**22: both exact in binary, so that the one rounding of the division gives the same double
as reading the text does (Clinger 1990, "How to read floating point numbers accurately").

The check sum is folded as in `hj212.crc`. Few telegrams at a time are not worth the compiled code,
which takes memory and seconds to load: a city's worker never loads it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from jingwei.hj212 import Message
from jingwei.telemetry.catalog import CHINA, DAY, partition
from jingwei.telemetry.observations import AHEAD, Keys, decode, observations
from jingwei.telemetry.parquet import SCHEMA

WORTH: Final = 500  # telegrams from which on the kernel is used
RESOLUTIONS: Final = ("realtime", "minute", "hour", "day")  # what the kernel reads, by CN

TELEGRAM: Final = pa.field("telegram", pa.int32())  # the index in the batch that a row came from


@dataclass(frozen=True, slots=True)
class Columns:
    """What a batch of telegrams says. `rows`: by resolution a table of the columns `lake.SCHEMA` and
    `TELEGRAM`, in no particular order; `odd`: (index of the telegram, kind of `PROBLEMS`, MN);
    `packets`: those of the telegrams with rows that are packets of a split one; `plain`: how many
    telegrams the kernel left to the plain decoder."""

    rows: dict[str, pa.Table]
    odd: list[tuple[int, str, str]]
    packets: dict[int, Message]
    plain: int


Integers = npt.NDArray[np.int64]


def read(
    raws: Sequence[bytes],
    received: Integers,
    seq: Integers,
    keys: Keys = lambda mn: (),
    *,
    worth: int = WORTH,
) -> Columns:
    """The rows of many telegrams: their bytes, times of reception (microseconds) and numbers.

    `keys` opens what came encrypted. Raises on nothing that a telegram may hold.
    """
    tables: dict[str, list[pa.Table]] = {}
    left: Sequence[int] = range(len(raws))
    if len(raws) >= worth:
        status, tables = _kernel(raws, received, seq)
        left = np.flatnonzero(status == 0).tolist()
    odd: list[tuple[int, str, str]] = []
    packets: dict[int, Message] = {}
    rows: dict[str, list[tuple[Any, ...]]] = {}
    for i in left:
        kinds: list[str] = []
        message = decode(raws[i], keys)
        resolution, some = observations(message, int(received[i]), int(seq[i]), kinds.append)
        if some:
            rows.setdefault(resolution, []).extend((*row, i) for row in some)
            if message.split:
                packets[i] = message
        odd += [(i, kind, message.mn or "") for kind in kinds]
    for resolution, some in rows.items():
        tables.setdefault(resolution, []).append(tabled(some))
    return Columns(
        {resolution: pa.concat_tables(some) for resolution, some in tables.items()},
        odd,
        packets,
        len(left),
    )


def tabled(rows: Sequence[tuple[Any, ...]]) -> pa.Table:
    """Rows of `observations`, each with the index of its telegram, as a table; at least one."""
    return pa.table(
        [
            pa.array(column, field.type)
            for column, field in zip(zip(*rows, strict=True), _WITH, strict=True)
        ],
        schema=_WITH,
    )


_WITH: Final = SCHEMA.append(TELEGRAM)


def _kernel(
    raws: Sequence[bytes], received: Integers, seq: Integers
) -> tuple[npt.NDArray[np.uint8], dict[str, list[pa.Table]]]:
    """Status by telegram (1: read, 0: left) and the rows of what was read."""
    from jingwei.telemetry import kernel  # compiled code: loaded where it is wanted

    n = len(raws)
    data = np.frombuffer(b"".join(raws), np.uint8)
    stop = np.cumsum(np.fromiter(map(len, raws), np.int64, n))
    start = np.concatenate((np.zeros(1, np.int64), stop[:-1]))
    room = len(data) // 8 + 1  # an item is at least "a-Rtd=1;"
    status, resolution = np.zeros(n, np.uint8), np.zeros(n, np.uint8)
    at = np.zeros(n, np.int64)
    mn, st = np.zeros((n, 24), np.uint8), np.zeros((n, 4), np.uint8)
    telegram = np.empty(room, np.int32)
    code, flag = np.empty(room, np.uint64), np.empty(room, np.uint64)
    values = np.empty((7, room), np.float64)
    count = kernel.scan(
        data, start, stop, received, kernel.TABLE, kernel.POWERS,
        status, resolution, at, mn, st, telegram, code, values, flag,
    )  # fmt: skip
    telegram, code, flag = telegram[:count], code[:count], flag[:count]
    mns, sts = _texts(mn), _texts(st)
    codes, flags = _words(code), _words(flag)
    tables = {}
    for number, name in enumerate(RESOLUTIONS):
        here = resolution[telegram] == number
        chosen = slice(None) if here.all() else np.flatnonzero(here)
        of = telegram[chosen]
        if len(of):
            tables[name] = [
                pa.table(
                    [
                        mns.take(pa.array(of)).dictionary_decode(),
                        sts.take(pa.array(of)).dictionary_decode(),
                        codes.take(pa.array(np.arange(count)[chosen])).dictionary_decode(),
                        pa.array(at[of], SCHEMA.field("time").type),
                        *(pa.array(column[:count][chosen], from_pandas=True) for column in values),
                        flags.take(pa.array(np.arange(count)[chosen])).dictionary_decode(),
                        pa.array(received[of], SCHEMA.field("received").type),
                        pa.array(seq[of]),
                        pa.array(of),
                    ],
                    schema=_WITH,
                )
            ]
    return status, tables


def _texts(padded: npt.NDArray[np.uint8]) -> Any:
    """Texts padded with zero bytes, one a row, as a dictionary array."""
    width = padded.shape[1]
    array = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(width), len(padded), [None, pa.py_buffer(padded)]
    ).dictionary_encode()
    names = [name.rstrip(b"\0").decode("ascii") for name in array.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(array.indices, pa.array(names, pa.string()))


def _words(words: npt.NDArray[np.uint64]) -> Any:
    """Words of up to eight characters, the first in the highest byte, as texts; null for none."""
    array = pa.array(words).dictionary_encode()
    names = [
        word.to_bytes(8, "big").rstrip(b"\0").decode("ascii") or None
        for word in array.dictionary.to_pylist()
    ]
    return pa.DictionaryArray.from_arrays(array.indices, pa.array(names, pa.string()))


# --- what ingest does with them -------------------------------------------------------------------


def without(table: pa.Table, telegrams: Collection[int]) -> pa.Table:
    """The rows that are of none of these telegrams."""
    if not telegrams:
        return table
    return table.filter(
        pc.invert(pc.is_in(table["telegram"], pa.array(sorted(telegrams), pa.int32())))
    )


def senders(tables: Iterable[pa.Table], telegrams: Collection[int]) -> dict[int, str]:
    """The MN of each of these telegrams, where they have rows."""
    found: dict[int, str] = {}
    if telegrams:
        wanted = pa.array(sorted(telegrams), pa.int32())
        for table in tables:
            some = table.filter(pc.is_in(table["telegram"], wanted))
            found |= dict(zip(some["telegram"].to_pylist(), some["mn"].to_pylist(), strict=True))
    return found


def partitions(table: pa.Table, resolution: str) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each partition of the lake."""
    times = _integers(table, "time")
    days = (times + CHINA) // DAY
    for day in np.unique(days).tolist() if resolution != "day" else ():
        here = days == day
        yield (
            partition(resolution, day * DAY - CHINA),
            table if here.all() else table.filter(pa.array(here)),
        )
    if resolution == "day":
        names = np.array([partition(resolution, time) for time in times.tolist()])
        for name in np.unique(names).tolist():
            yield name, table.filter(pa.array(names == name))


def arranged(table: pa.Table) -> pa.Table:
    """The rows in the order of the lake: mn, st, factor, time, received, seq."""
    keys = [_integers(table, name) for name in ("seq", "received", "time")]
    keys += [_ranks(table, name) for name in ("factor", "st", "mn")]
    return table.take(pa.array(np.lexsort(keys))).select(SCHEMA.names)


def newest(table: pa.Table, resolution: str) -> Iterator[tuple[Any, ...]]:
    """The newest observation of every factor in an arranged table, as rows of `latest`.

    Observations with a time ahead of their reception do not count.
    """
    ahead = _integers(table, "time") > _integers(table, "received") + AHEAD
    if ahead.any():
        table = table.filter(pa.array(~ahead))
    if not table.num_rows:
        return
    last = np.append(_changes(table, ("mn", "st", "factor")), True)
    chosen = table.filter(pa.array(last))
    columns = {name: chosen[name] for name in ("mn", "st", "factor", "value", "zs", "flag", "seq")}
    for name in ("time", "received"):
        columns[name] = pa.array(_integers(chosen, name))
    order = ("mn", "st", "factor", "time", "value", "zs", "flag", "received", "seq")
    for mn, st, factor, *rest in zip(*(columns[name].to_pylist() for name in order), strict=True):
        yield (mn, st, factor, resolution, *rest)


def touched(table: pa.Table) -> list[tuple[str, str, int]]:
    """(mn, st, time in microseconds) of every observation in an arranged table, each once."""
    mns, sts = table["mn"].combine_chunks().dictionary_encode(), table["st"].to_pylist()
    names = mns.dictionary.to_pylist()
    keys = {
        (mn, st, time)
        for mn, st, time in zip(
            mns.indices.to_pylist(), sts, _integers(table, "time").tolist(), strict=True
        )
    }
    return sorted((names[mn], st, time) for mn, st, time in keys)


def _integers(table: pa.Table, name: str) -> Integers:
    return cast(Integers, table[name].combine_chunks().cast(pa.int64()).to_numpy())


def _ranks(table: pa.Table, name: str) -> Integers:
    """For each row the place of its text among the texts of the column."""
    encoded = table[name].combine_chunks().dictionary_encode()
    names = encoded.dictionary.to_pylist()
    rank = np.empty(len(names), np.int64)
    rank[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return cast(Integers, rank[encoded.indices.to_numpy()])


def _changes(table: pa.Table, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Between which neighbouring rows one of the columns changes (one fewer than rows)."""
    found = np.zeros(table.num_rows - 1, bool)
    for name in names:
        indices = table[name].combine_chunks().dictionary_encode().indices.to_numpy()
        found |= indices[1:] != indices[:-1]
    return found
