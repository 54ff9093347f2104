"""What `jingwei prepare` demands of a PostgreSQL database, and says where that is not given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import typer
from django.conf import settings
from django.db import connection

from jingwei.bureau import rows
from jingwei.service import commands, prepare

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite knows no roles"),
]


@pytest.fixture
def plain(data) -> Iterator[str]:
    """Work as a user with no right but those that every user has."""
    name = f"{settings.DATABASES['default']['NAME']}_plain"  # roles are of the whole server
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE ROLE {name} NOLOGIN")
        cursor.execute(f"SET ROLE {name}")
        yield name
        cursor.execute("RESET ROLE")
        cursor.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


def _refused(capsys) -> str:
    with pytest.raises(typer.Exit) as ended:
        commands._prepare(settings.ENV)
    assert ended.value.exit_code == 2
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith("database: the user")
    return said


def _as_administrator(plain: str, statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"RESET ROLE; {statement}; SET ROLE {plain}")


def test_a_user_without_rights_is_told_what_an_administrator_runs(plain, capsys):
    said = _refused(capsys)
    assert f'ALTER DATABASE "{connection.settings_dict["NAME"]}" OWNER TO "{plain}";' in said
    _as_administrator(plain, f"GRANT CREATE ON SCHEMA public TO {plain}")
    said = _refused(capsys)
    assert f'run once: GRANT jingwei_web TO "{plain}"; Then start again.' in said
    _as_administrator(plain, f'GRANT jingwei_web TO "{plain}"')
    rows.ready()


def test_policies_that_an_earlier_run_did_not_reach_are_made(data):
    with connection.cursor() as cursor:
        cursor.execute("DROP POLICY jingwei_read ON cases_case")
    rows._installed.clear()  # another process
    assert list(rows.missing()) == ["cases_case"]
    assert prepare.migrate() == 0
    assert list(rows.missing()) == []
