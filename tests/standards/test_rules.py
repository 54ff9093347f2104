"""Every rule whose text was read in full has a test that is named after it."""

from __future__ import annotations

import re
from pathlib import Path

from jingwei.standards import rules

TESTS = Path(__file__).resolve().parents[1]


def test_every_full_text_rule_has_a_test_of_its_name():
    names = set()
    for folder in ("standards", "analysis"):
        for file in (TESTS / folder).rglob("test_*.py"):
            names |= set(re.findall(r"^def (test_\w+)\(", file.read_text("utf-8"), re.MULTILINE))
    wanted = {r.id: "test_" + re.sub(r"\W", "_", r.id) for r in rules.rows() if r.full_text}
    assert len(wanted) > 40
    assert {id: name for id, name in wanted.items() if name not in names} == {}


def test_ids_are_unique_and_known_statuses():
    rows = rules.rows()
    assert len({r.id for r in rows}) == len(rows)
    assert {r.status for r in rows if r.full_text} == {"full text"}
    assert rules.rule("O10-7").topic == "incineration"
