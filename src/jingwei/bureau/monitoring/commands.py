"""`jingwei monitor …`: the rules and the detectors over the lake, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Annotated

import typer

monitor = typer.Typer(
    name="monitor", help="The rules and the detectors over the lake.", no_args_is_help=True
)
Outlet = Annotated[
    str,
    typer.Option(help="USCC/CODE of one outlet, such as 91110105MA00000018/DA001; default: all."),
]
Until = Annotated[str, typer.Option(help="Judge until the start of this day (YYYY-MM-DD).")]


def attach(app: typer.Typer) -> None:
    app.add_typer(monitor)


def clock() -> datetime:
    return datetime.now(UTC)


def _fail(text: str) -> typer.Exit:
    typer.echo(f"jingwei: {text}", err=True)
    return typer.Exit(2)


@monitor.command()
def detect(
    outlet: Outlet = "",
    until: Until = "",
    processes: Annotated[
        int, typer.Option(min=0, help="Processes on this machine; 0: work in this one.")
    ] = 0,
) -> None:
    """Judge now what the worker judges once a day; findings and evidence are kept.

    Prints one line an outlet and, to standard error, what is not judged and why. Exit codes: 0
    done, 2 an option cannot be used, 3 an outlet could not be judged.
    """
    _run(outlet, until, processes, fresh=False)


@monitor.command()
def fit(
    outlet: Outlet = "",
    until: Until = "",
    processes: Annotated[
        int, typer.Option(min=0, help="Processes on this machine; 0: work in this one.")
    ] = 0,
) -> None:
    """Learn anew with what officers found since, then judge; else like `detect`."""
    _run(outlet, until, processes, fresh=True)


@monitor.command()
def year(
    year: Annotated[int, typer.Argument(min=2000, max=9998, help="A local calendar year.")],
    month: Annotated[int, typer.Option(min=0, max=12, help="This month alone; 0: all.")] = 0,
    point: Annotated[
        list[str] | None,
        typer.Option(help="MN-ST of a point; may be given several times. Default: all."),
    ] = None,
    exceedances: Annotated[
        bool,
        typer.Option(
            "--exceedances",
            help="Hold the exceedances of hours alone against those that stand: many times as fast.",
        ),
    ] = False,
    processes: Annotated[
        int, typer.Option(min=0, help="Processes on this machine; 0: as many as cores.")
    ] = 0,
) -> None:
    """Judge a year anew and hold it against the judgements that stand; nothing is changed.

    Every hour and day up to yesterday, by the rules, limits and marks of today: hour means,
    validity, conversion, limits. Prints a JSON object for each factor of a point (hours and days
    there, valid, over a limit), one for each difference (absent: nothing stands; gone: what stands
    has no data; other), and a summary to standard error. Works per month and shard of points on
    this machine's cores or on Dask (JINGWEI_EXECUTOR), whose workers see the data folder and the
    database. With --exceedances all hours go through the limits by arrays, and only those over a limit
    are judged whole: the same exceedances, without the validity of all other values. Exit codes: 0 all as it stands, 1 there are differences, 2 it cannot be done.
    """
    import json
    from dataclasses import asdict
    from datetime import date

    import django

    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from jingwei.bureau.monitoring import anew, sweep
    from jingwei.bureau.monitoring.models import Cursor
    from jingwei.bureau.registry.models import Point
    from jingwei.telemetry.executor import ExecutorError, executor
    from jingwei.telemetry.lake import Lake, LakeError

    now = clock()
    start = date(year, month or 1, 1)
    end = date(year + (month in (0, 12)), month % 12 + 1 if month else 1, 1)
    end = min(end, timezone.localtime(now).date())
    if start >= end:
        raise _fail(f"of {start:%Y-%m} no day is over yet")
    keys = {p.key: p.pk for p in Point.objects.only("mn", "st")}
    if unknown := sorted(set(point or ()) - set(keys)):
        raise _fail(f"no point {unknown[0]!r}; wanted MN-ST as in the registry")
    chosen = [keys[name] for name in point] if point else list(keys.values())
    try:
        lake = Lake(settings.ENV.lake)
        cursors = dict(Cursor.objects.values_list("name", "batch"))
        if any(lake.changes(cursors.get(f"judge-{p}", 0), p, 1) for p in ("hour", "day")):
            typer.echo("the worker has not judged all of the lake yet", err=True)
        engine = executor(settings.ENV.executor, processes or None)
        found = (sweep if exceedances else anew).run(
            settings.ENV.lake, chosen, start, end, now, engine
        )
    except (ExecutorError, LakeError, anew.AnewError) as error:
        raise _fail(str(error)) from None
    for (name, factor), tally in sorted(found.tallies.items()):
        told = {"hours": tally.hours, "over": tally.over} if exceedances else asdict(tally)
        typer.echo(json.dumps({"point": name, "factor": factor, **told}))
    for difference in found.differences:
        typer.echo(json.dumps(asdict(difference)))
    what = "hours judged whole" if exceedances else "hours and days"
    typer.echo(
        f"{start} to {end - timedelta(days=1)}: {found.judged} {what} of {len(chosen)}"
        f" points, {found.count} differ from what stands, {found.waiting} wait to be judged again",
        err=True,
    )
    if found.count:
        raise typer.Exit(1)


def _run(outlet: str, until: str, processes: int, *, fresh: bool) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.utils import timezone

    from jingwei.bureau.monitoring import detection
    from jingwei.bureau.monitoring.models import DetectionWatch
    from jingwei.bureau.registry.models import Outlet as Row
    from jingwei.telemetry.executor import ExecutorError, executor

    chosen = None
    if outlet:
        uscc, _, code = outlet.partition("/")
        found = Row.objects.filter(enterprise__uscc=uscc, code=code).first()
        if found is None:
            raise _fail(f"no outlet {outlet!r}; wanted USCC/CODE as in the registry")
        chosen = [found.pk]
    end = None
    if until:
        try:
            day = datetime.fromisoformat(until).date()
        except ValueError:
            raise _fail(f"--until {until!r}: wanted a day such as 2026-11-20") from None
        end = timezone.make_aware(datetime.combine(day, time.min))
    try:
        by = (
            executor(settings.ENV.executor, processes or None)
            if processes or settings.ENV.executor
            else None
        )
        results = detection.run(datetime.now(UTC), chosen, fresh=fresh, by=by, end=end)
    except ExecutorError as error:
        raise _fail(str(error)) from None
    names = {
        w.outlet_id: f"{w.outlet.enterprise.name} {w.outlet.code}"
        for w in DetectionWatch.objects.select_related("outlet__enterprise")
    }
    for result in sorted(results, key=lambda r: r.outlet):
        name = names[result.outlet]
        for reason in result.reasons:
            typer.echo(f"{name}: not judged: {reason['text']['en']}", err=True)
        if result.error:
            typer.echo(f"{name}: {result.error}", err=True)
            continue
        models = ", ".join(
            f"{k} R² {q['r2']:.2f}" for k, q in result.learnt.get("quality", {}).items()
        )
        typer.echo(f"{name}: {len(result.findings)} findings; {models or 'no model'}")
    if any(r.error for r in results):
        raise typer.Exit(3)
