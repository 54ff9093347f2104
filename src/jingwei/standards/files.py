"""AQI, water class and discharge reports in CSV files: reading, judging in chunks, writing, counting.

Columns are those of the official feeds. Every row of the input comes out as it was written, in its
order, with the new columns behind; a row that cannot be judged has them empty, and its reason is
counted.
"""

from __future__ import annotations

import codecs
import csv
import io
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np

from jingwei.standards import aqi, dmr, water

CHUNK = 20_000
NONE = "—"  # how the feed writes "no primary pollutant"


class FileError(ValueError):
    """A file cannot be used; the text says which, where and what is wanted."""


@dataclass
class Outcome:
    """What was done. `agree` counts, where the file has the official result, rows by
    (both there and equal); `different` the numbers of the rows that are not equal (first is 1).
    """

    rows: int = 0
    judged: int = 0
    empty: Counter[str] = field(default_factory=Counter)
    compared: int = 0
    agree: int = 0
    different: list[int] = field(default_factory=list)


def _encoding(path: Path) -> str:
    """UTF-8 where the file is, else GB 18030, which Chinese spreadsheets write."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as f:
        try:
            while block := f.read(1 << 20):
                decoder.decode(block)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return "gb18030"
    return "utf-8-sig"


@dataclass(frozen=True)
class AqiColumns:
    """Which column holds which item; `time` the local time of the value."""

    items: dict[str, str]
    time: str


def aqi_columns(feed: str | None, period: aqi.Period) -> AqiColumns:
    """The columns of a file. `feed="cnemc"`: its two ozone columns are swapped, so that the
    1-hour ozone stands in `o3_24h`. Raises FileError for an unknown feed.
    """
    if feed not in (None, "cnemc"):
        raise FileError(f"feed {feed!r}: wanted cnemc, or none")
    hour_ozone, day_ozone = ("o3_24h", "o3") if feed == "cnemc" else ("o3", "o3_24h")
    plain = {"pm25": "pm2_5", "pm10": "pm10", "so2": "so2", "no2": "no2", "co": "co"}
    if period == "hour":
        return AqiColumns({**plain, "o3": hour_ozone, "so2_24h": "so2_24h"}, "timepoint")
    day = {k: f"{v}_24h" for k, v in plain.items()}
    return AqiColumns({**day, "o3_8h": "o3_8h_24h", "o3": day_ozone}, "timepoint")


# The columns that only help out above 800 µg/m³ may be absent.
_HELPERS = {"hour": {"so2_24h"}, "day": {"o3"}}


def number(text: str) -> float:
    """A cell as a number; NaN for an empty one or any sign of a missing value."""
    try:
        return float("nan" if "_" in text else text)
    except ValueError:
        return float("nan")


def judge_aqi(
    source: Path,
    target: Path,
    *,
    feed: str | None = None,
    edition: str = "auto",
    period: aqi.Period = "hour",
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Add `jw_aqi`, `jw_class`, `jw_primary` to a file of hours or days.

    `edition`: "2012", "2026", or "auto": by the date of the row. Where the file has `aqi`,
    `quality` and `primarypollutant`, complete rows are compared with them.
    """
    if edition not in ("auto", "2012", "2026"):
        raise FileError(f"edition {edition!r}: wanted auto, 2012 or 2026")
    columns = aqi_columns(feed, period)
    items = aqi.HOURLY if period == "hour" else aqi.DAILY
    wanted = [c for k, c in columns.items.items() if k not in _HELPERS[period]]
    if edition == "auto":
        wanted.append(columns.time)
    outcome = Outcome()

    def judge(header: dict[str, int], rows: Sequence[list[str]]) -> list[list[str]]:
        values = {
            key: np.array([number(row[header[name]]) for row in rows])
            for key, name in columns.items.items()
            if name in header
        }
        editions = [
            edition if edition != "auto" else _edition(row[header[columns.time]]) for row in rows
        ]
        added: list[list[str]] = [["", "", ""] for _ in rows]
        for text in ("2012", "2026"):
            where = np.array([i for i, e in enumerate(editions) if e == text], dtype=np.intp)
            if not len(where):
                continue
            found = aqi.index_array({k: v[where] for k, v in values.items()}, text, period)
            for j, i in enumerate(where):
                lacking = [k for k in items if found.missing[k][j]]
                if found.value[j] < 0:
                    outcome.empty["missing " + ", ".join(lacking)] += 1
                    continue
                primary = [aqi.ITEMS[k].zh for k in items if found.primary[k][j]]
                added[i] = [
                    str(found.value[j]),
                    aqi.LEVELS[found.level[j] - 1].zh,
                    ",".join(primary) or NONE,
                ]
                outcome.judged += 1
                if not lacking:
                    _compare(outcome, header, rows[i], added[i], outcome.rows + int(i) + 1)
        outcome.empty["unreadable " + columns.time] += sum(e == "" for e in editions)
        outcome.rows += len(rows)
        return added

    _run(source, target, wanted, ["jw_aqi", "jw_class", "jw_primary"], judge, progress)
    outcome.empty = +outcome.empty
    outcome.different.sort()
    return outcome


