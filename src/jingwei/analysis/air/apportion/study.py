"""A whole study of samples: how many factors, which they are, how sure, how much of each and when;
and chemical mass balance of the same samples beside it.

Own choices, not norms: a factor is stable where 80 % of the resamples find it again (EPA PMF 5.0
suggests the same, recalled); the number proposed is where the fall of Q/Qexp bends most; the errors of
published profiles that come without any.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from jingwei.analysis.air import statistics
from jingwei.analysis.air.apportion import cmb, pmf, profiles, tables
from jingwei.analysis.air.boundary import Floats, floats

Tell = Callable[[str, int, int], None]  # step, done, of how many

STARTS, TRIED, RESAMPLES = 40, 30, 100  # starts a number; resamples a number, and of the chosen one
BOTH = (
    20  # resamples that are displaced (BS-DISP), and of each factor so many species and the total
)
MAIN = 2
STABLE = 0.8
MOST_FACTORS = 15
BALANCED = 2_000  # samples that CMB is made for
PROFILE_ERROR = 0.3  # of a published fraction without an error of its own
ABSENT_ERROR = 0.001  # of a fraction that a profile does not have: taken as 0
SEASONS = ("winter", "spring", "summer", "autumn")


@dataclass(frozen=True)
class Wanted:
    """`use`: good, weak, bad or total for each species; `factors`: the numbers tried, ascending;
    `forbidden`: for each constraint the species that one factor must not have; `balance`: sources of
    `library` for CMB, none for no CMB; `both`: with displacement in resamples (BS-DISP)."""

    use: dict[str, str]
    factors: tuple[int, ...]
    robust: bool = False
    forbidden: tuple[tuple[str, ...], ...] = ()
    balance: tuple[str, ...] = ()
    starts: int = STARTS
    resamples: int = RESAMPLES
    seed: int = 1
    both: bool = False


class StudyError(ValueError):
    """Nothing can be computed; `code` says why: `species`, `factors`, `constraint`, `sources`."""

    def __init__(self, code: str, about: str = "") -> None:
        super().__init__(f"{code} {about}".strip())


def taken(table: tables.Table, use: dict[str, str]) -> tuple[pmf.Samples, int | None]:
    """What the factors are sought in, and which column of it is the total. Uncertainties of weak species
    and of the total count three times, so that they follow the others. Raises `StudyError`."""
    columns = [j for j, s in enumerate(table.species) if use.get(s, "bad") != "bad"]
    values, errors = table.values[:, columns], table.errors[:, columns].copy()
    names = tuple(table.species[j] for j in columns)
    for k, name in enumerate(names):
        if not (values[:, k] > 0).any():
            raise StudyError("species", name)
        if use[name] in ("weak", "total"):
            errors[:, k] *= tables.WEAKER
    if sum(use[n] != "total" for n in names) < tables.LEAST_SPECIES:
        raise StudyError("species")
    total = next((k for k, n in enumerate(names) if use[n] == "total"), None)
    return pmf.Samples(floats(values), floats(errors), names), total


def study(
    table: tables.Table, wanted: Wanted, library: profiles.Library, tell: Tell | None = None
) -> dict[str, Any]:
    """All of it as one JSON object: `numbers` (each number of factors tried), `chosen`, `profiles`,
    `contributions`, `bootstrap`, `displacement`, `both`, `factors` (name, amount with 5–95 %), `cycles`,
    `balance`. Numbers have five digits; null: none. Raises `StudyError`."""
    say = tell or (lambda step, done, of: None)
    samples, total = taken(table, wanted.use)
    n, m = samples.values.shape
    numbers = sorted({k for k in wanted.factors if 1 <= k < min(n, m)})
    if not numbers or numbers[-1] > MOST_FACTORS or numbers[0] < len(wanted.forbidden):
        raise StudyError("factors", str(min(n, m) - 1))
    species = [k for k in range(m) if k != total]
    found, rows = {}, []
    for done, k in enumerate(numbers):
        say("number", done, len(numbers))
        one = pmf.factorise(
            samples, k, starts=wanted.starts, robust=wanted.robust, seed=wanted.seed,
            high=_bounds(wanted.forbidden, samples.species, k),
        )  # fmt: skip
        found[k] = one
        tried = pmf.bootstrap(samples, one, runs=TRIED, robust=wanted.robust, seed=wanted.seed)
        rows.append(_number(samples, one, tried, total, species))
    chosen, why = choose(rows)
    base = found[chosen]
    say("bootstrap", 0, 1)
    spread = pmf.bootstrap(
        samples, base, runs=wanted.resamples, robust=wanted.robust, seed=wanted.seed + 1
    )
    low, high, swaps = _displaced(samples, base, wanted.robust, say)
    both = _both(samples, base, total, wanted, say) if wanted.both else None
    out: dict[str, Any] = {
        "species": list(samples.species),
        "use": [wanted.use[s] for s in samples.species],
        "total": None if total is None else samples.species[total],
        "unit": table.unit,
        "numbers": rows,
        "chosen": chosen,
        "why": why,
        "q": short(base.q), "robust": short(base.robust), "expected": short(base.goal),
        "profiles": short(base.profiles),
        "bootstrap": {
            "runs": wanted.resamples, "low": short(spread.low), "middle": short(spread.middle),
            "high": short(spread.high), "mapped": spread.mapped.tolist(),
        },
        "displacement": {"low": short(low), "high": short(high), "swaps": swaps},
        "both": both,
        "forbidden": None if base.forbidden is None else base.forbidden.tolist(),
        "fit": _fit(samples, base),
    }  # fmt: skip
    amount = _amounts(base.profiles, total, species)
    out["contributions"] = short(base.contributions * amount)
    say("names", 0, 1)
    out["factors"] = _factors(samples, base, spread, amount, total, species, library)
    out["measured"] = _mean(samples.values, total, species)
    out["cycles"] = _cycles(table.times, base.contributions * amount)
    if wanted.balance:
        out["balance"] = balances(table, wanted.use, wanted.balance, library, say)
    return out


# ---- how many ------------------------------------------------------------------------------------


def _number(
    samples: pmf.Samples,
    one: pmf.Solution,
    tried: pmf.Bootstrap,
    total: int | None,
    species: list[int],
) -> dict[str, Any]:
    """IM, IS: the largest mean and standard deviation over the species of the scaled residuals (Lee,
    Chan and Paatero 1999 Atmos. Environ. 33, 3201; recalled)."""
    known = np.isfinite(samples.values)
    r = np.where(
        known, (samples.filled - one.contributions @ one.profiles) / np.where(known, samples.errors, 1), np.nan
    )  # fmt: skip
    runs = tried.mapped.sum(axis=1)
    again = np.diag(tried.mapped[:, :-1]) / np.maximum(runs, 1)
    amount = _amounts(one.profiles, total, species)
    like = np.corrcoef(one.contributions.T) if one.factors > 1 else np.zeros((1, 1))
    return {
        "factors": one.factors,
        "q": short(one.q), "robust": short(one.robust), "expected": short(one.goal),
        "ratio": short(one.q / one.goal) if one.goal > 0 else None,
        "im": short(float(np.nanmax(np.nanmean(r, axis=0)))),
        "is": short(float(np.nanmax(np.nanstd(r, axis=0, ddof=1)))),
        "followed": short(np.array(one.all_q)),
        "again": short(again),
        "smallest": short(float(amount.min() / max(amount.sum(), 1e-300))),
        "alike": short(float((like - np.eye(one.factors)).max())),
    }  # fmt: skip


def choose(rows: Sequence[dict[str, Any]]) -> tuple[int, list[str]]:
    """(number of factors, what speaks for it): among the stable numbers the one where the fall of
    ln(Q/Qexp) bends most; of two or fewer the largest."""
    if len(rows) == 1:
        return int(rows[0]["factors"]), ["given"]
    stable = [r for r in rows if min(r["again"]) >= STABLE]
    some = stable or list(rows)
    why = ["stable" if stable else "none"]
    bends: dict[int, float] = {}
    for before, here, after in zip(rows, rows[1:], rows[2:], strict=False):
        q = [r["ratio"] for r in (before, here, after)]
        if all(v and v > 0 for v in q) and here in some:
            k = [r["factors"] for r in (before, here, after)]
            fall = (math.log(q[0] / q[1])) / (k[1] - k[0])
            rest = (math.log(q[1] / q[2])) / (k[2] - k[1])
            bends[here["factors"]] = fall - rest
    if bends and max(bends.values()) > 0:
        return max(bends, key=lambda k: bends[k]), [*why, "bend"]
    return int(max(r["factors"] for r in some)), [*why, "largest"]


def _bounds(
    forbidden: Sequence[Sequence[str]], species: Sequence[str], factors: int
) -> Floats | None:
    if not forbidden:
        return None
    high = np.full((factors, len(species)), np.inf)
    for a, names in enumerate(forbidden):
        for name in names:
            if name not in species:
                raise StudyError("constraint", name)
            high[a, species.index(name)] = 0.0
        if not (high[a] > 0).any():
            raise StudyError("constraint", ", ".join(names))
    return high


# ---- which and how sure --------------------------------------------------------------------------


def _displaced(
    samples: pmf.Samples, base: pmf.Solution, robust: bool, say: Tell
) -> tuple[Floats, Floats, int]:
    """Displacement factor by factor, so that its progress can be told."""
    low, high, swaps = base.profiles.copy(), base.profiles.copy(), 0
    m = base.profiles.shape[1]
    for a in range(base.factors):
        say("displacement", a, base.factors)
        one = pmf.displace(samples, base, elements=[(a, j) for j in range(m)], robust=robust)
        low[a], high[a], swaps = one.low[a], one.high[a], swaps + one.swaps
    return low, high, swaps


def _both(
    samples: pmf.Samples, base: pmf.Solution, total: int | None, wanted: Wanted, say: Tell
) -> dict[str, Any]:
    """BS-DISP of the `MAIN` species that each factor explains most of, and of the total: `at`, by factor
    the columns; `low`, `high` in their order (null in `high`: without end); `counted` resamples."""
    shares = base.shares()
    if total is not None:
        shares[:, total] = -1.0
    if base.forbidden is not None:
        shares[base.forbidden] = -1.0
    at = [np.argsort(-row, kind="stable")[:MAIN].tolist() for row in shares]
    if total is not None:
        at = [[*columns, total] for columns in at]
    found = pmf.bootstrap_displace(
        samples, base, [(a, j) for a, columns in enumerate(at) for j in columns],
        runs=BOTH, robust=wanted.robust, seed=wanted.seed + 2,
        tell=lambda done: say("both", done, BOTH),
    )  # fmt: skip
    shape = (len(at), len(at[0]))
    return {
        "runs": BOTH,
        "swaps": found.swaps,
        "at": at,
        "low": short(found.low.reshape(shape)),
        "high": short(found.high.reshape(shape)),
        "counted": found.counted.reshape(shape)[:, 0].tolist(),
    }


def _amounts(rows: Floats, total: int | None, species: list[int]) -> Floats:
    """Mean amount of each factor: its part of the total, else the sum of its species."""
    return rows[:, total] if total is not None else rows[:, species].sum(axis=1)


def _mean(values: Floats, total: int | None, species: list[int]) -> float | None:
    """What was measured on average, the total or the sum of the species' means."""
    with np.errstate(invalid="ignore"):
        mean = np.nanmean(values, axis=0)
    return _one(float(mean[total]) if total is not None else float(mean[species].sum()))


