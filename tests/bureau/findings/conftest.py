"""Fixtures of the findings' tests: the small city of the cases' tests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bureau.cases.city import build


@pytest.fixture
def city(db) -> SimpleNamespace:
    return build()
