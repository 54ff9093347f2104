"""Every rule whose text was read in full has a test that is named after it."""

from __future__ import annotations

import re
from pathlib import Path

from jingwei.standards import rules

TESTS = Path(__file__).resolve().parents[1]

RUNNING = (
    *("O10-6", "O10-8", "PEN-mark", "V-air-min", "V-water", "V-flag-air", "V-flag-water"),
    *("M22-3", "M22-4", "M22-5", "M22-6", "M22-8"),
)
"""Rules of which the formula alone says little: what counts is that the system follows them."""


def names(*folders: str) -> set[str]:
    found = set()
    for folder in folders:
        for file in (TESTS / folder).rglob("test_*.py"):
            found |= set(re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE))
    return found


def test_every_full_text_rule_has_a_test_of_its_name():
    there = names("standards", "analysis", "bureau/monitoring")
    wanted = {r.id: "test_" + re.sub(r"\W", "_", r.id) for r in rules.rows() if r.full_text}
    assert len(wanted) > 40
    assert {id: name for id, name in wanted.items() if name not in there} == {}


def test_rules_that_the_system_must_follow_are_tested_in_the_system():
    assert {r.id for r in rules.rows() if r.full_text} >= set(RUNNING)
    there = names("bureau/monitoring")
    assert [id for id in RUNNING if "test_" + re.sub(r"\W", "_", id) not in there] == []


def test_ids_are_unique_and_known_statuses():
    rows = rules.rows()
    assert len({r.id for r in rows}) == len(rows)
    assert {r.status for r in rows if r.full_text} == {"full text"}
    assert rules.rule("O10-7").topic == "incineration"
