"""Official data whose licence forbids copying: tests that need them are skipped where they are not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data: JINGWEI_TEST_SHARED, or `shared` beside the checkout."""
    told = os.environ.get("JINGWEI_TEST_SHARED")
    path = Path(told) if told else Path(__file__).resolve().parents[3] / "shared"
    if not (path / "data").is_dir():
        pytest.skip("no shared data (set JINGWEI_TEST_SHARED)")
    return path
