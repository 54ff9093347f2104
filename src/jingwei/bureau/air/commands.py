"""`jingwei trace`, `jingwei air …`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer


def attach(app: typer.Typer) -> None:
    from jingwei.bureau.air import dispersion_commands, forecast_commands, hotgrid_commands

    app.command()(trace)
    air = typer.Typer(
        no_args_is_help=True, help="The city's air: forecast, weather, satellites, hot grids."
    )
    forecast_commands.attach(air)
    hotgrid_commands.attach(air)
    dispersion_commands.attach(air)
    app.add_typer(air, name="air")


def trace(
    station: Annotated[str, typer.Option(help="Device number (MN) or station code.")],
    start: Annotated[datetime, typer.Option("--from", help="First hour, local time.")],
    end: Annotated[datetime, typer.Option("--to", help="End, local time; at most 72 hours later.")],
    factor: Annotated[str, typer.Option(help="Pollutant (HJ 524 code).")] = "a34004",
    first: Annotated[int, typer.Option(help="How many sources to list.")] = 20,
) -> None:
    """Which sources may be behind what an air station measured: a ranked list with its doubts.

    The answer is kept and can be opened in the console. Exit codes: 0 answered, 1 no answer
    possible (the reason is said), 2 the question cannot be asked.
    """
    import django

    django.setup()
    from django.db.models import Q
    from django.utils import timezone, translation
    from rich.console import Console
    from rich.table import Table

    from jingwei.bureau.air import selectors, services
    from jingwei.bureau.air.models import Trace
    from jingwei.bureau.air.tracing import LONGEST
    from jingwei.bureau.registry.models import Point

    out, err = Console(highlight=False), Console(stderr=True, soft_wrap=True)
    here = timezone.get_default_timezone()
    begin, until = (m.replace(minute=0, second=0, tzinfo=m.tzinfo or here) for m in (start, end))
    found = Point.objects.filter(
        Q(mn=station) | Q(station_code=station), kind=Point.Kind.AIR_STATION
    )
    point = found.select_related("region").first()
    if point is None:
        err.print(f"no air station {station!r}: give its MN or station code", markup=False)
        raise typer.Exit(2)
    if not timezone.timedelta(0) < until - begin <= LONGEST:
        err.print("--to must be after --from, by 72 hours at most", markup=False)
        raise typer.Exit(2)
    with translation.override("en"):
        done = services.run(services.ask(None, point, factor, begin, until))
        if done.state == Trace.State.REFUSED:
            err.print(selectors.why(done), markup=False)
            raise typer.Exit(1)
        rows = selectors.lines(None, done, limit=first)
        out.print(selectors.verdict(done, rows), markup=False)
        figures = done.result
        out.print(
            f"Increment {figures['increment']} µg/m³; explained by known emissions"
            f" {figures['explained']}, by likely ones {figures['likely']}.",
            markup=False,
        )
        table = Table(
            "source", "known from", "g/s known", "likely", "5–95 %", "µg/m³ known", "likely", "5–95 %",
            "P(> 3 x)", "km", "",
        )  # fmt: skip
        for x in rows:
            table.add_row(
                f"{x.outlet.enterprise.name} {x.outlet.code}", x.basis, f"{x.rate:.3g}",
                *((f"{x.rates[0]:.3g}", f"{x.rates[1]:.3g}–{x.rates[2]:.3g}") if x.rates else ("–", "–")),
                f"{x.known:.3g}",
                f"{x.likely:.3g}", f"{x.low:.3g}–{x.high:.3g}", f"{x.probability:.2f}",
                f"{x.distance / 1000:.1f}", x.bearing,
            )  # fmt: skip
        out.print(table)
        for sentence in selectors.said(done):
            out.print(f"- {sentence}", markup=False)
        out.print(f"Kept as trace {done.pk}.", markup=False)
