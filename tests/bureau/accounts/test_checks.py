"""What `jingwei fsck` says of substitutes and days that are not what the evidence log tells of."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import transaction

import world as worlds
from jingwei.bureau.accounts import checks
from jingwei.bureau.accounts.models import CalendarChange, Substitution
from jingwei.bureau.accounts.services import call_off, change_calendar, substitute
from jingwei.bureau.evidencelog.services import record

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)
MONDAY = date(2026, 11, 23)


@pytest.fixture
def row(db: None, data: object) -> Substitution:
    users = worlds.build().users
    change_calendar(
        users["admin"], MONDAY, MONDAY + timedelta(days=2), "rest",
        name="水灾停工", source="市政府公告〔2026〕9号", reason="停工", now=NOW,
    )  # fmt: skip
    absent, by = users["district"], users["district_elsewhere"]
    return substitute(absent, absent, by, MONDAY, MONDAY, "休假", NOW)


def test_what_was_told_is_found_right(row: Substitution) -> None:
    assert list(checks.check()) == []
    call_off(row.absent, row, NOW)
    assert list(checks.check()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reason": "出差"}, "absent or substitute or reason: not what was said"),
        ({"absent": "substitute"}, "absent or substitute or reason: not what was said"),
        ({"ends": MONDAY + timedelta(days=9)}, "it is from 2026-11-23 to 2026-12-02"),
        ({"ended": NOW}, "the evidence log does not tell when it was begun and called off"),
    ],
)
def test_a_changed_substitution(row: Substitution, change: dict, said: str) -> None:
    if "absent" in change:
        change = {"absent": row.substitute, "substitute": row.absent}
    Substitution.objects.update(**change)
    [problem] = checks.check()
    assert said in problem


@pytest.mark.parametrize(
    "change", [{"kind": "work"}, {"reason": "x"}, {"date": MONDAY + timedelta(days=9)}]
)
def test_a_changed_day(row: Substitution, change: dict) -> None:
    CalendarChange.objects.filter(date=MONDAY).update(**change)
    [problem] = checks.check()
    assert problem.startswith("calendar: the evidence log does not tell of 2026-1")


def test_persons_in_clear_of_before_they_were_salted(row: Substitution) -> None:
    old = Substitution.objects.create(
        absent=row.absent, substitute=row.substitute, begins=MONDAY, ends=MONDAY, reason="休假",
        made_by=row.absent,
    )  # fmt: skip
    content = {"act": "begun", "role": "district", "begins": MONDAY, "ends": MONDAY}
    content |= {"absent": row.absent_id, "substitute": row.substitute_id}
    with transaction.atomic():
        record("substitution", f"substitution:{old.pk}", content)
    assert list(checks.check()) == []
    Substitution.objects.filter(pk=old.pk).update(absent=row.substitute, substitute=row.absent)
    [problem] = checks.check()
    assert "but the evidence log says" in problem
