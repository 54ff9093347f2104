"""`jingwei validate forecast`."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from jingwei.analysis import validate

if TYPE_CHECKING:
    import numpy as np

_GOALS = {"degraded": 47.0, "none": 66.0}
_ALL = ("CO", "NO2", "O3", "PM10", "PM2.5", "SO2")
_ALARMS = (60.0, 115.0)  # µg/m³ PM2.5: IAQI 100 and 150 of GB 3095-2026


def forecast(
    data: Annotated[Path, typer.Option(help="Parquet or CSV, the columns of the UCI Beijing set.")],
    train_to: Annotated[str, typer.Option(help="Last month (2016-02) or day of the training.")],
    pollutant: Annotated[
        list[str] | None, typer.Option(help="PM2.5 where not given; repeat for more.")
    ] = None,
    weather: Annotated[
        list[str] | None,
        typer.Option(help="degraded, correlated, perfect, none; degraded and none if not given."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Test no further than this day.")] = None,
    every: Annotated[int, typer.Option(help="Hours between starts.")] = 6,
    rows: Annotated[int, typer.Option(help="Cases to learn from.")] = 300_000,
    learner: Annotated[
        str, typer.Option(help="boosted, or an own one as module:factory.")
    ] = "boosted",
    seed: Annotated[int, typer.Option(help="Of the weather's errors.")] = 1,
    report: Annotated[
        Path | None,
        typer.Option(help="Markdown file whose section of these pollutants is written anew."),
    ] = None,
) -> None:
    """48-hour forecasts of all stations against persistence and damped persistence."""
    import numpy as np

    from jingwei.analysis.air.field.report import table, write
    from jingwei.analysis.air.forecast import history, model, verify
    from jingwei.analysis.air.forecast import weather as airs

    kinds: dict[str, model.Weather | None] = {
        "degraded": airs.Degraded(seed),
        "correlated": airs.Degraded(seed, memory=0.9),
        "perfect": airs.measured,
        "none": None,
    }
    found: list[dict[str, Any]] = []
    lines = []
    told_by: dict[str, dict[str, tuple[model.Model, model.Forecast]]] = {}
    with validate.refusing():
        known = history.read(data)
        how = model.learner(learner)
        begin, end = _cut(train_to), _cut(until) if until else None
        cut = known.at(begin)
        stop = len(known) if end is None else min(known.at(end), len(known))
        if not 0 < cut < stop - 1:
            raise ValueError(
                f"train-to {train_to}: {data} has {known.times[0]} to {known.times[-1]}"
            )
        if every < 1:
            raise ValueError("every: at least 1 hour")
        wanted = weather or (["degraded", "none"] if known.weather else ["none"])
        for kind in wanted:
            if kind not in kinds:
                raise ValueError(f"weather {kind!r}: wanted one of {', '.join(kinds)}")
        for note in known.notes:
            validate.tell(note)
        starts = np.arange(max(cut, model.WARM), stop - 1, every)
        for name in pollutant or ["PM2.5"]:
            for kind in wanted:
                clock = time.process_time()
                made = model.train(known, name, cut, weather=kinds[kind], learner=how, rows=rows)
                learned = time.process_time() - clock
                told = made.at(known, starts)
                told_by.setdefault(kind, {})[name] = (made, told)
                spans = verify.errors(known, told)
                if not spans[-1].cases:
                    raise ValueError(f"{name}: nothing was measured after {train_to}")
                alarms = [verify.alarms(known, told, a) for a in _ALARMS if name == "PM2.5"]
                found.append(_figures(name, kind, learned, spans, alarms))
                for e in spans:
                    lines.append(
                        [name, kind, f"{e.first}–{e.last}", str(e.cases), f"{e.persistence:.1f}",
                         f"{e.damped:.1f}", f"{e.rmse:.1f}", f"{e.mae:.1f}", f"{e.bias:+.1f}",
                         f"{e.skill_persistence:.2f}", f"{e.skill_damped:.2f}", f"{e.within:.2f}"]
                    )  # fmt: skip
                validate.tell(
                    f"{name}, weather {kind}: RMSE {spans[-1].rmse:.1f} (persistence"
                    f" {spans[-1].persistence:.1f}, damped {spans[-1].damped:.1f}), learned in"
                    f" {learned:.0f} CPU-s"
                )
    text = table(
        ["pollutant", "weather", "hours", "cases", "persistence", "damped", "RMSE", "MAE", "bias",
         "skill", "skill over damped", "in 10–90 %"],
        lines,
    )  # fmt: skip
    validate.tell(text)
    chances = [c for kind, by in told_by.items() if len(by) > 1 for c in _chances(known, kind, by)]
    if chances:
        text += "\n\n" + table(
            ["weather", "index", "pollutants high", "hours", "told", "came", "Brier", "of telling the mean"],
            [[c["weather"], f"> {c['above']}", c["how"], str(c["hours"]), f"{c['told']:.3f}",
              f"{c['came']:.3f}", f"{c['brier']:.4f}", f"{c['usual']:.4f}"] for c in chances],
        )  # fmt: skip
        validate.tell(text[text.rindex("\n\n") :])
    days = [_days(known, kind, by) for kind, by in told_by.items()]
    days = [d for d in days if d]
    by_day = "\n\n".join(_day_tables(d) for d in days)
    validate.tell(by_day)
    if report is not None:
        with validate.refusing():
            write(report, section(pollutant or ["PM2.5"]), text)
            if by_day and len(set(pollutant or [])) == len(_ALL):
                write(report, "forecast-days", by_day)
    judged = [f for f in found if f["pollutant"] == "PM2.5" and f["weather"] in _GOALS]
    validate.figures(
        {
            "name": "forecast",
            "train_to": train_to,
            "starts": len(starts),
            "stations": len(known.stations),
            "forecasts": found,
            "index": chances,
            "days": days,
            "goal": {f"rmse_{k}": v for k, v in _GOALS.items()},
            "met": all(f["rmse"] <= _GOALS[f["weather"]] for f in judged) if judged else None,
        }
    )


def section(pollutants: list[str]) -> str:
    """Where the report of these stands."""
    given = tuple(sorted(set(pollutants)))
    named = {("PM2.5",): "forecast", _ALL: "forecast-all"}
    return named.get(given, f"forecast-{'-'.join(given)}")


def _cut(text: str) -> np.datetime64:
    """The hour after a month or day."""
    import numpy as np

    try:
        if len(text) == 7:
            day = date.fromisoformat(f"{text}-28") + timedelta(days=4)
            return np.datetime64(day.replace(day=1), "h")
        return np.datetime64(date.fromisoformat(text) + timedelta(days=1), "h")
    except ValueError:
        pass
    raise ValueError(f"{text!r} is neither a month (2016-02) nor a day (2016-02-29)")


def _chances(known: Any, kind: str, by: Any) -> list[dict[str, Any]]:
    """Chances of high classes of the index against what came: the pollutants high together as in the
    left-out cases, and as if they always were."""
    from jingwei.analysis.air.forecast import classes, verify

    told = {name: forecast for name, (_made, forecast) in by.items()}
    together = classes.joint([made for made, _forecast in by.values()])
    came = verify.index_truth(known, told, "2026")
    out = []
    for how, ranks in (("as left out", together), ("always", None)):
        if how == "always" or ranks is not None:
            for c in verify.chances(classes.index(told, "2026", ranks), came):
                out.append({"weather": kind, "how": how, "pollutants": list(told), **asdict(c)})
    return out


def _figures(name: str, kind: str, learned: float, spans: Any, alarms: Any) -> dict[str, Any]:
    whole = spans[-1]
    return {
        "pollutant": name,
        "weather": kind,
        "cases": whole.cases,
        "rmse": round(whole.rmse, 2),
        "mae": round(whole.mae, 2),
        "bias": round(whole.bias, 2),
        "persistence_rmse": round(whole.persistence, 2),
        "damped_rmse": round(whole.damped, 2),
        "skill_persistence": round(whole.skill_persistence, 3),
        "skill_damped": round(whole.skill_damped, 3),
        "within_10_90": round(whole.within, 3),
        "by_lead": {f"{e.first}-{e.last}": round(e.rmse, 2) for e in spans[:-1]},
        "above": {
            f"{a.above:g}": {"hours": a.hours, "csi": round(a.csi, 3), "pod": round(a.pod, 3),
                             "far": round(a.far, 3)}
            for a in alarms
        },
        "train_cpu_s": round(learned, 1),
    }  # fmt: skip


def _days(known: Any, kind: str, by: Any) -> dict[str, Any]:
    """The daily index, grades and peaks against what came; empty where it is not known how the misses
    hang together."""
    from jingwei.analysis.air.forecast import classes, verify, verify_days

    told = {name: forecast for name, (_made, forecast) in by.items()}
    together = classes.joint([made for made, _forecast in by.values()])
    if together is None:
        return {}
    found = verify_days.tell(known, told, together, "2026")
    peaks = verify_days.peaks(
        classes.index(told, "2026", together), verify.index_truth(known, told, "2026")
    )
    figures = {
        "weather": kind,
        "pollutants": list(told),
        "starts": len(found.starts),
        "chances": [asdict(c) for c in verify_days.chances(found, known)],
        "grades": [asdict(g) for g in verify_days.grades(found)],
        "episodes": asdict(verify_days.episodes(found, known)),
        "peaks": [asdict(p) for p in peaks],
    }
    plain: dict[str, Any] = json.loads(json.dumps(figures), parse_constant=lambda _name: None)
    return plain


_WHEN = ("day of the start", "next day", "day after it")


def _day_tables(d: dict[str, Any]) -> str:
    """The figures of `_days` as tables."""
    from jingwei.analysis.air.field.report import table

    def figure(value: float | None, places: int = 2) -> str:
        return "–" if value is None else f"{value:.{places}f}"

    def scores(x: dict[str, Any]) -> list[str]:
        return [figure(x[k]) for k in ("pod", "far", "csi")]

    def skill(brier: float, other: float) -> str:
        return figure(1 - brier / other if other else None)

    what = f"Weather {d['weather']}; {', '.join(d['pollutants'])}; {d['starts']} starts."
    chances = table(
        ["place", "day", "daily AQI", "days", "told", "came", "Brier", "skill over climate",
         "over persistence", "POD", "FAR", "CSI", "CSI of persistence"],
        [[c["place"], _WHEN[c["ahead"]], f"> {c['above']}", str(c["days"]), f"{c['told']:.3f}",
          f"{c['came']:.3f}", f"{c['brier']:.4f}", skill(c["brier"], c["climate"]),
          skill(c["brier"], c["persistence"]), *scores(c), figure(c["csi_persistence"])]
         for c in d["chances"]],
    )  # fmt: skip
    next_day = [c for c in d["chances"] if c["place"] == "stations" and c["ahead"] == 1]
    bins = {c["above"]: {b[0]: b[1:] for b in c["bins"]} for c in next_day}

    def tenth(above: int, b: int) -> str:
        if b not in bins[above]:
            return "–"
        days, told, came = bins[above][b]
        return f"{days}: {told:.2f} / {came:.2f}"

    reliable = table(
        ["chance told", *(f"> {above}" for above in bins)],
        [[f"{b / 10:.1f}–{(b + 1) / 10:.1f}", *(tenth(above, b) for above in bins)]
         for b in range(10)],
    )  # fmt: skip
    grades = table(
        ["grade or higher", "starts", "came", "proposed", "POD", "FAR", "CSI", "Brier of its chance",
         "of its frequency"],
        [[("yellow", "orange", "red")[g["level"] - 1], str(g["starts"]), str(g["came"]),
          str(g["told"]), *scores(g), f"{g['brier']:.4f}", f"{g['climate']:.4f}"]
         for g in d["grades"]],
    )  # fmt: skip
    e = d["episodes"]
    rows = (
        f"Episodes: {e['were']} came, {e['ahead']} of them named before they began (median"
        f" {figure(e['lead'], 0)} h), {e['late']} later; {e['false']} were proposed and did not come."
    )
    peaks = table(
        ["peak of 3 h", "hours", "came", "told", "POD", "FAR", "CSI", "hour of the peak off by"],
        [[f"> {p['above']}", f"{p['first']}–{p['last']}", str(p["came"]), str(p["told"]), *scores(p),
          f"{figure(p['off'], 0)} h"] for p in d["peaks"]],
    )  # fmt: skip
    told = "Next day at the stations, days: mean chance told / share that came:"
    return "\n\n".join([what, chances, told, reliable, grades, rows, peaks])
