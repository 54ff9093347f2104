"""The penalties of the demo city: one closed and published, one under investigation, once each."""

from datetime import UTC, datetime, timedelta

import pytest

from jingwei.demo import cases, city, penalties

NOW = datetime.now(UTC).replace(second=0, microsecond=0)

pytestmark = pytest.mark.django_db


def test_penalties_of_closed_orders(data):
    from jingwei.bureau.cases.models import Case
    from jingwei.bureau.findings.services import notice
    from jingwei.bureau.monitoring.models import Exceedance
    from jingwei.bureau.penalties import checks
    from jingwei.bureau.registry.models import Enterprise, PermitLimit, Point

    city.build_organisation()
    city.build_registry(NOW, city.Part(enterprises=3, stations=0))
    began = NOW - timedelta(days=25)
    for enterprise in Enterprise.objects.all():
        point = Point.objects.filter(outlet__enterprise=enterprise)[0]
        limit = PermitLimit.objects.filter(outlet=point.outlet)[0]
        finding, _ = notice(
            kind="exceedance", episode=f"test-{enterprise.pk}", title=enterprise.name,
            region=enterprise.region, enterprise=enterprise, point=point,
            longitude=enterprise.longitude, latitude=enterprise.latitude, began=began, ended=began,
        )  # fmt: skip
        Exceedance.objects.create(
            point=point, factor=limit.factor, period="hour", time=began, value=75.5, unit=limit.unit,
            limit=limit, limit_value=50, multiple=0.51, finding=finding,
        )  # fmt: skip
    assert penalties.build(NOW) == 0  # there is no order yet
    cases.build(NOW)
    assert penalties.build(NOW) == 2
    rows = {c.state: c for c in Case.objects.filter(flow="penalty")}
    assert set(rows) == {"closed", "investigating"}
    assert rows["closed"].detail["published"]
    assert rows["closed"].parent.flow == "order"
    events = {c.pk: c.events.count() for c in Case.objects.all()}
    assert penalties.build(NOW) == 2  # again: nothing is done twice
    assert {c.pk: c.events.count() for c in Case.objects.all()} == events
    assert list(checks.check()) == []
