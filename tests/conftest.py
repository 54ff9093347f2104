"""What every test stands on: its own data folder, made before Django reads its settings."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Each test process gets an empty data folder of its own; nothing of the user's is touched.
_DATA = tempfile.mkdtemp(prefix="jingwei-test-")
os.environ.update(
    JINGWEI_DATA=_DATA,
    JINGWEI_PROFILE="demo",
    JINGWEI_SECRET_KEY="only-for-tests-" + "x" * 40,
)
for name in ("JINGWEI_HTTP", "JINGWEI_GATEWAY", "JINGWEI_LANGUAGE", "JINGWEI_TIME_ZONE"):
    os.environ.pop(name, None)
os.environ["JINGWEI_DATABASE"] = os.environ.get("JINGWEI_TEST_DATABASE", "")

import pytest  # noqa: E402


@pytest.fixture(autouse=True)
def _plain_static(settings):
    """Templates must not need `collectstatic` in tests."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def data(settings, tmp_path: Path) -> Path:
    """A fresh data folder that `settings.ENV` points to."""
    from dataclasses import replace

    settings.ENV = replace(settings.ENV, data=tmp_path)
    settings.MEDIA_ROOT = settings.ENV.media
    return tmp_path
