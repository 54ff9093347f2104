"""The tests of everything that stands on the database again, on PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SERVER = os.environ.get("JINGWEI_TEST_POSTGRES", "")
PLACES = [
    *sorted(
        f"bureau/{p.name}" for p in (ROOT / "tests/bureau").iterdir() if any(p.glob("test_*.py"))
    ),
    "demo",
    "service/test_prepare.py",
    "test_access.py",
]


@pytest.fixture(scope="session")
def made() -> list[str]:
    """The databases that this process has made: one serves all its rooms, so that migrations run
    once and not once a room."""
    return []


@pytest.mark.postgres
@pytest.mark.timeout(3600)  # a room's tests as a whole
@pytest.mark.skipif(not SERVER, reason="no PostgreSQL: JINGWEI_TEST_POSTGRES is not set")
@pytest.mark.parametrize("place", PLACES)
def test_the_same_on_postgresql(place: str, made: list[str]) -> None:
    database = f"{SERVER}_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    # Where DJANGO_SETTINGS_MODULE is set, pytest-django reads the settings before our conftest.
    env = dict(os.environ, JINGWEI_TEST_DATABASE=database, JINGWEI_DATABASE=database)
    env.pop("DJANGO_SETTINGS_MODULE", None)
    anew = [] if database in made else ["--create-db"]
    made.append(database)
    for name in list(env):
        if name.startswith(("PYTEST_", "COV_")):
            del env[name]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-n",
            "0",
            "--reuse-db",
            *anew,
            f"tests/{place}",
        ],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-20000:] + done.stderr[-5000:]
    assert " passed" in done.stdout
