"""The device register: who may send, as one JSON file that the gateway reads.

The office publishes it (`write`) from the points it has enabled; the gateway only reads. The file
holds the devices' passwords (HJ 212 sends them in the clear) and has mode 0600.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any

from jingwei.hj212 import VERSIONS
from jingwei.telemetry.keys import NAME, KeyBox, SealError

LARGE = 256 << 10  # bytes: a file of more is read in a thread, so that nothing waits for it
FRESH = 0.05  # seconds for which a look at the file is enough


class RegisterError(ValueError):
    """The register cannot be used; the text says where and why."""


@dataclass(frozen=True, slots=True)
class Device:
    """One logger. `systems`: the system types (ST) registered for it, empty for any;
    `networks`: CIDR networks it may send from, empty for any; `dialects`: names of CRC dialects
    accepted from it; `version`: "2005", "2017" or "2025"; `keys`: its SM4 keys, the present one
    first, sealed (`keys.KeyBox`); `form`: how it writes ciphertext (`hj212.sm4.FORMS`)."""

    mn: str
    password: str
    version: str = "2017"
    systems: tuple[str, ...] = ()
    name: str = ""
    enabled: bool = True
    networks: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    form: str = "raw"

    def allows(self, host: str) -> bool:
        """Whether the device may send from this IP address."""
        if not self.networks:
            return True
        try:
            address = ip_address(host.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        if mapped is not None:
            address = mapped
        return any(
            address in network
            for network in map(_network, self.networks)
            if network.version == address.version
        )


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network:
    return ip_network(text, strict=False)


def write(path: Path, devices: Iterable[Device]) -> None:
    """Replace the register atomically (mode 0600), durable before it returns.

    Raises `RegisterError` for an MN that occurs twice, a version or network that is none.
    """
    rows = list(devices)
    seen: set[str] = set()
    for device in rows:
        if device.mn in seen:
            raise RegisterError(f"MN {device.mn} occurs twice in the register")
        seen.add(device.mn)
        if device.version not in VERSIONS:
            raise RegisterError(f"MN {device.mn}: version {device.version!r}")
        for network in device.networks:
            try:
                _network(network)
            except ValueError as error:
                raise RegisterError(f"MN {device.mn}: network {network!r}: {error}") from None
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=".register-", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as f:
            # A device a line: whoever reads it never holds the interpreter for long.
            f.write(_HEAD + "\n")
            for number, device in enumerate(rows, 1):
                row = {name: getattr(device, name) for name in _FIELDS}
                end = "," if number < len(rows) else ""
                f.write(json.dumps(row, ensure_ascii=False) + end + "\n")
            f.write(_FOOT)
            f.flush()
            os.fsync(f.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def load(path: Path) -> dict[str, Device]:
    """All devices by MN; raises `RegisterError` with the place of the first mistake."""
    try:
        return _load(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RegisterError(f"{path} cannot be read: {error}") from None


_HEAD, _FOOT = '{"format": 1, "devices": [', "]}"
_FIELDS = tuple(field.name for field in fields(Device))


def _load(path: Path) -> dict[str, Device]:
    devices: dict[str, Device] = {}
    for number, row in enumerate(_rows(path), 1):
        try:
            device = _device(row)
        except (KeyError, TypeError, ValueError) as error:
            raise RegisterError(f"{path}, device {number}: {error!r}") from None
        devices[device.mn] = device
    return devices


def _rows(path: Path) -> Iterator[Any]:
    """The devices as they stand in the file, line by line where it is as `write` makes it."""
    try:
        text = path.read_text(encoding="utf-8")
        lines = text.split("\n")
        if lines[0] == _HEAD and lines[-1] == _FOOT:
            for line in lines[1:-1]:
                yield json.loads(line.removesuffix(","))
            return
        content = json.loads(text)
    except ValueError as error:
        raise RegisterError(f"{path} cannot be read: {error}") from None
    rows = content.get("devices") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise RegisterError(f"{path} has no list of devices")
    yield from rows


def _device(row: dict[str, Any]) -> Device:
    for network in row.get("networks", ()):
        _network(network)
    if str(row.get("version") or "2017") not in VERSIONS:
        raise ValueError(f"version {row['version']!r}: wanted one of {', '.join(VERSIONS)}")
    return Device(
        mn=str(row["mn"]),
        password=str(row["password"]),
        version=str(row.get("version") or "2017"),
        systems=tuple(map(str, row.get("systems", ()))),
        name=str(row.get("name", "")),
        enabled=bool(row.get("enabled", True)),
        networks=tuple(map(str, row.get("networks", ()))),
        dialects=tuple(map(str, row.get("dialects", ()))),
        keys=tuple(map(str, row.get("keys", ()))),
        form=str(row.get("form") or "raw"),
    )


class Register:
    """The register as a process sees it; read again whenever the file has changed.

    A file that cannot be read leaves the last good register in force and sets `problem`. The SM4
    keys are opened with the key file beside the register.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.box = KeyBox(path.with_name(NAME))
        # Opened keys, and the sealed ones that they are of.
        self._keys: dict[str, tuple[tuple[str, ...], tuple[bytes, ...]]] = {}
        self._fresh = 0.0  # until then the file is not looked at
        self._stamp: tuple[int, int, int] | None = None
        self._devices: dict[str, Device] = {}
        self._names: tuple[dict[str, Device], dict[str, list[Device]]] | None = None
        self._reading: threading.Thread | None = None
        self.problem = ""
        self._refresh()

    def _refresh(self) -> None:
        now = time.monotonic()
        if now < self._fresh:
            return
        self._fresh = now + FRESH
        try:
            status = self._path.stat()
        except OSError:
            if not self.problem and not self._devices:
                self.problem = f"{self._path} is missing: every telegram is refused"
            return
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp == self._stamp:
            return
        if self._devices and status.st_size > LARGE:
            if self._reading is None or not self._reading.is_alive():
                self._reading = threading.Thread(
                    target=self._read, args=(stamp,), name="register", daemon=True
                )
                self._reading.start()
            return  # the last good register is in force until then
        self._read(stamp)

    def _read(self, stamp: tuple[int, int, int]) -> None:
        try:
            devices = _load(self._path)
        except OSError as error:  # may pass: tried again at the next look
            self.problem = f"{self._path} cannot be read: {error}"
            return
        except RegisterError as error:
            self.problem = str(error)
        else:
            self._devices = devices  # all at once
            self.problem = ""
        self._stamp = stamp

    def get(self, mn: str) -> Device | None:
        """The device with this MN as the file says now, or None."""
        self._refresh()
        return self._devices.get(mn)

    def find(self, name: str, st: str = "") -> str | None:
        """The number of the device that is called so, by its number or its name, and may send for
        this system type; None where there is none, or several of the name."""
        device = self.get(name)
        if device is None:
            known = self._devices
            if self._names is None or self._names[0] is not known:
                names: dict[str, list[Device]] = {}
                for one in known.values():
                    names.setdefault(one.name, []).append(one)
                self._names = known, names
            some = self._names[1].get(name, []) if name else []
            device = some[0] if len(some) == 1 else None
        if device is None or not device.enabled:
            return None
        return device.mn if not st or not device.systems or st in device.systems else None

    def keys(self, mn: str) -> tuple[bytes, ...]:
        """The device's SM4 keys, the present one first; what cannot be opened is left out and
        said in `problem`."""
        device = self.get(mn)
        if device is None or not device.keys:
            return ()
        sealed_, opened = self._keys.get(mn, ((), ()))
        if sealed_ != device.keys:
            found = []
            for sealed in device.keys:
                try:
                    found.append(self.box.open(mn, sealed))
                except SealError as error:
                    self.problem = str(error)
            opened = tuple(found)
            self._keys[mn] = device.keys, opened
        return opened

    def __len__(self) -> int:
        self._refresh()
        return len(self._devices)
