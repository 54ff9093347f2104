"""Coded causes and the measures that recurring ones propose."""

from __future__ import annotations

from jingwei.standards import causes


def test_every_cause_proposes_something_in_both_languages() -> None:
    assert len(causes.table()) >= 9
    for code, cause in causes.table().items():
        assert code == cause.code
        assert len(code) <= 16
        assert all(cause.name + cause.measure + cause.who), code
        assert 1 <= cause.least <= 5
        assert 7 <= cause.days <= 180


def test_names() -> None:
    assert causes.name("falsification") == "监测数据弄虚作假"
    assert causes.name("wear", "en-gb") == "Facility worn, broken or failed"
    assert causes.name("unknown") == "unknown"