def _edition(text: str) -> str:
    try:
        return aqi.edition(datetime.fromisoformat(text.strip().replace("/", "-")))
    except ValueError:
        return ""


def _pollutants(text: str) -> frozenset[str]:
    """The primary pollutants of a cell; the feed has several signs for none."""
    return frozenset(p for p in text.split(",") if p.strip("—-; "))


def _compare(
    outcome: Outcome, header: dict[str, int], row: list[str], ours: list[str], line: int
) -> None:
    official = ("aqi", "quality", "primarypollutant")
    if not all(c in header for c in official):
        return
    value, quality, primary = (row[header[c]].strip() for c in official)
    if not value.isdigit():
        return
    outcome.compared += 1
    same = (
        int(value) == int(ours[0])
        and quality == ours[1]
        and _pollutants(primary) == _pollutants(ours[2])
    )
    outcome.agree += same
    if not same:
        outcome.different.append(line)


WATER_COLUMNS = {
    "ph": "pH(无量纲)",
    "do": "溶解氧(mg/L)",
    "codmn": "高锰酸盐指数(mg/L)",
    "nh3n": "氨氮(mg/L)",
    "tp": "总磷(mg/L)",
}
WATER_NAME = "断面名称"
WATER_OFFICIAL = "水质类别"
NO_CLASS = "--"  # how the feed writes "no class"


@dataclass(frozen=True)
class Disagreement:
    """A row whose official class is another than the one computed here."""

    line: int
    name: str
    official: str
    ours: str
    levels: str
    reason: str


def judge_water(
    source: Path,
    target: Path,
    *,
    lakes: frozenset[str] = frozenset(),
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Outcome, list[Disagreement]]:
    """Add `jw_class` to a file of surface-water stations.

    A section is judged as a lake where its name is in `lakes` or says so itself
    (`water.stands_in_lake`). Where the file has `水质类别`, the classes are compared.
    """
    outcome = Outcome()
    different: list[Disagreement] = []

    def judge(header: dict[str, int], rows: Sequence[list[str]]) -> list[list[str]]:
        added = []
        for i, row in enumerate(rows, outcome.rows + 1):
            name = row[header[WATER_NAME]].strip()
            lake = name in lakes or water.stands_in_lake(name)
            values = {k: number(row[header[c]]) for k, c in WATER_COLUMNS.items()}
            ours = water.classify(values, lake=lake)
            added.append([ours.roman or NO_CLASS])
            if ours.level is None:
                outcome.empty["no value"] += 1
            else:
                outcome.judged += 1
            official = row[header[WATER_OFFICIAL]].strip() if WATER_OFFICIAL in header else ""
            if official not in water.ROMAN or ours.level is None:
                continue
            outcome.compared += 1
            if official == ours.roman:
                outcome.agree += 1
                continue
            outcome.different.append(i)
            different.append(
                Disagreement(
                    line=i,
                    name=name,
                    official=official,
                    ours=ours.roman,
                    levels=" ".join(f"{k} {water.ROMAN[v - 1]}" for k, v in ours.levels.items()),
                    reason=_explain(values, official, lake),
                )
            )
        outcome.rows += len(rows)
        return added

    wanted = [WATER_NAME, *WATER_COLUMNS.values()]
    _run(source, target, wanted, ["jw_class"], judge, progress)
    return outcome, different


def _explain(values: dict[str, float], official: str, lake: bool) -> str:
    """Why the official class is another, as far as the row itself can say."""
    if water.classify(values, lake=not lake).roman == official:
        if lake:
            return "the official class follows from the phosphorus limits of rivers, though the name says lake"
        return "the official class follows from the phosphorus limits of lakes; the name does not say lake"
    want = water.ROMAN.index(official) + 1
    for key, value in values.items():
        if not np.isfinite(value):
            continue
        item = water.items()[key]
        limits = item.lake if lake and item.lake else item.limits
        if value in limits:
            # One step beyond the limit gives the official class: the printed value is rounded.
            step = value * 1e-6 * (-1 if item.kind == "min" else 1)
            if water.classify({**values, key: value + step}, lake=lake).level == want:
                return (
                    f"{key} {value:g} is printed on a limit;"
                    " the official class follows from the value before rounding"
                )
    if any(not np.isfinite(v) for v in values.values()):
        return "the official class rests on an item that the file does not show"
    return "not explained by the values in the file"