def _factors(
    samples: pmf.Samples, base: pmf.Solution, spread: pmf.Bootstrap, amount: Floats,
    total: int | None, species: list[int], library: profiles.Library,
) -> list[dict[str, Any]]:  # fmt: skip
    whole = max(float(amount.sum()), 1e-300)
    try:
        named = profiles.name(
            base.profiles[:, species], [samples.species[j] for j in species], library
        )
    except ValueError:
        named = [None] * base.factors  # type: ignore[list-item]
    out = []
    for a in range(base.factors):
        drawn = _amounts(spread.found[a], total, species)
        some = drawn[np.isfinite(drawn)]
        band = np.quantile(some, [0.05, 0.95]) if len(some) else np.array([np.nan, np.nan])
        name = named[a]
        out.append(
            {
                "mean": short(float(amount[a])), "low": _one(band[0]), "high": _one(band[1]),
                "share": short(float(amount[a]) / whole),
                "share_low": _one(band[0] / whole), "share_high": _one(band[1] / whole),
                "again": int(spread.mapped[a, a]),
                "name": None if name is None else {
                    "source": name.source, "code": name.code, "similarity": short(name.similarity),
                    "shared": name.shared, "kind": name.kind, "main": name.main,
                    "part": short(name.share),
                    "others": [[s, short(v)] for s, v in name.others],
                },
            }
        )  # fmt: skip
    return out


