"""The settings that a user may give, read from the environment with safe defaults.

Everything the system stores lies under one folder (`JINGWEI_DATA`). This module
imports neither Django nor any other package of Jingwei, so every process and
every command can read it first.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote, urlparse
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class SettingError(ValueError):
    """A setting has a value that cannot be used; the text says which and what is wanted."""


@dataclass(frozen=True)
class Address:
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Environment:
    """What the environment says. All paths are absolute."""

    data: Path
    http: Address
    gateway: Address
    gateways: int  # processes that share that address
    mqtt: str  # mqtt://broker that observations come from; empty: none
    forward: Path | None  # JSON list of the platforms that telegrams are sent on to
    database: str
    profile: str  # "production" or "demo"; demo accounts exist only in the latter
    time_zone: str
    language: str
    hosts: tuple[str, ...]
    origins: tuple[str, ...]
    proxies: tuple[str, ...]  # addresses of proxies whose X-Forwarded-… headers are believed
    document_prefix: str  # before 〔year〕number in the numbers of documents (文号)
    mail: str  # smtp://user:password@host:port; empty: no e-mail
    mail_from: str
    webhook_hosts: tuple[str, ...]  # origins (https://host) that robots may be asked at
    executor: str  # tcp://host:port of a Dask scheduler for heavy work; empty: local processes
    detection_budget: float  # false cases that the detectors may raise an outlet and month
    lake_store: str  # URL of a folder for closed days of the lake (s3://bucket/folder), or empty
    tiles: str  # raster tile URL, PMTiles URL or file; empty: the built-in quiet map

    @property
    def demo(self) -> bool:
        return self.profile == "demo"

    @property
    def tiles_file(self) -> Path | None:
        """The local PMTiles archive, where the setting names a file and not an address."""
        return None if not self.tiles or "://" in self.tiles else Path(self.tiles)

    @property
    def tiles_url(self) -> str:
        """What the browser asks for; a local archive is served among the static files."""
        return "/static/base.pmtiles" if self.tiles_file else self.tiles

    @property
    def url(self) -> str:
        """The console's own address, for links in e-mails."""
        return self.origins[0] if self.origins else f"http://{self.http}"

    @property
    def mail_server(self) -> dict[str, object]:
        """Arguments of Django's SMTP backend."""
        return mail_server(self.mail)

    @property
    def journal(self) -> Path:
        return self.data / "journal"

    @property
    def refused(self) -> Path:
        return self.data / "refused"

    @property
    def lake(self) -> Path:
        return self.data / "lake"

    @property
    def register(self) -> Path:
        return self.data / "register.json"

    @property
    def evidence(self) -> Path:
        return self.data / "evidence"

    @property
    def identities(self) -> Path:
        """Keys of protected identities: never on the same backup as the database."""
        return self.data / "identities"

    @property
    def media(self) -> Path:
        return self.data / "files"

    @property
    def run(self) -> Path:
        return self.data / "run"


def address(name: str, default: str) -> Address:
    """Read `host:port` from the environment variable `name`."""
    text = os.environ.get(name) or default
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise SettingError(f"{name}={text!r}: wanted HOST:PORT, for example {default}")
    return Address(host.strip("[]"), int(port))


