"""What every test stands on: its own data folder, made before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).parent.parent

# Each test process gets an empty data folder of its own, in memory where there is a place for it.
_SHM = Path("/dev/shm")
_DATA = tempfile.mkdtemp(prefix="jingwei-test-", dir=_SHM if os.access(_SHM, os.W_OK) else None)
atexit.register(shutil.rmtree, _DATA, ignore_errors=True)
for name in list(os.environ):
    if name.startswith("JINGWEI_") and not name.startswith("JINGWEI_TEST_"):
        del os.environ[name]
os.environ.update(
    JINGWEI_DATA=_DATA,
    JINGWEI_PROFILE="demo",
    JINGWEI_SECRET_KEY="only-for-tests-" + "x" * 40,
    JINGWEI_DATABASE=os.environ.get("JINGWEI_TEST_DATABASE", ""),
)

import pytest  # noqa: E402


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """SQLite tests use a real file: threads and processes see what they would see in service."""
    from django.db import connections

    settings = connections["default"].settings_dict
    if "sqlite" in settings["ENGINE"]:
        settings["TEST"]["NAME"] = str(Path(_DATA) / "test.sqlite3")


@pytest.fixture(autouse=True)
def _plain_static(settings) -> None:
    """Templates must not need `collectstatic` in tests."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def data(settings, tmp_path: Path) -> Path:
    """A fresh data folder that `settings.ENV` points to."""
    settings.ENV = replace(settings.ENV, data=tmp_path)
    settings.MEDIA_ROOT = settings.ENV.media
    return tmp_path


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the translations, so that tests may look at Chinese pages."""
    script = ROOT / "scripts" / "messages.py"
    if script.exists() and not hasattr(session.config, "workerinput"):
        subprocess.run([sys.executable, script, "compile"], check=True, cwd=ROOT)