def judge_dmr(
    source: Path,
    target: Path,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Outcome:
    """Add `jw_violation` (E90 or empty) and `jw_exceedance_pct` to an ECHO effluent chart.

    Column names in any case. Where the file has `violation_code`, the verdicts are compared (and
    the percentages, where it has `exceedence_pct`, as EPA spells it).
    """
    outcome = Outcome()

    def judge(header: dict[str, int], rows: Sequence[list[str]]) -> list[list[str]]:
        added = []
        used = {c: header[c] for c in (*dmr.REQUIRED, *_DMR_MORE) if c in header}
        for i, row in enumerate(rows, outcome.rows + 1):
            ours = dmr.judge({c: row[at] for c, at in used.items()})
            pct = "" if ours.percentage is None else str(ours.percentage)
            added.append([ours.code, pct])
            if ours.reason in (dmr.Reason.EXCEEDED, dmr.Reason.WITHIN):
                outcome.judged += 1
            else:
                outcome.empty[ours.reason.value] += 1
            if "violation_code" not in header:
                continue
            official = row[header["violation_code"]].strip() == dmr.E90
            said = row[header["exceedence_pct"]].strip(" %") if "exceedence_pct" in header else ""
            outcome.compared += 1
            if official == bool(ours.code) and (not (official and said) or said == pct):
                outcome.agree += 1
            else:
                outcome.different.append(i)
        outcome.rows += len(rows)
        return added

    columns = ["jw_violation", "jw_exceedance_pct"]
    _run(source, target, list(dmr.REQUIRED), columns, judge, progress, fold=True)
    return outcome


_DMR_MORE = ("limit_type_code", "stay_type_code", "stay_value_nmbr")


def _run(
    source: Path,
    target: Path,
    wanted: list[str],
    added: list[str],
    judge: Callable[[dict[str, int], Sequence[list[str]]], list[list[str]]],
    progress: Callable[[int, int], None],
    *,
    fold: bool = False,
) -> None:
    """Read `source` in chunks, let `judge` add cells, write `target` at once when all is done.

    `fold`: column names count in any case, `judge` gets them in lower case. The text of a row is
    kept as it is, quotes and all, unless the columns to add are already there and must go.
    """
    if not source.is_file():
        raise FileError(f"{source}: no such file")
    if target.exists() and source.samefile(target):
        raise FileError(f"{target}: is the input; give another file to --out")
    if not target.parent.is_dir():
        raise FileError(f"{target.parent}: no such folder")
    encoding = _encoding(source)
    total = source.stat().st_size
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")
    temporary = Path(name)
    try:
        with (
            source.open("rb") as raw,
            io.TextIOWrapper(raw, encoding=encoding, newline="") as given,
            os.fdopen(handle, "w", encoding="utf-8", newline="") as out,
        ):
            lines: list[str] = []  # those of the row being read

            def remembered() -> Iterator[str]:
                for line in given:
                    lines.append(line)
                    yield line

            reader = csv.reader(remembered())

            def text() -> tuple[str, str]:
                """The last row as it was written, and its line end."""
                whole = "".join(lines)
                lines.clear()
                bare = whole.rstrip("\r\n")
                return bare, whole[len(bare) :] or "\n"

            try:
                first = next(reader, [])
                header = [c.strip().lower() if fold else c.strip() for c in first]
                _check_header(source, header, wanted)
                keep = [i for i, c in enumerate(header) if c not in added]
                verbatim = len(keep) == len(header)
                index = {c: i for i, c in enumerate(header)}
                writer = csv.writer(out, lineterminator="\n")

                def write(row: list[str], cells: list[str], written: tuple[str, str]) -> None:
                    if verbatim:
                        out.write(f"{written[0]},")
                        csv.writer(out, lineterminator=written[1]).writerow(cells)
                    else:
                        writer.writerow([row[i] for i in keep] + cells)

                write([c.strip() for c in first], added, text())
                done = False
                while not done:
                    chunk: list[list[str]] = []
                    texts: list[tuple[str, str]] = []
                    while len(chunk) < CHUNK:
                        row = next(reader, None)
                        if row is None:
                            done = True
                            break
                        if not row:
                            lines.clear()
                            continue
                        if len(row) != len(header):
                            raise FileError(
                                f"{source}, line {reader.line_num}: {len(row)} cells,"
                                f" but the header has {len(header)}"
                            )
                        chunk.append(row)
                        texts.append(text())
                    for row, cells, as_was in zip(chunk, judge(index, chunk), texts, strict=True):
                        write(row, cells, as_was)
                    progress(total if done else raw.tell(), total)
            except UnicodeDecodeError as error:
                raise FileError(f"{source}: is neither UTF-8 nor GB 18030 text") from error
            except csv.Error as error:
                raise FileError(f"{source}, line {reader.line_num}: {error}") from error
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _check_header(source: Path, header: list[str], wanted: list[str]) -> None:
    if not header:
        raise FileError(f"{source}: is empty; wanted a CSV file with the columns {_list(wanted)}")
    twice = [c for c, n in Counter(header).items() if n > 1]
    if twice:
        raise FileError(f"{source}: has the column {_list(twice)} more than once")
    missing = [c for c in wanted if c not in header]
    if missing:
        raise FileError(f"{source}: lacks the column {_list(missing)} (it has {_list(header)})")


def _list(names: list[str]) -> str:
    return ", ".join(names)