def _count(name: str, default: int, most: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise SettingError(f"{name}={text!r}: wanted a number from 1 to {most}")
    return int(text)


def _file(name: str) -> Path | None:
    text = os.environ.get(name)
    if not text:
        return None
    path = Path(text).expanduser().resolve()
    if not path.is_file():
        raise SettingError(f"{name}={text!r}: there is no such file")
    return path


def _time_zone(name: str) -> str:
    """A zone of Beijing's time: rules, lake and judgements count local days eight hours ahead of UTC."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SettingError(f"JINGWEI_TIME_ZONE={name!r}: there is no such time zone") from None
    year = datetime.now(UTC).year
    offsets = {datetime(year, month, 1, tzinfo=zone).utcoffset() for month in range(1, 13)}
    if offsets != {timedelta(hours=8)}:
        raise SettingError(
            f"JINGWEI_TIME_ZONE={name!r}: wanted a zone that is eight hours ahead of UTC all year,"
            " such as Asia/Shanghai; the standards count days of Beijing"
        )
    return name


def _budget(name: str) -> float:
    text = os.environ.get(name) or "0.1"
    try:
        budget = float(text)
    except ValueError:
        budget = 0.0
    if not 0.001 <= budget <= 10:
        raise SettingError(f"{name}={text!r}: wanted false cases a month from 0.001 to 10")
    return budget


def _store(name: str) -> str:
    text = os.environ.get(name, "")
    if text and not (text.partition("://")[0].isalnum() and text.partition("://")[2].strip("/")):
        raise SettingError(f"{name}={text!r}: wanted a folder such as s3://bucket/lake")
    return text


def read() -> Environment:
    """Read all settings; raises `SettingError` with one clear sentence."""
    data = Path(os.environ.get("JINGWEI_DATA") or "var").expanduser().resolve()
    profile = os.environ.get("JINGWEI_PROFILE") or "production"
    if profile not in ("production", "demo"):
        raise SettingError(f"JINGWEI_PROFILE={profile!r}: wanted 'production' or 'demo'")
    tiles = os.environ.get("JINGWEI_TILES", "")
    if tiles and "://" not in tiles and not (tiles.endswith(".pmtiles") and Path(tiles).is_file()):
        raise SettingError(
            f"JINGWEI_TILES={tiles!r}: wanted a tile address such as "
            "https://host/{z}/{x}/{y}.png, or an existing .pmtiles file"
        )
    mail = os.environ.get("JINGWEI_MAIL", "")
    mail_from = os.environ.get("JINGWEI_MAIL_FROM", "")
    if mail:
        mail_server(mail)
        if "@" not in mail_from:
            raise SettingError(
                f"JINGWEI_MAIL_FROM={mail_from!r}: wanted the sender's address,"
                " for example jingwei@bureau.example"
            )
    http = address("JINGWEI_HTTP", "127.0.0.1:8000")
    hosts = [h.strip() for h in os.environ.get("JINGWEI_HOSTS", "").split(",") if h.strip()]
    return Environment(
        data=data,
        http=http,
        gateway=address("JINGWEI_GATEWAY", "127.0.0.1:9212"),
        mqtt=os.environ.get("JINGWEI_MQTT", ""),
        forward=_file("JINGWEI_FORWARD"),
        gateways=_count("JINGWEI_GATEWAY_PROCESSES", 1, 64),
        database=os.environ.get("JINGWEI_DATABASE") or f"sqlite:///{data / 'jingwei.sqlite3'}",
        profile=profile,
        time_zone=_time_zone(os.environ.get("JINGWEI_TIME_ZONE") or "Asia/Shanghai"),
        language=os.environ.get("JINGWEI_LANGUAGE") or "zh-hans",
        hosts=tuple(dict.fromkeys([*hosts, "localhost", "127.0.0.1", "[::1]", http.host])),
        origins=tuple(
            o.strip() for o in os.environ.get("JINGWEI_ORIGINS", "").split(",") if o.strip()
        ),
        proxies=tuple(
            p.strip() for p in os.environ.get("JINGWEI_PROXIES", "").split(",") if p.strip()
        ),
        document_prefix=os.environ.get("JINGWEI_DOCUMENT_PREFIX")
        or ("示环督" if profile == "demo" else "环督"),
        mail=mail,
        mail_from=mail_from,
        webhook_hosts=webhook_hosts(os.environ.get("JINGWEI_WEBHOOK_HOSTS", "")),
        executor=os.environ.get("JINGWEI_EXECUTOR", ""),
        detection_budget=_budget("JINGWEI_DETECTION_BUDGET"),
        lake_store=_store("JINGWEI_LAKE_STORE"),
        tiles=tiles and (tiles if "://" in tiles else str(Path(tiles).resolve())),
    )


def private(folder: Path) -> None:
    """Make the folder where it is not there yet, and keep everybody but its owner out of it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.stat().st_mode & 0o077:
        folder.chmod(0o700)


def secret_key(data: Path) -> str:
    """The key in `JINGWEI_SECRET_KEY`, else the one in the data folder, made on first use (mode 600)."""
    given = os.environ.get("JINGWEI_SECRET_KEY")
    if given:
        return given
    path = data / "secret.key"
    private(data)
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        text = path.read_text().strip()
        if len(text) < 32:
            raise SettingError(
                f"{path} is cut short; delete it to get a new key (all users must log in again)"
            ) from None
        return text
    key = secrets.token_urlsafe(48)
    with os.fdopen(fd, "w") as f:
        f.write(key + "\n")
        f.flush()
        os.fsync(f.fileno())
    return key


def database(url: str) -> dict[str, object]:
    """Django's settings for a database URL: `sqlite:///path` or `postgresql://user:password@host:port/name`."""
    parts = urlparse(url)
    if parts.scheme == "sqlite":
        return {
            "ENGINE": "jingwei.config.sqlite",
            "NAME": unquote(parts.path[1:] if parts.path.startswith("//") else parts.path),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 30,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                " PRAGMA cache_size=-16000; PRAGMA mmap_size=134217728;",
            },
            "CONN_MAX_AGE": None,
        }
    if parts.scheme in ("postgresql", "postgres"):
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 600,
            "CONN_HEALTH_CHECKS": True,
        }
    raise SettingError(
        f"JINGWEI_DATABASE of kind {parts.scheme!r}: wanted sqlite:///PATH "
        "or postgresql://USER:PASSWORD@HOST:PORT/NAME"
    )


def mail_server(url: str) -> dict[str, object]:
    """Arguments of Django's SMTP backend for `smtp://`, `smtp+starttls://` or `smtps://`
    `[user:password@]host[:port]`. Raises `SettingError`."""
    ports = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
    parts = urlparse(url)
    try:
        port = parts.port
    except ValueError:
        port = 0
    if parts.scheme not in ports or not parts.hostname or port == 0 or parts.path.strip("/"):
        raise SettingError(
            "JINGWEI_MAIL: wanted smtp://HOST:PORT, smtp+starttls://USER:PASSWORD@HOST:PORT"
            " or smtps://USER:PASSWORD@HOST:PORT"
        )
    return {
        "host": parts.hostname,
        "port": port or ports[parts.scheme],
        "username": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "use_tls": parts.scheme == "smtp+starttls",
        "use_ssl": parts.scheme == "smtps",
    }


def webhook_hosts(text: str) -> tuple[str, ...]:
    """Origins such as `https://host` or `http://10.1.2.3:8080`, separated by commas."""
    found = []
    for part in filter(None, (p.strip().rstrip("/").lower() for p in text.split(","))):
        parts = urlparse(part)
        if parts.scheme not in ("http", "https") or part != f"{parts.scheme}://{parts.netloc}":
            raise SettingError(
                f"JINGWEI_WEBHOOK_HOSTS: {part!r} is no origin such as https://oapi.dingtalk.com"
            )
        if not parts.hostname or "@" in parts.netloc:
            raise SettingError(f"JINGWEI_WEBHOOK_HOSTS: {part!r} names no host")
        found.append(part)
    return tuple(found)


def tile_host(url: str) -> str:
    """Scheme and host of a tile URL, for the content security policy (`{s}` becomes a wildcard)."""
    parts = urlparse(url)
    return f"{parts.scheme}://{parts.netloc.replace('{s}', '*')}"
