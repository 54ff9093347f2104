from __future__ import annotations

import pytest

from bureau.penalties import office


@pytest.fixture
def city(db, data):
    return office.build()
