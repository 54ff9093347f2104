"""`jingwei validate prairie-grass | puffs | chilbolton | ginninderra | city | forecast | pmf` and `trace-files`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jingwei.analysis import validate
from jingwei.analysis.air.apportion.commands import pmf
from jingwei.analysis.air.forecast.commands import forecast
from jingwei.analysis.air.trace_files import trace_files

if TYPE_CHECKING:
    from jingwei.analysis.air.scores import Scores

Report = Annotated[
    Path | None, typer.Option(help="Markdown file whose section of this name is written anew.")
]


def attach(app: typer.Typer) -> None:
    validate.extend(app, "prairie-grass", prairie_grass)
    validate.extend(app, "chilbolton", chilbolton)
    validate.extend(app, "ginninderra", ginninderra)
    validate.extend(app, "city", city)
    validate.extend(app, "puffs", puffs)
    validate.extend(app, "forecast", forecast)
    validate.extend(app, "pmf", pmf)
    app.command("trace-files")(trace_files)


def _row(name: str, s: Scores) -> list[str]:
    figures = [f"{v:.3f}" for v in (s.fac2, s.fb, s.nmse, s.mg, s.vg)]
    return [name, str(s.pairs), *figures]


def _goals(s: Scores | None, fac2: float, fb: float, nmse: float) -> dict[str, Any] | None:
    if s is None:
        return None
    met = s.fac2 >= fac2 and abs(s.fb) <= fb and s.nmse <= nmse
    return {**s.rounded(), "goal": {"fac2": fac2, "fb": fb, "nmse": nmse}, "met": met}


def prairie_grass(
    arcs: Annotated[Path | None, typer.Option(help="Samples; bundled where not given.")] = None,
    met: Annotated[Path | None, typer.Option(help="Meteorology; bundled where not given.")] = None,
    z0: Annotated[float, typer.Option(help="Roughness length, m.")] = 0.006,
    deposition: Annotated[bool, typer.Option(help="Let SO2 deposit.")] = False,
    report: Report = None,
) -> None:
    """Arc maxima of Project Prairie Grass, with and without measured turbulence."""
    from jingwei.analysis.air.field import prairie_grass as field
    from jingwei.analysis.air.field.report import table, write

    with validate.refusing():
        found = field.validate(
            arcs or field.ARCS, met or field.MET, roughness=z0, deposition=deposition
        )
    rows = [_row("all, without sigma-theta", found.without)]
    if found.with_theta is not None:
        rows.insert(0, _row("all, with sigma-theta", found.with_theta))
    rows += [_row(f"{k} sigma-theta", s) for k, s in found.groups.items()]
    text = table(["arcs", "pairs", "FAC2", "FB", "NMSE", "MG", "VG"], rows)
    validate.tell(text)
    for reason, count in found.skipped.items():
        validate.tell(f"left out: {count} {reason}")
    if report is not None:
        with validate.refusing():
            write(report, "prairie-grass" + "-deposition" * deposition, text)
    validate.figures(
        {
            "name": "prairie-grass",
            "runs": len({m.run for m in found.maxima}),
            "pairs": len(found.maxima),
            "deposition": deposition,
            "with_sigma_theta": _goals(found.with_theta, 0.93, 0.08, 0.22),
            "without_sigma_theta": _goals(found.without, 0.90, 0.06, 0.45),
            "left_out": found.skipped,
        }
    )


def chilbolton(
    measurements: Annotated[
        list[Path] | None, typer.Option(help="Beam means per minute; repeat for more releases.")
    ] = None,
    wind: Annotated[list[Path] | None, typer.Option(help="Wind, one file a release.")] = None,
    instruments: Annotated[Path | None, typer.Option(help="Places of sensor and mirrors.")] = None,
    sources: Annotated[Path | None, typer.Option(help="True places and rates.")] = None,
    report: Report = None,
) -> None:
    """Place and rate of methane releases from light beams; the bundled two where nothing is given."""
    from jingwei.analysis.air.field import chilbolton as field
    from jingwei.analysis.air.field.report import table, write

    given: list[Path | str] = [*(measurements or field.MEASUREMENTS)]
    winds: list[Path | str] = [*(wind or field.WIND)]
    with validate.refusing():
        if bool(measurements) != bool(wind) or len(given) != len(winds):
            raise ValueError("give as many --wind as --measurements, in the same order")
        found = [
            field.locate(
                field.read(m, w, instruments or field.INSTRUMENTS, sources or field.SOURCES)
            )
            for m, w in zip(given, winds, strict=True)
        ]
    rows = [
        [
            f.name,
            str(f.minutes),
            f"{f.x:.1f}, {f.y:.1f}",
            f"{f.radius:.1f}",
            "" if f.error is None else f"{f.error:.1f}",
            f"{f.rate * 1e6:.0f} ({f.low * 1e6:.0f}…{f.high * 1e6:.0f})",
            "" if f.ratio is None else f"{f.ratio:.2f}",
            {None: "", True: "yes", False: "no"}[f.covered],
            {None: "", True: "yes", False: "no"}[f.located],
        ]
        for f in found
    ]
    text = table(
        ["release", "minutes", "place, m", "90 % radius, m", "error, m", "rate (90 %), mg/s",
         "rate/true", "rate within", "place within"],
        rows,
    )  # fmt: skip
    validate.tell(text)
    if report is not None:
        with validate.refusing():
            write(report, "chilbolton", text)
    validate.figures(
        {
            "name": "chilbolton",
            "releases": [
                {
                    "release": f.name,
                    "minutes": f.minutes,
                    "x": round(f.x, 2),
                    "y": round(f.y, 2),
                    "radius_90": round(f.radius, 2),
                    "location_error_m": None if f.error is None else round(f.error, 2),
                    "rate_kg_s": f.rate,
                    "rate_low": f.low,
                    "rate_high": f.high,
                    "rate_ratio": None if f.ratio is None else round(f.ratio, 3),
                    "rate_covered": f.covered,
                    "location_covered": f.located,
                }
                for f in found
            ],
        }
    )


def ginninderra(
    data: Annotated[
        list[Path], typer.Argument(help="GA-inversion-data CSV files (not bundled: licence).")
    ],
    report: Report = None,
) -> None:
    """Rate of the methane release at Ginninderra by four groups of instruments."""
    from jingwei.analysis.air.field import ginninderra as field
    from jingwei.analysis.air.field.report import table, write

    with validate.refusing():
        found = [(path, field.validate(path)) for path in data]
    rows = [
        [str(n), g.name, str(g.samples), f"{g.rate:.2f}", f"{g.low:.2f}…{g.high:.2f}",
         f"{100 * (g.rate / f.true - 1):+.0f} %", "yes" if g.low <= f.true <= g.high else "no"]
        for n, (_, f) in enumerate(found, 1)
        for g in f.groups
    ]  # fmt: skip
    rows += [
        [str(n), "median", str(f.used), f"{f.rate:.2f}", "", f"{100 * (f.ratio - 1):+.0f} %", ""]
        for n, (_, f) in enumerate(found, 1)
    ]
    text = table(["file", "instruments", "samples", "g/min", "90 %", "off by", "true within"], rows)
    validate.tell(text)
    if report is not None:
        with validate.refusing():
            write(report, "ginninderra", text)
    validate.figures(
        {
            "name": "ginninderra",
            "periods": [
                {
                    "true_g_min": f.true,
                    "rate_g_min": round(f.rate, 3),
                    "ratio": round(f.ratio, 3),
                    "worst_group": round(f.worst, 3),
                    "samples": f.used,
                    "groups": {g.name: round(g.rate / f.true, 3) for g in f.groups},
                    "covered": {g.name: g.low <= f.true <= g.high for g in f.groups},
                }
                for _, f in found
            ],
            "goal": {"worst_group": 0.36},
            "met": all(abs(f.worst) <= 0.36 for _, f in found),
        }
    )


def city(
    seeds: Annotated[int, typer.Option(help="How many made-up cities.")] = 3,
    enterprises: Annotated[int, typer.Option(help="Enterprises of each.")] = 3000,
    report: Report = None,
) -> None:
    """15 exceeders among 3,000 enterprises of made-up cities, with wrong wind and noise."""
    from jingwei.analysis.air.field import city as field
    from jingwei.analysis.air.field.report import table, write

    found = []
    with validate.refusing():
        for seed in range(1, seeds + 1):
            one = field.trace(field.exceeders(seed, enterprises=enterprises), seed=seed)
            validate.tell(f"city {seed}: {one.located} of 15 in the first 30 ({one.seconds:.0f} s)")
            found.append(one)

    def mean(of: list[float]) -> float:
        known = [v for v in of if v == v]
        return sum(known) / len(known) if known else float("nan")

    shares = ("recall", "least_squares", "coverage", "listed", "caught", "exceeding")
    means = {name: mean([getattr(f, name) for f in found]) for name in shares}
    rows = [
        [str(n), f"{f.visible} of 15", *(f"{getattr(f, name):.2f}" for name in shares),
         str(f.unsettled)]
        for n, f in enumerate(found, 1)
    ]  # fmt: skip
    rows.append(["mean", "", *(f"{means[name]:.2f}" for name in shares), ""])
    text = table(
        ["city", "visible at all", "recall in the first 30", "least squares", "in their 90 %: all",
         "the first 30", "exceeders of the first 30", "all exceeders", "unsettled of the first 30"],
        rows,
    )  # fmt: skip
    steps = field.reliability(found)
    text += "\n\n" + table(
        ["probability told", "sources", "mean told", "truly above three times"],
        [[f"{low:g} to {high:g}", str(n), f"{told:.3f}", f"{true:.3f}"]
         for low, high, n, told, true in steps],
    )  # fmt: skip
    validate.tell(text)
    if report is not None:
        with validate.refusing():
            write(report, "city", text)
    validate.figures(
        {
            "name": "city",
            "cities": len(found),
            "recall_30": round(means["recall"], 3),
            "least_squares_30": round(means["least_squares"], 3),
            "coverage_90": {
                "all": round(means["coverage"], 3),
                "first_30": round(means["listed"], 3),
                "exceeders_in_first_30": round(means["caught"], 3),
                "exceeders": round(means["exceeding"], 3),
            },
            "reliability": [
                {
                    "from": low,
                    "to": high,
                    "sources": n,
                    "told": round(told, 4),
                    "true": round(true, 4),
                }
                for low, high, n, told, true in steps
            ],
            "each": [round(f.recall, 3) for f in found],
            "visible": [f.visible for f in found],
            "unsettled": [f.unsettled for f in found],
            "goal": {"recall_30": 0.6},
            "met": means["recall"] >= 0.6,
        }
    )


def puffs(
    engine: Annotated[
        str, typer.Option(help="numba; jax (on what it finds); jax-gpu (or not at all).")
    ] = "numba",
    report: Report = None,
) -> None:
    """The mesh against exact puffs and against continuous release; the balance of mass."""
    from jingwei.analysis.air import puffs as model
    from jingwei.analysis.air import reference
    from jingwei.analysis.air.field.city import region
    from jingwei.analysis.air.field.report import table, write
    from jingwei.analysis.air.scores import scores

    case = region(20, 160, 4)
    with validate.refusing():
        found = model.forward(*case, engine=engine)
    rows, figures = [], {}
    for name, key, about in (
        ("the same puffs, exactly", "exact", {}),
        ("release every minute, steps of a minute", "continuous",
         {"releases": 60, "schedule": (60, 60, 60, 60)}),
    ):  # fmt: skip
        exact, _ = reference.forward(*case, **about)  # type: ignore[arg-type]
        # The first hour of continuous release has air that no puff has reached yet.
        told, ours = exact[1:], found.mesh[1:]
        where = told > 1e-4 * told.max()
        s = scores(told[where], ours[where].astype(float))
        rows.append(_row(name, s))
        figures[key] = s.rounded()
    b = found.balance
    puff_error = float(abs((b.airborne + b.left + b.lost + b.aged) / b.emitted - 1))
    wide = model.Grid(-100e3, -100e3, 1000.0, 280, 280)
    again = model.forward(case[0], case[1], wide, engine=engine)
    mesh_error = float(abs(again.mesh.sum(dtype=float) * wide.size**2 / again.dropped - 1))
    text = table(
        ["cells above 1e-4 of the maximum", "pairs", "FAC2", "FB", "NMSE", "MG", "VG"], rows
    )
    text += f"\n\nMass: puffs {puff_error:.1e}, mesh {mesh_error:.1e} off."
    validate.tell(text)
    if report is not None:
        with validate.refusing():
            write(report, "puffs", text)
    exact_scores = figures["exact"]
    validate.figures(
        {
            "name": "puffs",
            "engine": found.engine,
            **figures,
            "mass_error_puffs": puff_error,
            "mass_error_mesh": mesh_error,
            "goal": {"nmse": 0.02, "fac2": 0.99, "mass_error": 1e-6},
            "met": bool(
                exact_scores["nmse"] <= 0.02
                and exact_scores["fac2"] >= 0.99
                and max(puff_error, mesh_error) <= 1e-6
            ),
        }
    )
