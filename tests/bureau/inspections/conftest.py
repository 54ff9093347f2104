"""A city with two districts, enterprises of all grades, a pool of inspectors."""

from __future__ import annotations

from datetime import UTC, date, datetime
from types import SimpleNamespace

import pytest

NOW = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)  # Friday, 10:00 in Beijing
SECRETS = {"企业协会": "11" * 32, "市司法局": "22" * 32, "市纪委监委": "33" * 32}


@pytest.fixture
def city(db, data) -> SimpleNamespace:
    import world as worlds
    from jingwei.bureau.accounts.models import User
    from jingwei.bureau.inspections.models import Grade, Inspector
    from jingwei.bureau.registry.models import Enterprise

    world = worlds.build()
    enterprises = [world.enterprise]
    for i in range(11):
        enterprises.append(
            Enterprise.objects.create(
                uscc=f"91110105MA0000{i:03}X",
                name=f"示例{i:02}厂",
                industry="chemicals" if i % 3 else "cement",
                region=world.elsewhere if i >= 8 else world.region,
                longitude=116.4,
                latitude=39.9,
                fictional=True,
            )
        )
    for i, enterprise in enumerate(enterprises[:10]):
        Grade.objects.create(
            enterprise=enterprise,
            credit="yellow" if i % 2 else "green",
            risk="key" if i < 6 else "general",
            source="示例评价",
            on=date(2026, 1, 1),
        )
    inspectors = []
    for i, (name, department) in enumerate(
        [("a", "d1"), ("b", "d1"), ("c", "g1"), ("d", "d2"), ("e", "d2")]
    ):
        user = User(
            username=f"inspector_{name}",
            role="grid" if department.startswith("g") else "district",
            department=world.departments[department],
            last_name="李",
            first_name=name,
        )
        user.set_unusable_password()
        user.save()
        inspectors.append(
            Inspector.objects.create(code=f"ZF{i:03}", user=user, certificate=f"示例{i}")
        )
    return SimpleNamespace(
        world=world,
        users=world.users,
        enterprises=enterprises,
        inspectors=inspectors,
        dispatcher=world.users["dispatcher"],
    )
