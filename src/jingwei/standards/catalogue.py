"""Every rule that the program applies, with the text it rests on, since when, and how sure.

The rules themselves stand where they are computed; this is the table of contents over their data:
`rules.csv` (validity, marks, substitution, incineration, anomalies), `rules_more.csv` (indices,
amounts, tax, presets), the triggers of supervision orders and the fines. Texts are versioned
(`texts.csv`): a rule holds for a day while its text does, and an ended text stays in the list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Final, Literal

from jingwei.standards import law, tables

Sure = Literal["full", "secondary", "memory", "preset"]

_SURE: Final[dict[str, Sure]] = {
    "full text": "full",
    "page image 67": "full",
    "page images 61-62": "full",
    "verified": "full",
    "memory": "memory",
    "preset": "preset",
}
GROUPS: Final = (
    "validity", "marks", "substitution", "incineration", "anomaly", "index", "amounts", "triggers", "law",
)  # fmt: skip
_GROUP: Final = (
    ("incineration marks", "marks"),
    ("incineration", "incineration"),
    ("marking", "marks"),
    ("start/stop", "marks"),
    ("validity", "validity"),
    ("formula", "validity"),
    ("transmission", "validity"),
    ("substitution", "substitution"),
    ("anomaly", "anomaly"),
    ("falsification", "anomaly"),
    ("index", "index"),
    ("tax", "amounts"),
    ("permitted amounts", "amounts"),
    ("law", "law"),
)


@dataclass(frozen=True, slots=True)
class Text:
    """A law, standard or notice. `since` None: not known, or no text that takes force (`kind`
    "practice", "preset"); `until` None: in force. `dates` and `content`: how the dates and the text
    are known. `told`: when the source that tells of a practice was published, where it says so."""

    id: str
    zh: str
    en: str
    kind: str
    since: date | None
    until: date | None
    rules: tuple[str, ...]
    dates: str
    content: str
    told: date | None

    def in_force(self, on: date) -> bool:
        return (self.since is None or self.since <= on) and (self.until is None or on <= self.until)


@dataclass(frozen=True, slots=True)
class Firing:
    """What is counted when a rule fires; where nothing is (`counted` false), why not."""

    counted: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One rule. `status` is how it is known in the table's own words, `sure` in one of four."""

    id: str
    group: str
    zh: str
    en: str
    parameters: str
    status: str
    sure: Sure
    source: str
    text: Text | None
    since: date | None
    until: date | None
    matter: str = ""  # what several versions of the law speak of

    def in_force(self, on: date) -> bool:
        return (self.since is None or self.since <= on) and (self.until is None or on <= self.until)


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None


@cache
def texts() -> tuple[Text, ...]:
    """All rows of `data/texts.csv`."""
    return tuple(
        Text(
            id=r["id"],
            zh=r["title_zh"],
            en=r["title_en"],
            kind=r["kind"],
            since=_day(r["in_force_from"]),
            until=_day(r["in_force_to"]),
            rules=tuple(r["rules"].split()),
            dates=r["dates"],
            content=r["content"],
            told=_day(r["told"]),
        )
        for r in tables.read("texts.csv")
    )


def text_of(rule: str) -> Text | None:
    """The text a rule rests on: the one that names the longest beginning of its id."""
    found = [(len(p), t) for t in texts() for p in t.rules if rule.startswith(p)]
    return max(found, key=lambda x: x[0])[1] if found else None


@cache
def _firing() -> dict[str, Firing]:
    return {
        r["rule"]: Firing(r["counted"] == "yes", r["zh"], r["en"])
        for r in tables.read("rules_fired.csv")
    }


def firing(rule: str) -> Firing:
    """What `data/rules_fired.csv` says of a rule: by its id, else by the longest beginning ("T-*").

    KeyError for a rule of which it says nothing.
    """
    table = _firing()
    if rule in table:
        return table[rule]
    found = [k for k in table if k.endswith("*") and rule.startswith(k[:-1])]
    if not found:
        raise KeyError(rule)
    return table[max(found, key=len)]


@cache
def entries() -> tuple[Entry, ...]:
    """All rules, by group and id as the tables have them."""
    rows = [*_written(), *_triggers(), *_fines()]
    return tuple(sorted(rows, key=lambda e: GROUPS.index(e.group)))


@cache
def entry(id: str) -> Entry:
    """The rule with that id; KeyError for an unknown one."""
    return {e.id: e for e in entries()}[id]


def _written() -> Iterable[Entry]:
    zh = {r["id"]: r["zh"] for r in tables.read("rules_zh.csv")}
    for r in [*tables.read("rules.csv"), *tables.read("rules_more.csv")]:
        text = text_of(r["id"])
        yield Entry(
            id=r["id"],
            group=next(group for start, group in _GROUP if r["topic"].startswith(start)),
            zh=zh[r["id"]],
            en=r["rule"],
            parameters=r["parameters"],
            status=r["status"],
            sure=_SURE.get(r["status"], "secondary"),
            source=r["source"],
            text=text,
            since=text.since if text else None,
            until=text.until if text else None,
        )


