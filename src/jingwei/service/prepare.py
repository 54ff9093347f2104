"""What must be there before the system runs: folders, tables, static files, the demo city."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

from jingwei.config.environment import Environment, SettingError, private

PACKAGE = Path(__file__).resolve().parent.parent
DEMO = "demo.json"  # in the data folder: the demo city was loaded here


def migrate() -> int:
    """Bring the tables up to date; returns how many migrations were applied. Where rows are
    guarded (PostgreSQL), they are afterwards, even if an earlier run ended before that."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from jingwei.bureau import rows

    rows.ready()
    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if plan:
        call_command("migrate", verbosity=0, interactive=False)
    if any(rows.missing()):
        rows.install()
    return len(plan)


def static_files(env: Environment) -> bool:
    """Collect static files where they changed since the last time; True if there was work."""
    from django.core.management import call_command

    digest = hashlib.sha256()
    for folder in sorted(PACKAGE.glob("bureau/*/static")):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                stat = path.stat()
                digest.update(
                    f"{path.relative_to(PACKAGE)} {stat.st_size} {stat.st_mtime_ns}\n".encode()
                )
    stamp = env.data / "static" / ".stamp.json"
    wanted = {"digest": digest.hexdigest()}
    if stamp.exists() and json.loads(stamp.read_text()) == wanted:
        return False
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    stamp.write_text(json.dumps(wanted))
    return True


def base_map(env: Environment) -> None:
    """Put a local PMTiles archive where the web server finds it (it answers byte ranges)."""
    link = env.data / "static" / "base.pmtiles"
    link.unlink(missing_ok=True)
    if env.tiles_file:
        link.symlink_to(env.tiles_file)


def folders(env: Environment) -> None:
    """Make the folders of the data folder, readable by their owner only."""
    private(env.data)
    for path in (env.journal, env.refused, env.lake, env.evidence, env.media, env.run):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)


def everything(env: Environment, say: Callable[[str], None]) -> None:
    """All of it, in order; each step says what it does and is quick when there is nothing to do."""
    from jingwei.bureau.registry import services as registry

    if not env.demo and (env.data / DEMO).exists():
        raise SettingError(
            f"{env.data} holds the demo city, whose accounts have a password that everybody knows; "
            "set JINGWEI_DATA to another folder, or JINGWEI_PROFILE=demo"
        )
    folders(env)
    applied = migrate()
    if applied:
        say(f"database: {applied} migrations applied")
    if static_files(env):
        say("static files: collected")
    base_map(env)
    if env.demo:
        from jingwei import demo

        demo.load()
    registry.publish_register()
