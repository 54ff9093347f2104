"""`jingwei fsck` finds what permits, plans and results say other than the evidence log was told."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from jingwei.bureau.access import Role
from jingwei.bureau.registry import changes, checks, selfmonitoring, triggers
from jingwei.bureau.registry.lines import WHOLE, Line
from jingwei.bureau.registry.models import (
    ManualResult,
    MonitoringPlan,
    PermitAmount,
    PermitLimit,
    PermitVersion,
    TriggerRule,
)

pytestmark = pytest.mark.django_db
DAY = date(2026, 1, 1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def told(city):
    """A permit with a version that permits an amount, a line of the plan and a result."""
    user, permit = city.users[Role.DISPATCHER], city.permit
    lines = [changes.line_of(r) for r in changes.rows_on(permit, DAY)]
    amount = Line(WHOLE, "a21002", "year", Decimal(20), "t", source="许可证", verified="verified")
    change = changes.Change("changed", permit.number, permit.category, permit.valid_from,
                            permit.valid_to, DAY, "", [*lines, amount])  # fmt: skip
    changes.apply(user, permit.enterprise, permit, change)
    outlet = city.stack
    selfmonitoring.add_line(user, permit=permit, outlet=outlet, factor="a20057", means="manual",
                            times=1, every="quarter", source="许可证", valid_from=DAY)  # fmt: skip
    selfmonitoring.enter(user, outlet, factor="a20057", value=Decimal("0.01"), unit="mg/m³",
                         report="1号", sampled=date(2026, 3, 1), reported=date(2026, 3, 5))  # fmt: skip
    return city


def test_nothing_is_said_of_what_was_told(told):
    assert list(checks.check()) == []


@pytest.mark.parametrize(
    ("model", "values", "word"),
    [
        (PermitAmount, {"value": Decimal(200)}, "'200'"),
        (PermitLimit, {"value": Decimal(999)}, "'999'"),
        (MonitoringPlan, {"times": 2}, "times is 2"),
        (ManualResult, {"value": Decimal("0.001")}, "value is 0.001"),
        (ManualResult, {"evidence": None}, "no entry"),
    ],
)
def test_what_was_rewritten_is_found(told, model, values, word):
    assert PermitVersion.objects.exclude(evidence=None).exists()
    row = model.objects.order_by("pk").first()
    model.objects.filter(pk=row.pk).update(**values)
    assert any(word in sentence for sentence in checks.check()), list(checks.check())


def test_a_row_that_was_added_or_taken_away_is_found(told):
    MonitoringPlan.objects.all().delete()
    PermitAmount.objects.all().delete()
    found = " ".join(checks.check())
    assert "is not there" in found
    assert "which is not there" in found


def test_a_trigger_rule_is_as_it_was_told(told):
    user = told.users[Role.DISPATCHER]
    values = {name: getattr(triggers.presets()["A18-7"], name) for name in triggers.FIELDS}
    first = triggers.draft(user, "A18-7", note="采用预设", **values)
    trial = {"since": NOW, "until": NOW, "orders": 0, "enterprises": 0}
    triggers.tried(user, first, **trial)
    triggers.go_live(user, first)
    second = triggers.draft(user, "A18-7", note="改为五次", **(values | {"count": 5}))
    assert list(checks.check()) == []
    second = triggers.tried(user, second, **trial)
    triggers.go_live(user, second)  # the first ends without an entry of its own
    assert list(checks.check()) == []
    TriggerRule.objects.filter(pk=second.pk).update(simulation={})
    [problem] = checks.check()
    assert problem.startswith("Trigger A18-7, version 2 is live, but was not tried")
    TriggerRule.objects.filter(pk=second.pk).update(simulation=second.simulation)
    triggers.end(user, "A18-7", "停用")
    assert list(checks.check()) == []
    for change, said in (
        ({"count": 1}, "count is 1, but the evidence log says 5."),
        ({"note": "停 用"}, "note: not what was said"),
        ({"state": "live"}, "act is live, but the evidence log says ended."),
    ):
        rows = TriggerRule.objects.filter(pk=second.pk)
        before = rows.values(*change).get()
        rows.update(**change)
        [problem] = checks.check()
        assert problem.startswith("Trigger A18-7, version 2: ")
        assert said in problem
        rows.update(**before)
