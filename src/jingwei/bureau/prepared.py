"""Queries whose SQL is made once.

For a row or two found by a key, Django spends several times longer on making the SQL than the
database on answering. What every request or act asks in the same shape is a `Prepared`: a query of
Django's, compiled once a connection and asked again and again with other values.
`insert` and `update` write a row in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from django.db import connection
from django.db.models import Model, QuerySet, sql
from django.db.models.query import (
    FlatValuesListIterable,
    ModelIterable,
    ValuesListIterable,
    get_related_populators,
)

Row = TypeVar("Row")
_STAND_INS: dict[type, Callable[[int], Any]] = {
    int: lambda n: 2_109_876_500 + 1000 * n,
    str: lambda n: f"\x01stands for value {n}\x01",
    date: lambda n: date(1, 1, 1 + n),
}


class Prepared(Generic[Row]):
    """`Prepared(lambda pk: User.objects.filter(pk=pk))(7)`: the rows as a list.

    The function is called with stand-ins of the kinds of the values (int, str, date). Each may
    stand wherever the SQL has it as a value of its own: not in `__in`, not in `__contains`, which
    is refused (`TypeError`). Instances come with what `select_related` names, not with
    `prefetch_related`; `values_list` gives tuples, `flat=True` bare values.
    """

    def __init__(self, make: Callable[..., QuerySet[Any]]) -> None:
        self.make = make

    def __call__(self, *values: Any) -> list[Row]:
        found: list[Row] = self._compiled(values)(values)
        return found

    def count(self, *values: Any) -> int:
        """How many rows; of a slice at most as many as it has."""
        with connection.cursor() as cursor:
            compiled = self._compiled(values)
            sql = f"SELECT COUNT(*) FROM ({compiled.sql}) counted"  # noqa: S608 - SQL of Django
            cursor.execute(sql, compiled.given(values))
            return int(cursor.fetchone()[0])

    def first(self, *values: Any) -> Row | None:
        return next(iter(self(*values)), None)

    def _compiled(self, values: tuple[Any, ...]) -> _Compiled:
        made: WeakKeyDictionary[Any, _Compiled] = _made("jingwei_prepared", WeakKeyDictionary)
        if self not in made:
            made[self] = _Compiled(self.make, [type(value) for value in values])
        return made[self]


def _made(name: str, empty: Callable[[], Any]) -> Any:
    """What this connection has made already."""
    made = getattr(connection, name, None)
    if made is None:
        made = empty()
        setattr(connection, name, made)
    return made


class _Compiled:
    """The query as one connection asks it."""

    def __init__(self, make: Callable[..., QuerySet[Any]], kinds: list[type]) -> None:
        stand_ins = [_STAND_INS[kind](n) for n, kind in enumerate(kinds)]
        queryset = make(*stand_ins)
        self.compiler = compiler = queryset.query.get_compiler(connection.alias, elide_empty=False)
        self.sql, params = compiler.as_sql()
        places = {self._stored(value): n for n, value in enumerate(stand_ins)}
        # (False, a constant) or (True, which value)
        self.params = [
            (True, places[p]) if isinstance(p, int | str | date) and p in places else (False, p)
            for p in params
        ]
        if {n for known, n in self.params if known} != set(places.values()):
            raise TypeError(f"a value of this query cannot be prepared: {self.sql}")
        self.converters = compiler.get_converters(
            [expression for expression, _sql, _alias in compiler.select]
        )
        self.rows = {
            ModelIterable: self._instances,
            ValuesListIterable: lambda rows: [tuple(row) for row in rows],
            FlatValuesListIterable: lambda rows: [row[0] for row in rows],
        }[queryset._iterable_class]
        if self.rows == self._instances:
            self.populators = get_related_populators(
                compiler.klass_info, compiler.select, connection.alias
            )

    def __call__(self, values: tuple[Any, ...]) -> list[Any]:
        with connection.cursor() as cursor:
            cursor.execute(self.sql, self.given(values))
            rows = cursor.fetchall()
        if self.converters:
            rows = list(self.compiler.apply_converters(rows, self.converters))
        found: list[Any] = self.rows(rows)
        return found

    def given(self, values: tuple[Any, ...]) -> list[Any]:
        """The parameters of the SQL for these values."""
        stored = [self._stored(value) for value in values]
        return [stored[p] if known else p for known, p in self.params]

    def _instances(self, rows: list[Any]) -> list[Any]:
        about = self.compiler.klass_info
        first, end = about["select_fields"][0], about["select_fields"][-1] + 1
        names = [column[0].target.attname for column in self.compiler.select[first:end]]
        found = []
        for row in rows:
            made = about["model"].from_db(connection.alias, names, row[first:end])
            for populator in self.populators:
                populator.populate(row, made)
            found.append(made)
        return found

    @staticmethod
    def _stored(value: Any) -> Any:
        return connection.ops.adapt_datefield_value(value) if isinstance(value, date) else value


def insert(row: Model) -> None:
    """`row.save(force_insert=True)` of a new row whose key the database gives, the SQL made once a
    connection. For models of one table, without files and without anybody who listens to signals.
    """
    model = type(row)
    made: dict[Any, Any] = _made("jingwei_inserts", dict)
    if model not in made:
        meta = model._meta
        fields = [f for f in meta.local_concrete_fields if f is not meta.pk]
        query = sql.InsertQuery(model)
        query.insert_values(fields, [row])
        compiler = query.get_compiler(connection.alias)
        compiler.returning_fields = [meta.pk]
        [(text, _params)] = compiler.as_sql()
        made[model] = text, fields
    text, fields = made[model]
    values = [f.get_db_prep_save(f.pre_save(row, True), connection) for f in fields]
    with connection.cursor() as cursor:
        cursor.execute(text, values)
        row.pk = cursor.fetchone()[0]
    row._state.adding, row._state.db = False, connection.alias


def update(model: type[Model], where: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    """`model.objects.filter(**where).update(**values)` by columns' names; how many rows."""
    meta, quoted = model._meta, connection.ops.quote_name
    fields = [
        (meta.get_field(name), value) for part in (values, where) for name, value in part.items()
    ]
    names = [f"{quoted(field.column)} = %s" for field, _value in fields]
    text = (
        f"UPDATE {quoted(meta.db_table)} SET {', '.join(names[: len(values)])}"  # noqa: S608
        f" WHERE {' AND '.join(names[len(values) :])}"
    )
    with connection.cursor() as cursor:
        cursor.execute(text, [f.get_db_prep_save(value, connection) for f, value in fields])
        return int(cursor.rowcount)
