"""The checklists: whole, and what counts as a problem."""

from __future__ import annotations

import pytest

from jingwei.standards import checklists

NEEDED = {"thermal_power", "incineration", "sewage", "chemicals", "cement", "general"}


def test_every_item_is_whole() -> None:
    items = checklists.items()
    assert {item.industry for item in items.values()} == NEEDED
    for item in items.values():
        assert item.kind in ("check", "number")
        assert item.evidence in ("photo", "document", "")
        assert item.status in ("secondary", "memory")
        assert item.item
        assert item.item_en
        assert item.basis or item.kind == "number"
        if item.kind == "check":
            assert (item.unit, item.least, item.most) == ("", None, None)


@pytest.mark.parametrize("industry", sorted(NEEDED - {"general"}))
def test_each_industry_has_its_own_items_after_the_general_ones(industry: str) -> None:
    found = [item.industry for item in checklists.checklist(industry)]
    assert found.count("general") == 12
    assert found.count(industry) >= 6
    assert found == sorted(found, key=lambda name: name != "general")
    assert set(checklists.checklist("other")) == set(checklists.checklist("general"))


@pytest.mark.parametrize(
    ("code", "value", "accepted", "problem"),
    [
        ("G01", "yes", True, False),
        ("G01", "no", True, True),
        ("G01", "na", True, False),
        ("G01", "maybe", False, False),
        ("S06", "80", True, False),
        ("S06", "80.01", True, True),
        ("V03", "0.29", True, True),
        ("V03", "0.3", True, False),
        ("I02", "849.9", True, True),
        ("I02", "-1e3", False, False),
        ("I02", "nan", False, False),
        ("I02", "１", False, False),
        ("I02", "", False, False),
    ],
)
def test_answers(code: str, value: str, accepted: bool, problem: bool) -> None:
    item = checklists.items()[code]
    assert item.accepts(value) is accepted
    if accepted:
        assert item.problem(value) is problem


def test_the_edition_names_the_table() -> None:
    assert len(checklists.edition()) == 12
