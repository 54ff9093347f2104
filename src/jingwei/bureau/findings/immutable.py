"""Triggers that make tables append-only, on SQLite and PostgreSQL.

Installed after every `migrate`, not by a migration: SQLite rebuilds a table to alter it, and a
rebuilt table has lost its triggers. The rooms' `checks` tell where one is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.apps import AppConfig
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models.signals import post_migrate

_FUNCTION = "jingwei_append_only"


def keep(app: AppConfig, tables: Iterable[str]) -> None:
    """Make these tables of the app append-only after every `migrate`."""
    tables = tuple(tables)

    def migrated(using: str, **_: Any) -> None:
        install(tables, using)

    post_migrate.connect(migrated, sender=app, weak=False, dispatch_uid=f"{app.label}.append_only")


def install(tables: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> None:
    """Make the tables append-only; does nothing where they are so already."""
    connection = connections[using]
    present = set(connection.introspection.table_names())
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(
                f"CREATE OR REPLACE FUNCTION {_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS $$"
                " BEGIN RAISE EXCEPTION 'append-only: % on % is not possible', TG_OP, TG_TABLE_NAME"
                " USING ERRCODE = 'integrity_constraint_violation'; END $$"
            )
        for table, name, verb in _triggers(tables):
            if table not in present:
                continue
            if connection.vendor == "postgresql":
                cursor.execute(
                    f"CREATE OR REPLACE TRIGGER {name} BEFORE {verb} ON {table}"
                    f" FOR EACH ROW EXECUTE FUNCTION {_FUNCTION}()"
                )
            else:
                cursor.execute(
                    f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} BEGIN"
                    f" SELECT RAISE(ABORT, 'append-only: {verb} on {table} is not possible'); END"
                )


def remove(tables: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> None:
    """Take the triggers away: for tests, which empty the tables afterwards."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for table, name, _verb in _triggers(tables):
            on = f" ON {table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}{on}")


def missing(tables: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> Iterator[str]:
    """Names of triggers that the database lacks."""
    connection = connections[using]
    query = (
        "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
        if connection.vendor == "postgresql"
        else "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    )
    with connection.cursor() as cursor:
        cursor.execute(query)
        present = {row[0] for row in cursor.fetchall()}
    for _table, name, _verb in _triggers(tables):
        if name not in present:
            yield name


def _triggers(tables: Iterable[str]) -> list[tuple[str, str, str]]:
    return [(t, f"{t}_no_{v.lower()}", v) for t in tables for v in ("UPDATE", "DELETE")]
