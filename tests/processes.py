"""Processes beside the tests': how they find the tests' database, and a Dask cluster."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path


def database() -> str:
    """The tests' own database, as `JINGWEI_DATABASE` names it."""
    from django.db import connection

    found = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{found['NAME']}"
    who = f"{found['USER']}:{found['PASSWORD']}" if found["PASSWORD"] else found["USER"]
    return f"postgresql://{who}@{found['HOST']}:{found['PORT']}/{found['NAME']}"


@contextlib.contextmanager
def dask_cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and two workers, processes of their own: its address, the workers."""
    address = folder / "scheduler.json"
    start = [sys.executable, "-m"]
    common = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [
        subprocess.Popen(
            [*start, "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
             "--no-dashboard", "--no-show", "--scheduler-file", str(address)], **common,
        )
    ]  # fmt: skip
    while not address.exists() or not address.read_text().strip():
        assert processes[0].poll() is None
        time.sleep(0.1)
    workers = [
        subprocess.Popen(
            [*start, "distributed.cli.dask_worker", "--scheduler-file", str(address),
             "--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny",
             "--local-directory", str(folder / f"worker{k}")], **common,
        )
        for k in range(2)
    ]  # fmt: skip
    try:
        yield json.loads(address.read_text())["address"], workers
    finally:
        for process in [*workers, *processes]:
            process.kill()
            process.wait()