def _fit(samples: pmf.Samples, base: pmf.Solution) -> list[dict[str, Any]]:
    """By species: correlation squared of measured and modelled, their means, scaled residuals beyond 3."""
    model = base.contributions @ base.profiles
    out = []
    for j in range(model.shape[1]):
        known = np.isfinite(samples.values[:, j])
        x, y = samples.values[known, j], model[known, j]
        r = (x - y) / samples.errors[known, j]
        r2 = float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() > 0 and y.std() > 0 else math.nan
        out.append(
            {
                "r2": _one(r2), "measured": short(float(x.mean())), "modelled": short(float(y.mean())),
                "beyond": short(float(np.mean(np.abs(r) > 3))),
            }
        )  # fmt: skip
    return out


def season(month: int) -> int:
    """0 winter (December to February) … 3 autumn."""
    return month % 12 // 3


def _cycles(times: list[datetime], amounts: Floats) -> dict[str, Any]:
    """Means by weekday, season and, of samples shorter than a day, hour, with 95 % of the mean."""
    places = {
        "weekday": ([t.weekday() for t in times], 7),
        "season": ([season(t.month) for t in times], 4),
    }
    if len({t.hour for t in times}) > 2:
        places["hour"] = ([t.hour for t in times], 24)
    return {
        name: [
            {"count": c.count.tolist(), "mean": short(c.mean), "low": short(c.low), "high": short(c.high)}
            for c in (statistics.course(a, at, count) for a in amounts.T)
        ]
        for name, (at, count) in places.items()
    }  # fmt: skip


