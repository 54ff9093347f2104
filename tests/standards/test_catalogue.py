"""The catalogue of rules: complete, in both languages, each with its text; the page from it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from jingwei.analysis import compliance, validity
from jingwei.bureau.monitoring import gas, verdicts
from jingwei.standards import catalogue, rules, tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "validation" / "rules.md"


def test_every_rule_is_there_once_and_in_chinese():
    ids = [e.id for e in catalogue.entries()]
    assert len(ids) == len(set(ids))
    assert {r.id for r in rules.rows()} <= set(ids)
    for e in catalogue.entries():
        assert any("\u4e00" <= c <= "\u9fff" for c in e.zh), e.id
        assert e.en, e.id
        assert e.source, e.id
        assert e.sure in ("full", "secondary", "memory", "preset")


def test_full_means_read_in_full():
    for r in rules.rows():
        if r.full_text:
            assert catalogue.entry(r.id).sure == "full"
    assert catalogue.entry("S-356").sure == "secondary"
    assert catalogue.entry("V-conflict").sure == "secondary"
    assert catalogue.entry("T-P-1").sure == "preset"
    assert catalogue.entry("IX-663").sure == "memory"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("O10-6", "MEE Order 10"),
        ("M19-4.1-烘炉", "Announcement 2019-50"),
        ("S-75-2007", "HJ/T 75-2007"),
        ("S-75-oc90", "HJ 75-2017"),
        ("V-air-min", "HJ 212-2017"),
        ("V-air-month", "HJ 76-2017"),
        ("IX-AQI-2026", "HJ 633-2026"),
    ],
)
def test_a_rule_names_its_text(rule, text):
    assert catalogue.entry(rule).text.id == text


def test_every_rule_of_the_tables_has_a_text():
    assert [e.id for e in catalogue.entries() if e.text is None and e.group != "law"] == []


def test_last_years_text_stays():
    """A value of February 2026 is judged by HJ 633-2012, one of March by HJ 633-2026."""
    for day, holds in ((date(2026, 2, 28), "2012"), (date(2026, 3, 1), "2026")):
        found = [e.id for e in catalogue.entries() if e.id.startswith("IX-AQI") and e.in_force(day)]
        assert found == [f"IX-AQI-{holds}"]
    assert not catalogue.entry("S-75-2007").in_force(date(2020, 1, 1))
    assert not catalogue.entry("R820-26").in_force(date(2025, 12, 31))


def test_the_page_is_generated():
    """To renew it: python -c "from jingwei.standards import catalogue; print(catalogue.document(), end='')" """
    assert PAGE.read_text("utf-8") == catalogue.document()


def _shown() -> set[str]:
    """What pages show of the tables beside the rules, and what steps of a value rest on."""
    found = {r[k] for r in tables.read("limits.csv") for k in ("scope", "note", "source")}
    found |= {r["note"] for r in tables.read("start_stop.csv")}
    for e in catalogue.entries():
        found |= {e.status, e.source} | (set() if e.group == "law" else {e.parameters})
    levels = [x.source for x in vars(validity).values() if isinstance(x, validity.Level)]
    steps = [
        *levels, *verdicts.SOURCES.values(), verdicts.SOURCE_RATE, verdicts.SOURCE_SAMPLE,
        verdicts.SOURCE_EXEMPT, *compliance.SOURCES,
    ]  # fmt: skip
    found |= {part for step in steps for part in step.split("; ")}
    state = {"value": 60.0, "state": "stack_wet", "t": 127.0, "ba": 1e5, "ps": 0.0, "xsw": 16.0}
    found |= {gas.SOURCE_NOX, gas.SOURCE_BASIS, *(s.source for s in gas.formulas_of(state))}
    return (found | {"own method"}) - {""}


def test_notes_scopes_sources_and_parameters_are_there_in_chinese():
    words = {r["en"]: r["zh"] for r in tables.read("words_zh.csv")}
    shown = _shown()
    # A word of English is one of letters alone; names of files and codes have a / or a digit.
    wanted = {
        text for text in shown if re.search(r"\b[a-z]{3,}\b", re.sub(r"\S*[/\d.]\S*", " ", text))
    }
    assert wanted - set(words) == set()
    assert set(words) - shown == set()
    assert all(re.search(r"[\u4e00-\u9fff]|℃|≥|≤|–", zh) for zh in words.values())
