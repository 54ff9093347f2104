from __future__ import annotations

import errno
import json
import stat
import threading
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import pytest

from jingwei.telemetry import register as register_module
from jingwei.telemetry.register import Device, Register, RegisterError, load, write
from waiting import wait_until


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / "register.json"
    device = Device(
        "A" * 24, "123456", "2025", ("31", "32"), "锅炉", True, ("10.0.0.0/8",), ("lower",)
    )
    write(path, [device, Device("B" * 24, "654321", enabled=False)])
    register = Register(path)
    assert register.get("A" * 24) == device
    assert register.get("B" * 24) == Device("B" * 24, "654321", enabled=False)
    assert register.get("C" * 24) is None
    assert len(register) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600, "the file holds passwords"


def test_a_change_is_seen_at_once_and_a_broken_file_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("jingwei.telemetry.register.FRESH", 0.0)
    path = tmp_path / "register.json"
    register = Register(path)
    assert register.get("A") is None
    assert "missing" in register.problem
    write(path, [Device("A", "1")])
    assert register.get("A") == Device("A", "1")
    assert register.problem == ""
    path.write_text(path.read_text()[:-5])
    assert register.get("A") == Device("A", "1"), "the last good register stays in force"
    assert str(path) in register.problem
    write(path, [Device("B", "2")])
    assert (register.get("A"), register.problem) == (None, "")
    path.write_text(json.dumps({"devices": [{"mn": "A"}]}))
    assert register.get("B") is not None
    assert "device 1" in register.problem
    path.unlink()
    assert register.get("B") is not None


def test_a_large_register_is_read_beside_and_taken_all_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr("jingwei.telemetry.register.FRESH", 0.0)
    monkeypatch.setattr("jingwei.telemetry.register.LARGE", 1000)
    path = tmp_path / "register.json"
    many = [Device(f"{n:024d}", "old", name=f"n{n}") for n in range(50)]
    write(path, many)
    register = Register(path)
    assert len(register) == 50, "at the start it is waited for"
    may, real = threading.Event(), register_module._load

    def slow(at):
        found = real(at)
        assert may.wait(20)
        return found

    monkeypatch.setattr(register_module, "_load", slow)
    write(path, [replace(d, password="new", name="") for d in many[1:]])
    assert register.get(many[0].mn).password == "old"
    assert register.find("n7") == many[7].mn
    may.set()
    wait_until(lambda: register.get(many[0].mn) is None, 20, 0.01)
    assert {register.get(d.mn).password for d in many[1:]} == {"new"}
    assert register.find("n7") is None
    path.write_text(path.read_text()[:-5])
    wait_until(lambda: register.get(many[1].mn) and register.problem, 20, 0.01)
    assert register.get(many[1].mn).password == "new", "the last good register stays in force"
    write(path, many)
    wait_until(lambda: register.get(many[0].mn), 20, 0.01)
    assert register.problem == ""


def test_a_register_written_otherwise_is_read_too(tmp_path):
    path = tmp_path / "register.json"
    rows = [Device("A", "1"), Device("B", "2", networks=("10.0.0.0/8",), name="a\n]}")]
    write(path, rows)
    lines = load(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=1))
    assert load(path) == lines == {d.mn: d for d in rows}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOENT])
def test_a_read_error_that_passes_is_got_over(tmp_path, monkeypatch, number):
    path = tmp_path / "register.json"
    write(path, [Device("A", "old")])
    register = Register(path)
    monkeypatch.setattr("jingwei.telemetry.register.FRESH", 0.0)
    register._fresh = 0.0
    write(path, [Device("A", "new")])
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", Mock(side_effect=OSError(number, "passing")))
        found = register.get("A")
        assert found, "the register was emptied"
        assert found.password == "old", "the last good register stays in force"
        assert "passing" in register.problem
    assert register.get("A").password == "new"
    assert register.problem == ""


@pytest.mark.parametrize(
    ("devices", "text"),
    [
        ([Device("A", "1"), Device("A", "2")], "twice"),
        ([Device("A", "1", networks=("10.0.0.0/99",))], "network"),
        ([Device("A", "1", version="2011")], "version"),
    ],
)
def test_a_register_that_means_nothing_is_not_written(tmp_path, devices, text):
    path = tmp_path / "register.json"
    write(path, [Device("Z", "1")])
    with pytest.raises(RegisterError, match=text):
        write(path, devices)
    assert Register(path).get("Z") is not None
    assert [p.name for p in tmp_path.iterdir()] == ["register.json"]


@pytest.mark.parametrize(
    ("networks", "host", "allowed"),
    [
        ((), "198.51.100.7", True),
        (("10.1.0.0/16",), "10.1.2.3", True),
        (("10.1.0.0/16",), "10.2.0.1", False),
        (("10.1.0.0/16",), "::ffff:10.1.2.3", True),
        (("10.1.0.0/16", "2001:db8::/32"), "2001:db8::1", True),
        (("2001:db8::/32",), "10.1.2.3", False),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("10.1.0.0/16",), "not an address", False),
    ],
)
def test_networks(networks, host, allowed):
    assert Device("A", "1", networks=networks).allows(host) is allowed
