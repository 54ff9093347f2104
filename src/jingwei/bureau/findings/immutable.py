"""Triggers that make tables append-only, on SQLite and PostgreSQL.

Besides UPDATE and DELETE they refuse what comes to the same: TRUNCATE on PostgreSQL, and on SQLite
an INSERT OR REPLACE, which deletes the row in its way without asking the trigger of DELETE.

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
        for table, name, verb in _triggers(tables, connection.vendor):
            if table not in present:
                continue
            if connection.vendor == "postgresql":
                each = "STATEMENT" if verb == "TRUNCATE" else "ROW"
                cursor.execute(
                    f"CREATE OR REPLACE TRIGGER {name} BEFORE {verb} ON {table}"
                    f" FOR EACH {each} EXECUTE FUNCTION {_FUNCTION}()"
                )
            else:
                when = f"WHEN {_there_is(connection, cursor, table)}" if verb == "INSERT" else ""
                cursor.execute(
                    f"CREATE TRIGGER IF NOT EXISTS {name} BEFORE {verb} ON {table} {when} BEGIN"
                    f" SELECT RAISE(ABORT, 'append-only: {verb} on {table} is not possible'); END"
                )


def _there_is(connection: Any, cursor: Any, table: str) -> str:
    """Whether a row stands where the new one would: by any of the table's unique keys."""
    rules = connection.introspection.get_constraints(cursor, table).values()
    keys = {tuple(rule["columns"]) for rule in rules if rule["unique"] or rule["primary_key"]}
    return " OR ".join(
        f"EXISTS (SELECT 1 FROM {table} WHERE "  # noqa: S608 - names of our tables and columns
        + " AND ".join(f'"{column}" = NEW."{column}"' for column in key)
        + ")"
        for key in sorted(keys)
    )


def remove(tables: Iterable[str], using: str = DEFAULT_DB_ALIAS) -> None:
    """Take the triggers away: for tests, which empty the tables afterwards."""
    connection = connections[using]
    with connection.cursor() as cursor:
        for table, name, _verb in _triggers(tables, connection.vendor):
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
    for _table, name, _verb in _triggers(tables, connection.vendor):
        if name not in present:
            yield name


def _triggers(tables: Iterable[str], vendor: str) -> list[tuple[str, str, str]]:
    verbs = ("UPDATE", "DELETE", "TRUNCATE" if vendor == "postgresql" else "INSERT")
    name = {verb: verb.lower() for verb in verbs} | {"INSERT": "replace"}
    return [(table, f"{table}_no_{name[verb]}", verb) for table in tables for verb in verbs]
