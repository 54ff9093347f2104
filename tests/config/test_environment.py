"""Settings: safe defaults, and one clear sentence for a wrong value."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from jingwei.config import environment


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("DATA", "HTTP", "GATEWAY", "DATABASE", "PROFILE", "HOSTS", "SECRET_KEY"):
        monkeypatch.delenv(f"JINGWEI_{name}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_defaults(tmp_path: Path) -> None:
    env = environment.read()
    assert str(env.http) == "127.0.0.1:8000"
    assert str(env.gateway) == "127.0.0.1:9212"
    assert env.data == tmp_path / "var"
    assert env.database == f"sqlite:///{tmp_path}/var/jingwei.sqlite3"
    assert not env.demo
    assert env.time_zone == "Asia/Shanghai"
    assert not env.data.exists()


@pytest.mark.parametrize("text", ["8000", ":8000", "localhost", "localhost:http", "h:0", "h:65536"])
def test_wrong_address_says_what_is_wanted(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("JINGWEI_HTTP", text)
    with pytest.raises(environment.SettingError, match=r"JINGWEI_HTTP=.*wanted HOST:PORT"):
        environment.read()


def test_ipv6_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGWEI_HTTP", "[::1]:8080")
    assert environment.read().http == environment.Address("::1", 8080)
    assert str(environment.read().http) == "[::1]:8080"


def test_unknown_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGWEI_PROFILE", "dev")
    with pytest.raises(environment.SettingError, match="production"):
        environment.read()


def test_secret_key_is_made_once_and_private(tmp_path: Path) -> None:
    key = environment.secret_key(tmp_path / "var")
    assert len(key) >= 50
    assert environment.secret_key(tmp_path / "var") == key
    path = tmp_path / "var" / "secret.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_cut_secret_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("short")
    with pytest.raises(environment.SettingError, match="cut short"):
        environment.secret_key(tmp_path)


def test_database_urls() -> None:
    sqlite = environment.database("sqlite:////var/lib/jingwei/db.sqlite3")
    assert sqlite["NAME"] == "/var/lib/jingwei/db.sqlite3"
    postgres = environment.database("postgresql://u:p%40ss@db:5433/jingwei")
    assert postgres["ENGINE"] == "django.db.backends.postgresql"
    assert (postgres["USER"], postgres["PASSWORD"]) == ("u", "p@ss")
    assert (postgres["HOST"], postgres["PORT"], postgres["NAME"]) == ("db", "5433", "jingwei")


def test_unknown_database_does_not_show_the_password() -> None:
    with pytest.raises(environment.SettingError) as error:
        environment.database("mysql://u:secret@db/x")
    assert "secret" not in str(error.value)
    assert "postgresql://" in str(error.value)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", ("mail.example", 25, "", False, False)),
        ("smtp+starttls://u:p%40w@mail.example", ("mail.example", 587, "p@w", True, False)),
        ("smtps://u:p@mail.example:4650", ("mail.example", 4650, "p", False, True)),
    ],
)
def test_mail_servers(url: str, expected: tuple[object, ...]) -> None:
    found = environment.mail_server(url)
    assert tuple(found[k] for k in ("host", "port", "password", "use_tls", "use_ssl")) == expected


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("MAIL", "mail.example", "JINGWEI_MAIL: wanted"),
        ("MAIL", "smtp://mail.example:x", "JINGWEI_MAIL: wanted"),
        ("MAIL", "smtp://mail.example", "JINGWEI_MAIL_FROM"),
        ("WEBHOOK_HOSTS", "oapi.dingtalk.com", "JINGWEI_WEBHOOK_HOSTS"),
        ("WEBHOOK_HOSTS", "https://oapi.dingtalk.com/robot", "JINGWEI_WEBHOOK_HOSTS"),
        ("WEBHOOK_HOSTS", "https://u@oapi.dingtalk.com", "JINGWEI_WEBHOOK_HOSTS"),
    ],
)
def test_wrong_ways_out_say_what_is_wanted(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setenv(f"JINGWEI_{name}", value)
    with pytest.raises(environment.SettingError, match=says):
        environment.read()


def test_hosts_of_robots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JINGWEI_WEBHOOK_HOSTS", "https://OAPI.dingtalk.com/, http://10.1.2.3:8080")
    assert environment.read().webhook_hosts == ("https://oapi.dingtalk.com", "http://10.1.2.3:8080")


@pytest.mark.parametrize(
    "zone", ["Asia/Shanghai", "Asia/Hong_Kong", "Asia/Urumqi", "UTC", "Mars/Base"]
)
def test_only_a_zone_of_beijings_time_is_taken(monkeypatch, zone: str):
    """The standards count days of Beijing, and so do lake and judgements, whatever the zone says."""
    monkeypatch.setenv("JINGWEI_TIME_ZONE", zone)
    if zone in ("Asia/Shanghai", "Asia/Hong_Kong"):
        assert environment.read().time_zone == zone
    else:
        with pytest.raises(environment.SettingError, match="JINGWEI_TIME_ZONE"):
            environment.read()
