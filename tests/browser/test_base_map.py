"""The base map is a setting: here a PMTiles archive on this machine, served in byte ranges."""

from __future__ import annotations

import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from pmtiles.tile import Compression, TileType, zxy_to_tileid
from pmtiles.writer import Writer

from network import free_port
from waiting import wait_until


def png() -> bytes:
    """One grey pixel."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")
        )

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", (1).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0]))
        + chunk(b"IDAT", zlib.compress(b"\0\x80"))
        + chunk(b"IEND", b"")
    )


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "city.pmtiles"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.write_tile(zxy_to_tileid(0, 0, 0), png())
        writer.finalize(
            {
                "tile_type": TileType.PNG,
                "tile_compression": Compression.NONE,
                "min_zoom": 0,
                "max_zoom": 0,
                "min_lon_e7": -1800000000,
                "min_lat_e7": -850000000,
                "max_lon_e7": 1800000000,
                "max_lat_e7": 850000000,
                "center_zoom": 0,
                "center_lon_e7": 0,
                "center_lat_e7": 0,
            },
            {},
        )
    return path


def test_a_local_archive_is_the_base_map(system, person: Callable, archive: Path) -> None:
    port = free_port()
    env = {**system.env, "JINGWEI_TILES": str(archive), "JINGWEI_HTTP": f"127.0.0.1:{port}"}
    link = system.data / "static" / "base.pmtiles"
    code = (
        "import django; django.setup()\n"
        "from jingwei.config import environment\n"
        "from jingwei.service import prepare\n"
        "prepare.base_map(environment.read())"
    )
    subprocess.run(
        [sys.executable, "-c", code],
        env={**env, "DJANGO_SETTINGS_MODULE": "jingwei.config.settings"},
        check=True,
    )
    web = subprocess.Popen([sys.executable, "-m", "jingwei.cli", "web", "--workers", "1"], env=env)
    try:
        other = type(system)(
            web, env, f"http://127.0.0.1:{port}", system.gateway, system.data, system.log
        )

        def up() -> bool:
            try:
                return bool(other.health())
            except OSError:
                return False

        wait_until(up, 30)
        who = person("dispatcher", at=other)
        ranges = []
        who.page.on(
            "response",
            lambda r: ranges.append(r.status) if r.url.endswith("base.pmtiles") else None,
        )
        who.page.goto("/")
        who.page.wait_for_selector("[data-map][data-ready]")
        wait_until(lambda: 206 in ranges, 20, 0.1)
        who.page.wait_for_timeout(500)
        assert not who.errors
    finally:
        web.terminate()
        web.wait(20)
        link.unlink()