EVENTS: Final = {
    "incineration_unmarked": ("焚烧炉异常数据逾期未标记", "Abnormal data of a furnace not marked in time"),
    "hour_exceeded": ("小时均值超标", "Hourly mean over the limit"),
    "day_exceeded": ("日均值超标", "Daily mean over the limit"),
    "hour_missing": ("小时数据缺失", "Hourly data missing"),
    "maintenance_over": ("CEMS维护 时间超限", "Maintenance marks over the allowed hours"),
    "incineration_month_exceeded": ("焚烧炉一个自然月内超标满五天", "Fifth exceedance day of a furnace in a month"),
    "incineration_day_exceeded": ("焚烧炉日均值超标", "Daily mean of a furnace over the limit"),
    "amount_over": ("排放量超过许可排放量", "Emitted amount over the permitted one"),
    "transmission_low": ("日传输有效率不达标", "Transmission rate of a day below the required one"),
}  # fmt: skip
"""The events that triggers count, in Chinese and English."""


def _triggers() -> Iterable[Entry]:
    for r in tables.read("triggers.csv"):
        zh, en = EVENTS[r["event"]]
        n, hours, answer = r["count"], r["window_hours"], r["deadline_hours"]
        text = text_of(r["rule"])
        within = (f"，{hours} 小时内", f" within {hours} h") if float(hours) else ("", "")
        yield Entry(
            id=f"T-{r['rule']}",
            group="triggers",
            zh=f"督办触发：{zh} {n} 次{within[0]}，{answer} 小时内答复",
            en=f"Supervision order: {en}, {n} times{within[1]}; to be answered within {answer} h",
            parameters=f"{n}x; {hours} h; {answer} h",
            status=r["verified"],
            sure=_SURE.get(r["verified"], "secondary"),
            source=r["source"],
            text=text,
            since=text.since if text else None,
            until=text.until if text else None,
        )


def fine(p: law.Penalty) -> str:
    """The id of a fine in this catalogue."""
    return f"{p.rule}-{p.offence}-{p.who.replace(' ', '-')}@{p.since.isoformat()}"


def _fines() -> Iterable[Entry]:
    for p in law.penalties():
        yield Entry(
            id=fine(p),
            group="law",
            zh=f"{p.cite_zh}：{p.zh}，罚款 {p.lowest}–{p.highest} 元",
            en=f"{p.cite_en}: {p.en}; fine of {p.lowest} to {p.highest} yuan",
            parameters=f"{p.lowest}-{p.highest} CNY",
            status=p.verified,
            sure=_SURE.get(p.verified, "secondary"),
            source=p.source,
            text=None,
            since=p.since,
            until=p.until,
            matter=f"{p.offence}/{p.who}",
        )


def document() -> str:
    """`docs/validation/rules.md`: which rules do not rest on a text that was read in full."""
    heads = {
        "secondary": "From secondary sources (retellings, public code of regulators' platforms)",
        "memory": "From memory, checked against nothing or only by their results",
        "preset": "Presets of this program",
    }
    total = len(entries())
    full = sum(e.sure == "full" for e in entries())
    out = [
        "# Which rules rest on secondary sources",
        "",
        "Generated from the tables in `src/jingwei/standards/data` by",
        "`tests/standards/test_catalogue.py`; edit those, not this page.",
        "",
        f"Of {total} rules {full} rest on a text that was read in full; the others follow. What is",
        "kept as a table or a formula for reference, and asked for by nothing in the running system,",
        "stands in [compliance.md](compliance.md).",
    ]
    for sure, head in heads.items():
        rows = [e for e in entries() if e.sure == sure]
        out += ["", f"## {head} ({len(rows)})", "", "| rule | group | how known | source |", "|---|---|---|---|"]  # fmt: skip
        out += [f"| {_cell(e.id)} | {e.group} | {_cell(e.status)} | {_cell(e.source)} |" for e in rows]  # fmt: skip
    out += ["", "## Texts and their dates", "", "| text | 名称 | in force | dates | content |", "|---|---|---|---|---|"]  # fmt: skip
    out += [
        f"| {_cell(t.id)} | {_cell(t.zh)} | {_force(t)} | {t.dates} | {t.content} |"
        for t in texts()
    ]
    return "\n".join(out) + "\n"


def _force(t: Text) -> str:
    if t.since is None:
        return f"no text in force; told {t.told}" if t.told else "no text in force"
    return f"{t.since} – {t.until or ''}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