# ---- chemical mass balance -----------------------------------------------------------------------


def sources(library: profiles.Library, species: Sequence[str]) -> list[str]:
    """The sources of the library that share three species or more with these, and what forms in the
    air where its main species was measured."""
    keys = {profiles.key(s) for s in species}
    at = [k for k, n in enumerate(library.species) if n in keys]
    found = [
        s for s, row in zip(library.sources, library.values, strict=True)
        if np.isfinite(row[at]).sum() >= 3
    ]  # fmt: skip
    formed = [s for s, parts in profiles.FORMED.items() if next(iter(parts)) in keys]
    return list(dict.fromkeys([*found, *formed]))


def balances(
    table: tables.Table, use: dict[str, str], wanted: Sequence[str], library: profiles.Library, say: Tell,
) -> dict[str, Any]:  # fmt: skip
    """CMB of each sample: its statistics, and by source the mean amount, its mean standard error, the
    share of samples in which it is told from nothing (t at least 2). Raises `StudyError`."""
    names = [s for s in table.species if use.get(s, "bad") in ("good", "weak")]
    whole = next((s for s, u in use.items() if u == "total"), None)
    column = {s: j for j, s in enumerate(table.species)}
    keys = [profiles.key(s) for s in names]
    fractions, errors = np.zeros((len(wanted), len(names))), np.zeros((len(wanted), len(names)))
    for a, source in enumerate(wanted):
        row = _profile(source, library)
        for j, one in enumerate(keys):
            value, error = row.get(one, (0.0, ABSENT_ERROR))
            fractions[a, j], errors[a, j] = value, error
    fitted = np.flatnonzero((fractions > 0).any(axis=0)).tolist()
    if len(fitted) <= len(wanted):
        raise StudyError("sources", f"{len(fitted)} {len(wanted)}")
    species = [names[j] for j in fitted]
    fractions, errors = fractions[:, fitted], errors[:, fitted]
    at = [column[s] for s in species]
    factor = np.array([tables.WEAKER if use[s] == "weak" else 1.0 for s in species])
    rows: list[dict[str, Any] | None] = []
    shown = min(len(table.times), BALANCED)
    for i in range(shown):
        if i % 50 == 0:
            say("balance", i, shown)
        mass = float(table.values[i, column[whole]]) if whole else math.nan
        try:
            answer = cmb.balance(
                table.values[i, at], table.errors[i, at] * factor, fractions, errors,
                mass=mass if mass > 0 else None,
            )  # fmt: skip
        except ValueError:  # too few species in this sample
            rows.append(None)
            continue
        rows.append(
            {
                "amounts": short(answer.contributions), "errors": short(answer.errors), "t": short(answer.t),
                "chi2": short(answer.chi2), "r2": short(answer.r2),
                "mass": None if answer.mass is None else short(answer.mass),
                "alike": [list(p) for p in answer.alike],
            }
        )  # fmt: skip
    good = [r for r in rows if r is not None]
    if not good:
        raise StudyError("sources", f"{len(fitted)} {len(wanted)}")
    amounts = np.array([r["amounts"] for r in good])
    sizes = np.array([[np.nan if e is None else e for e in r["errors"]] for r in good])
    told = np.array([r["t"] for r in good])
    pairs: dict[tuple[int, int], int] = {}
    for r in good:
        for a, b in r["alike"]:
            pairs[a, b] = pairs.get((a, b), 0) + 1

    def middle(name: str) -> list[float] | None:
        some = [r[name] for r in good if r[name] is not None]
        return short(np.quantile(some, [0.05, 0.5, 0.95])) if some else None

    return {
        "species": species,
        "sources": [
            {
                "name": s, "formed": s in profiles.FORMED, "code": _code(s, library), "mean": short(float(amounts[:, a].mean())),
                "error": _one(float(np.nanmean(sizes[:, a])) if np.isfinite(sizes[:, a]).any() else math.nan),
                "told": short(float((told[:, a] >= 2).mean())),
                "absent": short(float((amounts[:, a] <= 0).mean())),
            }
            for a, s in enumerate(wanted)
        ],
        "rows": rows,
        "left": len(rows) - len(good),
        "chi2": middle("chi2"), "r2": middle("r2"), "mass": middle("mass"),
        "alike": [[a, b, short(c / len(good))] for (a, b), c in sorted(pairs.items(), key=lambda p: -p[1])],
    }  # fmt: skip


def _code(source: str, library: profiles.Library) -> str:
    return dict(zip(library.sources, library.codes, strict=True)).get(source, "")


def _profile(source: str, library: profiles.Library) -> dict[str, tuple[float, float]]:
    """Fraction and error by species. Raises `StudyError` for a source that nobody knows."""
    if source in profiles.FORMED:
        # Exact by formula: what is left is rounding.
        return {n: (v, 0.01 * v) for n, v in profiles.FORMED[source].items()}
    if source not in library.sources:
        raise StudyError("sources", source)
    at = library.sources.index(source)
    usual = np.maximum(PROFILE_ERROR * library.values[at], 1e-4)
    errors = np.where(np.isfinite(library.errors[at]), library.errors[at], usual)
    return {
        n: (float(v), float(e))
        for n, v, e in zip(library.species, library.values[at], errors, strict=True)
        if np.isfinite(v)
    }


# ---- numbers as JSON -----------------------------------------------------------------------------


def _one(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def short(value: Any) -> Any:
    """Five digits; null where there is no finite number."""
    if isinstance(value, np.ndarray):
        return [short(v) for v in value] if value.ndim > 1 else [_one(v) for v in value.tolist()]
    return _one(float(value))
