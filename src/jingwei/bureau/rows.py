"""The second line, on PostgreSQL: row-level security behind `restrict`, default deny.

The web server works as the role `jingwei_web`, which owns nothing, and tells the database at each
request whose rows it may read (`see`). Policies on the tables of cases, findings, enterprises and
all that hangs on them let pass these rows and no others: a page that forgot `restrict`, or a raw
query before anybody is known, reads nothing that its user may not. What the policies know is made
from the models' `place`; they are a little wider than `restrict` (they ask where and about what,
not whether the role may), never narrower. Worker and commands work as the tables' owner, whom no
policy holds.

A transaction that writes has read its rows under the policies; from its first writing statement
on it is let through, because an act may take a case out of the actor's own reach.

SQLite has nothing of the kind: there `restrict` stands alone, and all this does nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError
from django.core.signals import request_finished
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    ProgrammingError,
    connection,
    connections,
    models,
    transaction,
)
from django.db.backends.signals import connection_created

ROLE = "jingwei_web"
_SETTINGS = ("reach", "areas", "pairs", "departments", "people", "enterprise")
_NOTHING = ("",) * len(_SETTINGS)
_WRITES = re.compile(r'(?:INSERT INTO|UPDATE|DELETE FROM) "(\w+)"')
_TELL = "SELECT " + ", ".join(f"set_config('jingwei.{name}', %s, false)" for name in _SETTINGS)
_LET_WRITE = "SELECT set_config('jingwei.writes', 'on', true)"


class RightsError(CommandError):
    """The database's user may not do what is needed; says what an administrator runs."""

    def __init__(self, lacks: str, statements: str) -> None:
        super().__init__(
            f"{lacks}. Let an administrator of PostgreSQL run once: {statements} Then start again."
        )


_armed = False
_installed: set[str] = set()  # databases, by this process: tests empty their tables often
_tables: frozenset[str] = frozenset()


# --- who reads --------------------------------------------------------------------------------


def arm() -> None:
    """Work as the role that the policies hold, in this process and from now on."""
    global _armed, _tables
    _armed, _tables = True, frozenset(m._meta.db_table for m in guarded())
    connection_created.connect(_bind, dispatch_uid="jingwei.rows")
    request_finished.connect(_forget, dispatch_uid="jingwei.rows")
    connections.close_all()


def disarm() -> None:
    """For tests: work as the owner again."""
    global _armed
    _armed = False
    connection_created.disconnect(dispatch_uid="jingwei.rows")
    request_finished.disconnect(dispatch_uid="jingwei.rows")
    connections.close_all()


def on() -> bool:
    """Whether the database asks: in the web server, on PostgreSQL."""
    return _armed and connection.vendor == "postgresql"


def see_all() -> None:
    """From now to the end of the request every row can be read."""
    if on():
        _tell(("all", "", "", "", "", ""))


def see(
    areas: set[str], pairs: set[str], departments: set[int], people: set[int], enterprise: str
) -> None:
    """From now to the end of the request the rows of these areas can be read, cases and findings
    of these `area/kind` (either part may be empty: any), what these departments or people lead or
    take part in, and what is of the enterprise (its unified social credit code)."""
    if on():
        _tell(
            ("some", _array(areas), _array(pairs), _array(departments), _array(people), enterprise)
        )


@contextmanager
def beyond() -> Iterator[None]:
    """For what everybody in the bureau, or everybody, may know though it lies outside the own
    reach: names of a published list, decisions that are published."""
    if not on():
        yield
        return
    told = connection.jingwei_told or _NOTHING
    see_all()
    try:
        yield
    finally:
        _tell(told)


def _bind(connection: Any, **_: Any) -> None:
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {ROLE}")
        connection.jingwei_told = None
        if _let_write not in connection.execute_wrappers:
            connection.execute_wrappers.append(_let_write)


def _tell(reach: tuple[str, ...]) -> None:
    connection.ensure_connection()
    if connection.jingwei_told != reach:
        with connection.cursor() as cursor:
            cursor.execute(_TELL, reach)
        connection.jingwei_told = reach


def _forget(**_: Any) -> None:
    if connection.connection is None or getattr(connection, "jingwei_told", None) is None:
        return
    try:
        _tell(_NOTHING)
        connection.jingwei_told = None
    except DatabaseError:
        connection.close()


