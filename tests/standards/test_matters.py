"""Matters of jurisdictions and the kinds of findings they hold."""

from __future__ import annotations

from jingwei.bureau.findings.models import Kind
from jingwei.standards import matters


def test_every_kind_in_the_table_is_a_kind_of_finding() -> None:
    for name, (zh, en, kinds) in matters.table().items():
        assert zh, name
        assert en, name
        assert kinds <= set(Kind.values), name
        assert name not in kinds or kinds == {name}


def test_a_kind_is_a_matter_of_its_own() -> None:
    assert matters.kinds("complaint") == {"complaint"}
    assert matters.kinds("urban") == {"bare_land", "fire"}
    assert set(matters.holding("fire")) == {"fire", "urban", "agriculture"}
    for kind in Kind.values:
        for matter in matters.holding(kind):
            assert kind in matters.kinds(matter)


def test_names() -> None:
    assert matters.name("water") == "水环境"
    assert matters.name("water", "en") == "Surface water"
    assert matters.name("patrol") == "patrol"


def test_by_what_an_effect_is_seen() -> None:
    assert matters.monitors(["industry"]) == ({"air", "water"}, frozenset())
    assert matters.monitors(["construction", "water"]) == ({"water"}, {"a34002", "a34004"})
    media, factors = matters.monitors([])
    assert media == {"air", "water"}
    assert {"a34002", "a34004", "a21004"} <= factors
