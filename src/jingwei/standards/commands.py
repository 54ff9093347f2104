"""`jingwei aqi`, `jingwei air-year`, `jingwei water-class` and `jingwei dmr`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from jingwei.standards.files import Outcome


def attach(app: typer.Typer) -> None:
    app.command("aqi")(aqi)
    app.command("air-year")(air_year)
    app.command("water-class")(water_class)
    app.command("dmr")(dmr)


@contextmanager
def _bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on stderr, where that is a terminal."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(text, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"jingwei: {error}", err=True)
    return typer.Exit(2)


def _tell(outcome: Outcome, target: Path) -> None:
    typer.echo(f"{outcome.rows} rows, {outcome.judged} judged, written to {target}", err=True)
    reasons = outcome.empty.most_common()
    for reason, count in reasons[:8]:
        typer.echo(f"  {count} without a result: {reason}", err=True)
    if rest := sum(count for _, count in reasons[8:]):
        typer.echo(f"  {rest} without a result: other combinations of missing items", err=True)
    if outcome.compared:
        share = 100 * outcome.agree / outcome.compared
        typer.echo(
            f"  official results in the file: {outcome.agree} of {outcome.compared} agree"
            f" ({share:.2f} %)",
            err=True,
        )


def aqi(
    file: Annotated[Path, typer.Argument(help="CSV with the columns of the national feed.")],
    out: Annotated[Path, typer.Option(help="Where to write the file with the new columns.")],
    feed: Annotated[
        str | None, typer.Option(help="cnemc: the feed's two ozone columns are swapped.")
    ] = None,
    edition: Annotated[
        str, typer.Option(help="auto (by the date of each row), 2012 or 2026.")
    ] = "auto",
    period: Annotated[str, typer.Option(help="hour or day.")] = "hour",
) -> None:
    """Add the air quality index, its class and the primary pollutants (HJ 633).

    Adds jw_aqi, jw_class and jw_primary. Rows with a missing item stay empty where HJ 633 says so;
    the reasons are counted on stderr. Exit code 2: the file cannot be used.
    """
    from jingwei.standards import files

    if period not in ("hour", "day"):
        raise _fail(files.FileError(f"period {period!r}: wanted hour or day"))
    try:
        with _bar("AQI") as progress:
            outcome = files.judge_aqi(
                file,
                out,
                feed=feed,
                edition=edition,
                period="hour" if period == "hour" else "day",
                progress=progress,
            )
    except (files.FileError, OSError) as error:
        raise _fail(error) from error
    _tell(outcome, out)
    for line in outcome.different[:20]:
        typer.echo(f"  row {line}: the official result is another", err=True)


def air_year(
    file: Annotated[
        Path,
        typer.Argument(help="CSV of hourly values: station, time, so2, no2, pm10, pm25, co, o3."),
    ],
    year: Annotated[int, typer.Option(help="The calendar year that is evaluated.")],
    out: Annotated[Path, typer.Option(help="Where to write the evaluation.")],
) -> None:
    """Evaluate a year of ambient air by station and for the city (HJ 663-2013, from memory).

    Writes for each place (the city: *) and pollutant the valid days, mean, percentile, days over
    the limit, whether class II was reached, and the single index. Exit code 2: the file or the year
    cannot be used.
    """
    from jingwei.standards import air_year as years
    from jingwei.standards import files

    try:
        lines, left = years.write(file, year, out)
    except (files.FileError, OSError, ValueError) as error:
        raise _fail(error) from error
    typer.echo(f"{lines} evaluations written to {out}", err=True)
    for reason, count in left.most_common():
        typer.echo(f"  {count} left out: {reason}", err=True)


def water_class(
    file: Annotated[Path, typer.Argument(help="CSV with the columns of the national feed.")],
    out: Annotated[Path, typer.Option(help="Where to write the file with the new column.")],
    lakes: Annotated[
        Path | None,
        typer.Option(help="Names of sections in lakes and reservoirs, one a line."),
    ] = None,
    explain: Annotated[
        Path | None, typer.Option(help="Write every disagreement with the official class here.")
    ] = None,
) -> None:
    """Add the surface water class of GB 3838-2002 as jw_class.

    A section whose name says that it stands in a lake or reservoir is judged by the phosphorus
    limits of lakes, and so are those in the file of --lakes. Exit code 2: the file cannot be used.
    """
    import csv

    from jingwei.standards import files

    try:
        names: frozenset[str] = frozenset()
        if lakes is not None:
            try:
                text = lakes.read_text("utf-8-sig")
            except UnicodeDecodeError as error:
                raise files.FileError(f"{lakes}: is not UTF-8 text") from error
            names = frozenset(line.strip() for line in text.splitlines() if line.strip())
        with _bar("Water class") as progress:
            outcome, different = files.judge_water(file, out, lakes=names, progress=progress)
        if explain is not None:
            with explain.open("w", encoding="utf-8", newline="") as f:
                writer = csv.writer(f, lineterminator="\n")
                writer.writerow(["row", "section", "official", "jw_class", "levels", "reason"])
                for d in different:
                    writer.writerow([d.line, d.name, d.official, d.ours, d.levels, d.reason])
    except (files.FileError, OSError) as error:
        raise _fail(error) from error
    _tell(outcome, out)
    for d in different if explain is None else []:
        typer.echo(f"  {d.name}: official {d.official}, here {d.ours}: {d.reason}", err=True)


def dmr(
    file: Annotated[Path, typer.Argument(help="CSV of an EPA ECHO effluent chart.")],
    out: Annotated[Path, typer.Option(help="Where to write the file with the new columns.")],
) -> None:
    """Find the effluent violations in US EPA discharge monitoring reports.

    Adds jw_violation (E90 or empty) and jw_exceedance_pct (whole per cent beyond the limit); rows
    and columns stay as they are. What was not judged is counted on stderr, with the reason. Exit
    code 2: the file cannot be used.
    """
    from jingwei.standards import files

    try:
        with _bar("Discharge reports") as progress:
            outcome = files.judge_dmr(file, out, progress=progress)
    except (files.FileError, OSError) as error:
        raise _fail(error) from error
    _tell(outcome, out)
    for line in outcome.different[:20]:
        typer.echo(f"  row {line}: the official result is another", err=True)