def _let_write(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
    """Before a statement that writes a guarded table, within a transaction: to its end."""
    if context["connection"].in_atomic_block:
        found = _WRITES.match(sql)
        if found and found[1] in _tables:
            execute(_LET_WRITE, None, False, context)
    return execute(sql, params, many, context)


def _array(values: set[Any]) -> str:
    return "{" + ",".join(f'"{value}"' for value in sorted(values)) + "}"


# --- policies ---------------------------------------------------------------------------------


def guarded() -> list[type[models.Model]]:
    """The models whose rows have a place, and those that hang on one of them."""
    found = [m for m in apps.get_models() if "area" in getattr(m, "place", {})]
    while True:
        more = [
            m
            for m in apps.get_models()
            if m not in found and not hasattr(m, "place") and _parent(m, found)
        ]
        if not more:
            return found
        found += more


def install(using: str = DEFAULT_DB_ALIAS) -> None:
    """Make role and policies as the models say now; idempotent. After every `migrate`."""
    connection = connections[using]
    name = connection.settings_dict["NAME"]
    if connection.vendor != "postgresql" or name in _installed:
        return
    present = set(connection.introspection.table_names())
    wanted = guarded()
    if not {m._meta.db_table for m in wanted} | {"cases_casetext"} <= present:
        return  # on the way through older migrations
    with transaction.atomic(using=using), connection.cursor() as cursor:
        _make_role(cursor)
        cursor.execute(";\n".join([*_grants(), *_functions(), *_policies(wanted)]))
    _installed.add(name)


def missing(using: str = DEFAULT_DB_ALIAS) -> Iterator[str]:
    """Tables that no policy guards although they should have one."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
            " WHERE c.relrowsecurity AND p.polcmd = 'r' AND c.relnamespace = 'public'::regnamespace"
        )
        present = {row[0] for row in cursor.fetchall()}
    yield from sorted({m._meta.db_table for m in guarded()} - present)


def ready(using: str = DEFAULT_DB_ALIAS) -> None:
    """Before any table is made: may the database's user make tables, and is the role there or
    can it be made? `RightsError` says what to do where not."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return
    with transaction.atomic(using=using), connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_user, has_schema_privilege('public', 'CREATE'), current_database()"
        )
        user, may_create, name = cursor.fetchone()
        if not may_create:
            raise RightsError(
                f"the user {user} may not make tables in the database {name}",
                f'ALTER DATABASE "{name}" OWNER TO "{user}";',
            )
        _make_role(cursor)


