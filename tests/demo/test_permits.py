"""Amounts, plans and triggers of the demo city rest on what its monitors sent."""

from datetime import UTC, datetime

import pytest

from jingwei.demo import city, loader, permits

NOW = datetime.now(UTC).replace(second=0, microsecond=0)

pytestmark = pytest.mark.django_db


def test_the_demo_has_something_to_look_at(data):
    from jingwei.bureau.monitoring.models import EmissionDay
    from jingwei.bureau.registry.models import (
        ManualResult,
        MonitoringPlan,
        PermitAmount,
        TriggerRule,
    )

    assert loader.load(lambda *_: None, city.Part(enterprises=1, stations=0, days=3), now=NOW)
    assert EmissionDay.objects.filter(kg__gt=0).exists()
    assert PermitAmount.objects.filter(period="year").count() >= 3
    assert MonitoringPlan.objects.filter(means="manual").exists()
    assert ManualResult.objects.exists() is (NOW.month > 3)
    assert set(TriggerRule.objects.filter(state="live").values_list("code", flat=True)) == {
        *permits.LIVE
    }
    before = PermitAmount.objects.count()
    permits.build(NOW)
    assert PermitAmount.objects.count() == before
