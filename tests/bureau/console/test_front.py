"""What reaches the browser: templates and modules keep to the content security policy, every file
they name is there, static files can be collected with hashed names."""

from __future__ import annotations

import json
import posixpath
import re
import sys
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command

ROOT = Path(__file__).parents[3]
BUREAU = ROOT / "src" / "jingwei" / "bureau"
VENDOR = BUREAU / "console" / "static" / "vendor"
# A report in a bundle of evidence stands alone, without a server.
ALONE = BUREAU / "evidencelog/templates/evidencelog/report.html"
TEMPLATES = sorted(set(BUREAU.glob("*/templates/**/*.html")) - {ALONE})
MODULES = [p for p in sorted(BUREAU.glob("*/static/**/*.js")) if VENDOR not in p.parents]
sys.path.insert(0, str(ROOT / "scripts"))
import vendor  # noqa: E402

installed = pytest.mark.skipif(
    not vendor.MANIFEST.exists(), reason="browser libraries are not installed (scripts/vendor.py)"
)


def name(path: Path) -> str:
    return str(path.relative_to(BUREAU))


@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_templates_hold_nothing_inline(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"<style|\sstyle\s*=", text), "style"
    assert not re.search(r"\son[a-z]+\s*=\s*[\"']", text), "event handler"
    assert "javascript:" not in text
    for tag in re.findall(r"<script[^>]*>", text):
        assert "src=" in tag or "application/json" in tag, tag
    assert "|safe" not in text, "unescaped text"


@installed
@pytest.mark.parametrize("path", TEMPLATES, ids=name)
def test_static_files_of_templates_exist(path: Path) -> None:
    for file in re.findall(r"{%\s*static\s+['\"]([^'\"]+)['\"]", path.read_text()):
        assert finders.find(file), file


@installed
@pytest.mark.parametrize("path", MODULES, ids=name)
def test_modules_import_files_that_exist_and_evaluate_no_text(path: Path) -> None:
    text = path.read_text()
    place = str(Path(name(path)).parent).partition("/static/")[2]
    for file in re.findall(r"^import [^;]*?from ['\"]([^'\"]+)['\"];", text, re.MULTILINE):
        assert file.startswith("."), file
        assert finders.find(posixpath.normpath(f"{place}/{file}")), file
    for forbidden in (
        "eval(",
        "new Function",
        ".innerHTML",
        "setAttribute('style'",
        "document.write",
    ):
        assert forbidden not in text, forbidden


@installed
def test_static_files_are_collected_with_hashed_imports(settings, tmp_path: Path) -> None:
    settings.STATIC_ROOT = tmp_path
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "jingwei.config.static.Storage"},
    }
    call_command("collectstatic", interactive=False, verbosity=0)
    paths = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    module = (tmp_path / paths["console/map.js"]).read_text()
    assert paths["vendor/maplibre-gl/maplibre-gl.mjs"].rpartition("/")[2] in module
    assert paths["console/time.js"].rpartition("/")[2] in module


# The browser libraries ------------------------------------------------------------------------


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "package-lock.json").read_text()
    assert "http" not in re.sub(r'"funding": \{.*?\}', "", lock, flags=re.DOTALL)
    packages = json.loads(lock)["packages"]
    assert all("integrity" in entry for key, entry in packages.items() if key)


def test_versions_are_pinned() -> None:
    wanted = json.loads((ROOT / "package.json").read_text())["dependencies"]
    assert wanted == {"echarts": "6.1.0", "maplibre-gl": "6.17.0", "pmtiles": "4.5.0"}


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """node_modules and target of `vendor` in a folder of the test."""
    monkeypatch.setattr(vendor, "MODULES", tmp_path / "node_modules")
    monkeypatch.setattr(vendor, "TARGET", tmp_path / "vendor")
    monkeypatch.setattr(vendor, "MANIFEST", tmp_path / "vendor" / "MANIFEST.json")
    for package, files in vendor.FILES.items():
        for source in files:
            path = tmp_path / "node_modules" / package / source
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{package} {source}")
    return tmp_path


def test_vendor_knows_what_is_up_to_date(elsewhere: Path) -> None:
    assert not vendor.up_to_date()
    vendor.copy()
    assert vendor.up_to_date()
    changed = elsewhere / "vendor" / "echarts" / "echarts.mjs"
    changed.write_text("tampered")
    assert not vendor.up_to_date()
    vendor.copy()
    assert changed.read_text() == "echarts dist/echarts.esm.min.mjs"
    changed.unlink()
    assert not vendor.up_to_date()


def test_vendor_copies_a_licence_for_every_library() -> None:
    for package, files in vendor.FILES.items():
        if "LICENSE.txt" not in files.values():
            assert "Redistribution" in vendor.LICENCES[package].read_text()


def test_vendor_says_what_to_do_without_a_registry(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(vendor, "npm", lambda: (["/no/such/npm"], {}))
    assert vendor.main() == 1
    assert "registry" in capsys.readouterr().err