def _make_role(cursor: Any) -> None:
    """The role, and the database's user as its member: Jingwei does both itself, or an
    administrator has done so."""
    cursor.execute(
        "SELECT current_user, EXISTS (SELECT FROM pg_roles WHERE rolname = %s),"
        " rolsuper OR rolcreaterole, rolsuper FROM pg_roles WHERE rolname = current_user",
        [ROLE],
    )
    user, there, may_make, above = cursor.fetchone()
    member = there and above
    if there and not above:
        cursor.execute("SELECT pg_has_role(current_user, %s, 'MEMBER')", [ROLE])
        member = cursor.fetchone()[0]
    create, grant = f"CREATE ROLE {ROLE} NOLOGIN;", f'GRANT {ROLE} TO "{user}";'
    wanted = grant if there else f"{create} {grant}"
    lacks = RightsError(f"the user {user} may not use the role {ROLE}, which guards rows", wanted)
    if not member and not may_make:
        raise lacks
    try:
        if not there:
            cursor.execute(
                f"DO $$ BEGIN {create}"
                " EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            )
        if not member and not above:
            cursor.execute(grant)
    except ProgrammingError as error:  # from 16 on, a role that another user made
        if getattr(error.__cause__, "sqlstate", "") != "42501":
            raise
        raise lacks from error


def _grants() -> Iterator[str]:
    yield f"GRANT USAGE ON SCHEMA public TO {ROLE}"
    yield f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {ROLE}"
    yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {ROLE}"
    # The words of cases are found by a function that answers with numbers alone.
    yield f"REVOKE SELECT, UPDATE ON cases_casetext FROM {ROLE}"
    yield f"GRANT SELECT (rowid) ON cases_casetext TO {ROLE}"


def _functions() -> Iterator[str]:
    head = "LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp"
    find = (
        "CREATE OR REPLACE FUNCTION jingwei_found(wanted text[], phrase text) RETURNS SETOF bigint"
    )
    words = "SELECT rowid FROM cases_casetext WHERE string_to_array(words, ' ') @> wanted"
    yield f"{find} {head} AS $$ {words} AND words LIKE phrase $$"
    own = "SELECT id FROM registry_enterprise WHERE uscc"
    setting = "nullif(current_setting('jingwei.enterprise', true), '')"
    yield (
        f"CREATE OR REPLACE FUNCTION jingwei_enterprise() RETURNS bigint {head}"
        f" AS $$ {own} = {setting} $$"
    )


def _policies(wanted: list[type[models.Model]]) -> Iterator[str]:
    for model in wanted:
        table = model._meta.db_table
        yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
        yield f"DROP POLICY IF EXISTS jingwei_read ON {table}"
        yield f"CREATE POLICY jingwei_read ON {table} FOR SELECT TO {ROLE} USING ({_rule(model)})"
        for verb, clause in (
            ("INSERT", "WITH CHECK (true)"),
            ("UPDATE", "USING (true) WITH CHECK (true)"),
            ("DELETE", "USING (true)"),
        ):
            yield f"DROP POLICY IF EXISTS jingwei_{verb.lower()} ON {table}"
            yield f"CREATE POLICY jingwei_{verb.lower()} ON {table} FOR {verb} TO {ROLE} {clause}"


# Each in brackets with SELECT: worked out once a query, not once a row.
_OPEN = (
    "(SELECT coalesce(current_setting('jingwei.reach', true), '') = 'all'"
    " OR coalesce(current_setting('jingwei.writes', true), '') = 'on')"
)
_OWN = "(SELECT jingwei_enterprise())"


def _set(name: str, kind: str) -> str:
    # Not bare brackets: ANY would take the SELECT for a set of rows.
    return f"(SELECT nullif(current_setting('jingwei.{name}', true), ''))::{kind}[]"


def _rule(model: type[models.Model]) -> str:
    """Which rows of a table may be read, as SQL."""
    table = model._meta.db_table
    place: dict[str, str] = getattr(model, "place", {})
    area, matter = place.get("area", ""), place.get("matter", "")
    ways = [_OPEN]
    if area == "region_id":
        if matter:
            ways.append(
                f"ARRAY[region_id || '/' || {matter}, region_id || '/', '/' || {matter}, '/']"
                f" && {_set('pairs', 'text')}"
            )
        else:
            areas = _set("areas", "text")
            ways.append(f"region_id = ANY({areas}) OR '' = ANY({areas})")
        ways += _MORE.get(table, ())
    else:
        hop = area.partition("__")[0] if area else _parent(model, guarded())
        field = model._meta.get_field(hop)
        parent = field.related_model._meta
        ways.append(
            f"EXISTS (SELECT FROM {parent.db_table} parent"
            f" WHERE parent.{parent.pk.column} = {table}.{field.column})"
        )
    return " OR ".join(ways)


# What else lets a row be seen: whose it is, who leads or takes part, and what a case is about.
_MORE: dict[str, tuple[str, ...]] = {
    "cases_case": (
        f"enterprise_id = {_OWN}",
        f"department_id = ANY({_set('departments', 'bigint')})",
        f"holder_id = ANY({_set('people', 'bigint')})",
        "EXISTS (SELECT FROM cases_case_parties party WHERE party.case_id = cases_case.id"
        f" AND party.department_id = ANY({_set('departments', 'bigint')}))",
    ),
    "findings_finding": (
        f"enterprise_id = {_OWN}",
        "EXISTS (SELECT FROM cases_case_findings link JOIN cases_case held ON held.id = link.case_id"
        " WHERE link.finding_id = findings_finding.id)",
    ),
    "registry_enterprise": (
        f"id = {_OWN}",
        "EXISTS (SELECT FROM cases_case held WHERE held.enterprise_id = registry_enterprise.id)",
    ),
    "registry_point": (
        "kind IN ('air_station', 'micro_station')",  # everybody's
        "EXISTS (SELECT FROM registry_outlet parent WHERE parent.id = registry_point.outlet_id)",
    ),
}


def _parent(model: type[models.Model], among: list[type[models.Model]]) -> str:
    """The foreign key by which rows of a model belong to one of these models; empty for none."""
    for field in model._meta.concrete_fields:
        if field.is_relation and not field.null and field.related_model in among:
            return str(field.name)
    return ""
