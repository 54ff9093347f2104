"""Fixtures of the cases' tests."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bureau.cases.city import build


@pytest.fixture(autouse=True)
def _files(data):
    """Uploads go to a fresh folder."""


@pytest.fixture
def city(db) -> SimpleNamespace:
    return build()
