"""What every test stands on: its own data folder, made before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import MethodType
from typing import Any

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
    # Set here and not in pyproject: pytest-django would read the settings before this file.
    DJANGO_SETTINGS_MODULE="jingwei.config.settings",
)

import django  # noqa: E402
import django.db  # noqa: E402
import hypothesis  # noqa: E402
import pytest  # noqa: E402
from django.db.backends.sqlite3.base import DatabaseOperations  # noqa: E402

django.setup()

if os.environ.get("JINGWEI_TEST_DATABASE") and django.db.connection.vendor != "postgresql":
    raise RuntimeError("JINGWEI_TEST_DATABASE is set, but the settings were read before this file")

# A busy machine is no failure: no example has a time limit of its own (each test has one).
hypothesis.settings.register_profile(
    "jingwei", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("jingwei")

_flush = DatabaseOperations.sql_flush


def _flush_with_the_guards_down(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
    """After a test with real transactions Django empties the tables. On SQLite it does so by
    DELETE, which the triggers of the append-only tables forbid: they step aside for it."""
    statements = _flush(self, style, tables, **options)
    with self.connection.cursor() as cursor:
        cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
        guards = cursor.fetchall()
    return [*(f'DROP TRIGGER "{name}"' for name, _ in guards), *statements, *(g[1] for g in guards)]


DatabaseOperations.sql_flush = _flush_with_the_guards_down


def _flush_what_is_there(self: Any, style: Any, tables: Any, **options: Any) -> list[str]:
    """On PostgreSQL TRUNCATE makes new files for every table and index, seconds for all of ours:
    only rows that are there are deleted. Triggers and keys step aside for it, which a superuser
    may ask for."""
    with self.connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")
        if options.get("reset_sequences") or not cursor.fetchone()[0]:
            flush: list[str] = type(self).sql_flush(self, style, tables, **options)
            return flush
        each = " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")" for name in tables
        )
        cursor.execute(each)
        full = [row[0] for row in cursor.fetchall()]
    return [
        "SET session_replication_role = replica",
        *(f'DELETE FROM "{name}"' for name in full),
        "SET session_replication_role = origin",
    ]


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """SQLite tests use a real file: threads and processes see what they would see in service."""
    from django.db import connections

    settings = connections["default"].settings_dict
    if "sqlite" in settings["ENGINE"]:
        settings["TEST"]["NAME"] = str(Path(_DATA) / "test.sqlite3")
    else:
        operations = connections["default"].ops
        operations.sql_flush = MethodType(_flush_what_is_there, operations)


@pytest.fixture(autouse=True)
def _language_of_the_office() -> None:
    """A request in another language, made by a test before this one, leaves its language behind."""
    from django.utils import translation

    translation.deactivate()


@pytest.fixture(autouse=True)
def _plain_static(settings) -> None:
    """Templates must not need `collectstatic` in tests."""
    settings.STATIC_ROOT = _DATA  # whitenoise warns of a folder that is not there
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


# Each room on PostgreSQL is one long test: they are spread over the workers. What a browser looks
# at shares one running system: it stays with one worker. Both take long and come first.
_ROOMS = "test_postgresql.py::"
_BROWSER = "tests/browser/"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: Any, log: Any) -> Any:
    """`--dist loadfile`, but for what `_ROOMS` and `_BROWSER` say, in the order of the collection."""
    from xdist.scheduler import LoadFileScheduling

    if config.getvalue("dist") != "loadfile":
        return None
    config.option.loadscopereorder = False

    class Files(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(_BROWSER):
                return _BROWSER
            return nodeid if _ROOMS in nodeid else super()._split_scope(nodeid)

    return Files(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """For the workers: what takes long by itself first, then the files with many tests. On a
    PostgreSQL only what stands on the database, not what was seen beside SQLite already."""
    if os.environ.get("JINGWEI_TEST_DATABASE"):
        config.hook.pytest_deselected(items=[i for i in items if not _stands_on_the_database(i)])
        items[:] = [i for i in items if _stands_on_the_database(i)]
    if hasattr(config, "workerinput"):
        size = Counter(item.path for item in items)
        items.sort(
            key=lambda i: (
                not i.nodeid.startswith(_BROWSER),
                _ROOMS not in i.nodeid,
                -size[i.path],
                str(i.path),
            )
        )


def _stands_on_the_database(item: pytest.Item) -> bool:
    from django.test import TransactionTestCase

    if item.get_closest_marker("once"):
        return False
    if item.get_closest_marker("django_db"):
        return True
    group = getattr(item, "cls", None)
    if group is not None and issubclass(group, TransactionTestCase):
        return True
    return bool({"db", "transactional_db"} & set(getattr(item, "fixturenames", ())))


@pytest.fixture(scope="session")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with nothing but `cryptography` and what that needs itself."""
    import cryptography

    root = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", root], check=True)
    site = next(root.glob("lib/python*/site-packages"))
    source = Path(cryptography.__file__).parent.parent
    for name in ("cryptography", "cffi", "pycparser"):
        if (source / name).is_dir():
            shutil.copytree(source / name, site / name)
    for library in source.glob("_cffi_backend*"):
        shutil.copy(library, site)
    python = root / "bin/python"
    for name in ("django", "jingwei"):
        assert subprocess.run(
            [python, "-I", "-c", f"import {name}"], capture_output=True
        ).returncode
    return python


def pytest_sessionstart(session: pytest.Session) -> None:
    """Compile the translations, so that tests may look at Chinese pages."""
    script = ROOT / "scripts" / "messages.py"
    if script.exists() and not hasattr(session.config, "workerinput"):
        subprocess.run([sys.executable, script, "compile"], check=True, cwd=ROOT)
