"""`jingwei monitor …`: the detectors over the lake, by hand."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated

import typer

monitor = typer.Typer(
    name="monitor", help="The detectors over the outlets of the lake.", no_args_is_help=True
)
Outlet = Annotated[
    str,
    typer.Option(help="USCC/CODE of one outlet, such as 91110105MA00000018/DA001; default: all."),
]
Until = Annotated[str, typer.Option(help="Judge until the start of this day (YYYY-MM-DD).")]


def attach(app: typer.Typer) -> None:
    app.add_typer(monitor)


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
