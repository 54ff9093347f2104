"""The statistical tier: scores over time, larger = stranger. What is strange is said by the history.

Each stream is (T,), causal (row t sees rows <= t), NaN where it cannot be said. Its scale is its own:
`calibration` learns from the outlet's screened history how often which height is reached honestly.
Streams that need the expected-emission model are left out where its quality gate is shut.

Notation: f = transformed report, e = expected, r = f - e, z = r / sigma (sigma lagged by a week).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from jingwei.analysis.detection import kernels
from jingwei.analysis.detection.monitor import Bools, Floats, Ints

LAGS = (24, 48, 72, 96, 120, 144, 168)
MAX_LAG = 2160.0  # hours: how far back a replay is looked for
NIGHTS = ((20, 10), (21, 8), (22, 8), (23, 6), (0, 6))  # local hour of begin, length in hours
GAP_AFTER = (12, 24, 48, 72, 120)
GAP_BEFORE = 168
GAP_MOST = 96
ALONE = ("low", "cusum", "drift")
HELD = 3.0  # deviations of the week to which a report is held where a fit within the window is asked for
CHANGE = 6.0  # hours


@dataclass
class Track:
    """One target over context and stretch, all (T,)."""

    name: str
    y: Floats
    f: Floats
    fast: Floats
    slow: Floats
    z: Floats  # against the fast model
    zs: Floats  # against the slow model
    sigma: Floats  # of f - fast
    limit_f: float  # the limit on the scale of f; NaN if none
    root: bool  # f is the square root
    modelled: bool
    per_hour: float
    hours: Ints  # local hour of day
    running: Bools  # the process state is there
    settled: Bools  # enough recent rows to judge levels
    pull: Floats  # robust relative residual: numerator
    weight: Floats  # and weight (`tracks`)
    zn: Floats  # against the fast model put right by its recent error: for windows up to 72 h
    best: tuple[Floats, Ints] | None = None  # of `replayed`

    def rows(self, hours: float) -> int:
        return max(1, round(hours * self.per_hour))

    def mean(self, x: Floats, hours: float, share: float = 0.6) -> Floats:
        w = self.rows(hours)
        return kernels.rolling_mean(x, w, max(1, int(share * w)))

    def level(self, hours: float, share: float = 0.6) -> Floats:
        """Mean robust relative residual of the last hours, in its usual deviations (T,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return self.mean(self.pull, hours, share) / self.mean(self.weight, hours, share)

    def fresh(self, x: Floats, lag: float = 336.0) -> Floats:
        """x less its mean over 60 days that ended `lag` hours before: an instrument or a plant that
        changed its ways for good is not strange for ever (T,)."""
        past = self.mean(x, 1440, 0.3)
        return x - before(past, self.rows(lag))


@dataclass
class ChannelTrack:
    """A state channel that can be falsified itself (O2, flow): residual against the others."""

    name: str
    role: str
    z: Floats


def _diff(x: Floats, lag: int) -> Floats:
    out = np.full(len(x), np.nan)
    if lag < len(x):
        out[lag:] = x[lag:] - x[:-lag]
    return out


def before(x: Floats, rows: int) -> Floats:
    """x as it stood `rows` rows earlier; NaN where there is none."""
    out = np.full(len(x), np.nan)
    if rows < len(x):
        out[rows:] = x[: len(x) - rows]
    return out


def _log(x: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log(x)


def _ratio(a: Floats, b: Floats) -> Floats:
    """a / b (T,); NaN where b is not positive: nothing moved, so there is no scale to measure by."""
    out = np.full(len(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out


def model_free(t: Track, first: int = 0) -> dict[str, dict[str, Floats]]:
    """family -> window -> stream, from the reports alone."""
    f = t.f
    d1, step = _diff(f, 1), t.rows(1)
    d2 = _diff(d1, 1)
    usual = kernels.lagged_scale(d1, t.rows(1500), t.rows(168), t.rows(300))
    past = usual**2
    e1 = {h: t.mean(d1**2, h) for h in (24, 72)}
    # A single steep ramp is smooth, too: changes are held to what is usual before they are compared.
    held1 = np.clip(d1, -2.5 * usual, 2.5 * usual)
    held2 = np.clip(d2, -5.0 * usual, 5.0 * usual)
    families: dict[str, dict[str, Floats]] = {"quiet": {}, "smooth": {}, "rough": {}}
    for h in (24, 72):
        families["quiet"][f"{h}"] = -_log(_ratio(e1[h], past))
    for h in (24, 48, 72, 120):
        families["smooth"][f"{h}"] = -_log(_ratio(t.mean(held2**2, h), t.mean(held1**2, h)))
    families["rough"]["72"] = _log(_ratio(e1[72], past))
    top = {}
    sigma = np.sqrt(past)
    for h in (168, 336):
        top[f"{h}"] = -_log(
            _ratio(kernels.top_spread(f, t.rows(h), max(6, round(h / 12)), t.rows(6)), sigma)
        )
    families["ceiling"] = top
    correlation, _ = replayed(t, first)
    with np.errstate(divide="ignore", invalid="ignore"):
        score = -np.log(1.0 - np.minimum(correlation, 1 - 1e-12))
    score[correlation < 0] = np.nan
    families["replay"] = {"any": score}
    assert step >= 1
    return families


def replayed(t: Track, first: int = 0) -> tuple[Floats, Ints]:
    """Best correlation of the last 24 h of changes with any earlier 24 h, and its lag in rows."""
    if t.best is None:
        w = t.rows(24)
        low, high = w, t.rows(MAX_LAG)
        t.best = kernels.best_lag(_diff(t.f, 1), w, low, min(high, max(low, len(t.f) - 1)), first)
    return t.best


def model_based(t: Track) -> dict[str, dict[str, Floats]]:
    """family -> window -> stream, against what the outlet should emit."""
    f, z, zs = t.f, t.z, t.zs
    families: dict[str, dict[str, Floats]] = {}
    low = {f"{h}": -t.mean(z, h) for h in (24, 72, 168)}
    low["slow168"] = -t.mean(zs, 168)
    low["slow336"] = -t.mean(zs, 336)
    low["near24"], low["near72"] = -t.mean(t.zn, 24), -t.mean(t.zn, 72)
    low["u168"] = -t.level(168)
    low["u336"] = -t.level(336)
    families["low"] = low
    families["high"] = {"72": t.mean(z, 72), "slow336": t.mean(zs, 336)}
    keep = 0.5 ** (1.0 / t.rows(240))
    families["cusum"] = {
        "0.5": kernels.cusum(z, 0.5, keep),
        "1": kernels.cusum(z, 1.0, keep),
    }
    families["drift"] = {"168": _drift(t, zs, 168), "336": _drift(t, zs, 336)}
    was = before(t.level(1440, 0.3), t.rows(480))
    families["drift"]["u336"] = was - t.level(336)

    # Noise and load response.
    expected = t.fast
    df, de = _diff(f, 1) / t.sigma, _diff(expected, 1) / t.sigma
    dr = df - de
    week = t.rows(168)
    noise = t.mean(dr**2, 1440, 0.3)
    noise = before(noise, week)
    families["still"] = {
        f"{h}": -_log(t.mean(df**2, h) / (t.mean(de**2, h) + noise)) for h in (12, 24, 48, 96)
    }
    families["restless"] = {f"{h}": _log(t.mean(dr**2, h) / noise) for h in (24, 72, 168)}
    white = {}
    for h in (48, 96, 168):
        moments = kernels.rolling_moments(z, z, t.rows(h), int(0.7 * t.rows(h)))
        white[f"{h}"] = t.fresh(_log(t.mean(_diff(z, 1) ** 2, h) / np.maximum(moments[3], 1e-9)))
    families["white"] = white
    spread = {}
    for h in (48, 168):
        moments = kernels.rolling_moments(z, z, t.rows(h), int(0.7 * t.rows(h)))
        spread[f"{h}"] = 0.5 * _log(moments[3])
    families["spread"] = spread

    # Replay at whole days: the reports agree with those of a day before more than the state does.
    level = t.mean(t.sigma**2, 168)
    for h in (24, 48):
        best = np.full(len(f), -np.inf)
        for lag in LAGS:
            rows = t.rows(lag)
            a = t.mean(_diff(f, rows) ** 2, h, 0.8)
            b = t.mean(_diff(expected, rows) ** 2, h, 0.8)
            score = -_log(a / (b + 0.5 * level))
            best = np.fmax(best, np.where(np.isnan(score), -np.inf, score))
        best[~np.isfinite(best)] = np.nan
        families.setdefault("daily_replay", {})[f"{h}"] = best

    # Does the report follow the load? Slope of f on the expectation, in levels and in changes;
    # f with its residual held to 3 sigma, so that no single hour decides.
    f = expected + np.clip(z, -3.0, 3.0) * t.sigma
    loose = {}
    for h in (48, 96, 168, 336):
        w = t.rows(h)
        m = kernels.rolling_moments(expected, f, w, int(0.7 * w))
        loose[f"level{h}"] = _loose(m, t.sigma, 0.35)
    for h, lag in ((48, 3), (96, 6), (168, 6)):
        w = t.rows(h)
        m = kernels.rolling_moments(
            _diff(expected, t.rows(lag)), _diff(f, t.rows(lag)), w, int(0.7 * w)
        )
        loose[f"change{h}"] = _loose(m, t.sigma, 0.2)
    families["decouple"] = loose

    families["deficit"] = _deficit(t)
    families["covert"] = _covert(t)
    missing = _hot_missing(t)
    families["hot_missing"] = missing
    for name in ("low", "high", "cusum", "drift", "deficit"):
        for stream in families[name].values():
            stream[~t.settled] = np.nan
    return families


def deaf(t: Track, process: Floats) -> dict[str, dict[str, Floats]]:
    """Do the reports have anything to do with the process?

    -ln of the share of their variance (in levels and in changes over `CHANGE` hours) that a linear
    fit to the process *within the window* explains. An honest report may follow the process
    otherwise than before, but it follows it; a generator does not. process: (T, p), the scaled
    states and the other targets.
    """
    f = t.f
    for _ in range(2):  # no single hour decides
        m = kernels.rolling_moments(f, f, t.rows(168), t.rows(48))
        far = HELD * np.sqrt(m[3])
        f = np.where(np.isnan(m[1]), f, np.clip(f, m[1] - far, m[1] + far))
    lag = t.rows(CHANGE)
    moved = np.full_like(process, np.nan)
    moved[lag:] = process[lag:] - process[:-lag]
    out = {}
    for name, x, y in (("level", process, f), ("change", moved, _diff(f, lag))):
        x = np.ascontiguousarray(x)
        for h in (120, 168, 336):
            w = t.rows(h)
            least = max(int(0.7 * w), 4 * x.shape[1])
            out[f"{name}{h}"] = -_log(np.maximum(kernels.explained(x, y, w, least), 0.003))
    return {"deaf": out}


def alone(
    families: dict[str, dict[str, dict[str, Floats]]], names: tuple[str, ...] = ALONE
) -> None:
    """Take off the level streams of each target what the other targets show at the same time: a
    plant that runs otherwise moves all its pollutants, a meddled analyser moves alone. What moves
    all is left to `common`. In place; families: target -> family -> window -> stream (T,)."""
    if len(families) < 2:
        return
    was = {t: {f: dict(group) for f, group in own.items()} for t, own in families.items()}
    for target, own in families.items():
        for family in names:
            for window in own.get(family, {}):
                for other, theirs in was.items():
                    stream = theirs.get(family, {}).get(window)
                    if other != target and stream is not None:
                        common = np.fmax(np.nan_to_num(stream), 0.0)
                        own[family][window] = own[family][window] - common


def _loose(m: Floats, sigma: Floats, doubt: float) -> Floats:
    """(1 - slope) in units of its error: noise of the fit and doubt about the honest slope."""
    information = m[0] * m[3] / sigma**2
    slope = m[5] / np.maximum(m[3], 1e-12)
    result: Floats = (1.0 - slope) / np.sqrt(doubt**2 + 4.0 / np.maximum(information, 1e-9))
    return result


def _drift(t: Track, z: Floats, hours: float) -> Floats:
    """Mean of the last hours against that of 20 to 80 days before."""
    return before(t.mean(z, 1440, 0.3), t.rows(480)) - t.mean(z, hours)


def _deficit(t: Track) -> dict[str, Floats]:
    """Fewer high values than the process makes likely.

    Near and above the limit c: expected number sum P(f > c | e) against the reported one, in units
    of the Poisson-binomial error; and the mean residual of the hours in which an exceedance was
    likely. Without a limit: at the outlet's own high values.
    """
    out: dict[str, Floats] = {}
    limit = t.limit_f
    if np.isnan(limit):
        valid = t.f[~np.isnan(t.f)]
        if not len(valid):
            return out
        limit = float(np.quantile(valid, 0.95))
        if limit <= 0:
            return out
    for share in (0.9, 0.95, 1.0):
        cut = limit * (np.sqrt(share) if t.root else share)
        p = ndtr((t.fast - cut) / t.sigma)
        p = np.where(np.isnan(t.f), np.nan, p)
        over = np.where(np.isnan(p), np.nan, (t.f > cut).astype(np.float64))
        for h in (168, 336, 720):
            w = t.rows(h)
            least = int(0.6 * w)
            e = kernels.rolling_mean(p, w, least) * w
            o = kernels.rolling_mean(over, w, least) * w
            v = kernels.rolling_mean(p * (1 - p), w, least) * w
            score = (e - o) / np.sqrt(4.0 * v + 1.0)
            key = f"{h}"
            out[key] = score if key not in out else np.fmax(out[key], score)
    weight = ndtr((t.fast - limit * (np.sqrt(0.93) if t.root else 0.93)) / t.sigma)
    weight = np.where(np.isnan(t.z), np.nan, weight)
    for h in (168, 336):
        w = t.rows(h)
        a = kernels.rolling_mean(weight * t.z, w, int(0.6 * w)) * w
        b = kernels.rolling_mean(weight**2, w, int(0.6 * w)) * w
        out[f"hot{h}"] = -a / np.sqrt(b + 1.0)
    # Mass heaped below the limit.
    floor = limit * (np.sqrt(0.88) if t.root else 0.88)
    inside = (t.f > floor) & (t.f <= limit)
    p = ndtr((limit - t.fast) / t.sigma) - ndtr((floor - t.fast) / t.sigma)
    p = np.where(np.isnan(t.f), np.nan, p)
    heap = np.where(np.isnan(p), np.nan, inside.astype(np.float64))
    for h in (168, 336):
        w = t.rows(h)
        e = kernels.rolling_mean(p, w, int(0.6 * w)) * w
        o = kernels.rolling_mean(heap, w, int(0.6 * w)) * w
        out[f"heap{h}"] = (o - e) / np.sqrt(4.0 * e + 4.0)
    return out


def _covert(t: Track) -> dict[str, Floats]:
    """Reports that fall below expectation at some hours of the day only, or now and then for hours.

    For each block of hours: mean z inside minus mean z of the 12 h around it, averaged over days.
    """
    z = t.z
    out: dict[str, Floats] = {}
    best: dict[int, Floats] = {}
    for begin, length in NIGHTS:
        inside = ((t.hours - begin) % 24) < length
        a = np.where(inside, z, np.nan)
        b = np.where(inside, np.nan, z)
        for days in (5, 10, 20):
            w = t.rows(24 * days)
            share = length / 24
            ma = kernels.rolling_mean(a, w, int(0.5 * w * share))
            mb = kernels.rolling_mean(b, w, int(0.5 * w * (1 - share)))
            score = mb - ma
            best[days] = score if days not in best else np.fmax(best[days], score)
    for days, score in best.items():
        out[f"night{days}"] = score
    rest: dict[int, Floats] = {}
    for begin in range(0, 24, 4):
        inside = ((t.hours - begin) % 24) < 6
        a = np.where(inside, z, np.nan)
        b = np.where(inside, np.nan, z)
        for days in (7, 14):
            w = t.rows(24 * days)
            score = kernels.rolling_mean(b, w, int(0.4 * w)) - kernels.rolling_mean(
                a, w, int(0.12 * w)
            )
            rest[days] = score if days not in rest else np.fmax(rest[days], score)
    for days, score in rest.items():
        out[f"block{days}"] = score
    return out


def _hot_missing(t: Track) -> dict[str, Floats]:
    """Reports that are missing when an exceedance was likely.

    A gap counts once, by the highest expectation inside it, as hot when that lies above the 85 %
    point of the last 60 days. One-sided: how much more often than chance (a longer gap has more
    chances), -log10 p of a binomial over the gaps of the window.
    """
    from scipy.stats import binom

    n = len(t.f)
    gone = np.isnan(t.y) & t.running & ~np.isnan(t.fast)
    past = t.rows(1440)
    hot_gap = np.full(n, np.nan)
    starts = np.flatnonzero(gone & ~np.r_[False, gone[:-1]])
    chance = np.full(n, np.nan)
    for first in starts.tolist():
        last = first
        while last + 1 < n and gone[last + 1]:
            last += 1
        before = t.fast[max(0, first - past) : first]
        before = before[~np.isnan(before)]
        length = last - first + 1
        if len(before) < 200 or length > t.rows(24):
            continue
        cut = float(np.quantile(before, 0.85))
        hot_gap[last] = float(t.fast[first : last + 1].max() > cut)
        recent = t.fast[max(0, last - t.rows(336)) : last + 1]
        share = float(np.mean(recent[~np.isnan(recent)] > cut))
        chance[last] = 1.0 - (1.0 - min(max(0.2, 1.2 * share), 0.95)) ** (1.0 + length / t.rows(6))
    out: dict[str, Floats] = {}
    rows = np.flatnonzero(~np.isnan(hot_gap))
    for h in (168, 336, 720):
        score = np.zeros(n)
        w = t.rows(h)
        for row in rows.tolist():
            window = slice(max(0, row - w + 1), row + 1)
            held = hot_gap[window]
            held = held[~np.isnan(held)]
            if len(held) < 5:
                continue
            c = chance[window]
            p = float(np.nanmean(c))
            k = int(held.sum())
            value = -float(binom.logsf(k - 1, len(held), p)) / np.log(10.0)
            stop = min(n, row + t.rows(24))
            score[row:stop] = np.maximum(score[row:stop], value)
        out[f"{h}"] = score
    return out


def gaps(missing: Bools, most: int) -> list[tuple[int, int]]:
    """First and last row of each gap of at most `most` rows."""
    edges = np.diff(np.r_[0, missing.astype(np.int64), 0])
    firsts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [
        (int(a), int(b) - 1) for a, b in zip(firsts, stops, strict=True) if b - a <= most and a > 0
    ]


def channel(c: ChannelTrack, per_hour: float) -> dict[str, dict[str, Floats]]:
    """Residual of a state channel against the other channels, both signs."""
    out: dict[str, Floats] = {}
    for h in (6, 24, 72):
        w = max(1, round(h * per_hour))
        out[f"{h}"] = np.abs(kernels.rolling_mean(c.z, w, max(1, int(0.6 * w))))
    return {"channel": out}


def common(tracks: list[Track], oxygen: ChannelTrack | None) -> dict[str, dict[str, Floats]]:
    """All gases low together (dilution), with the movement of O2 where it is measured."""
    if len(tracks) < 2:
        return {}
    total = np.sum([t.z for t in tracks], axis=0) / np.sqrt(len(tracks))
    out: dict[str, Floats] = {}
    for h in (24, 72, 168):
        stream = -tracks[0].mean(total, h)
        if oxygen is not None:
            stream = stream + np.abs(np.nan_to_num(tracks[0].mean(oxygen.z, h))) * (stream > 0.5)
        stream[~tracks[0].settled] = np.nan
        out[f"{h}"] = stream
    return {"dilution": out}


def peer(t: Track, block: Floats) -> dict[str, dict[str, Floats]]:
    """Log ratio to the median of the peers, against its own past 20 to 80 days."""
    with np.errstate(divide="ignore", invalid="ignore"), Quiet():
        own = np.log(np.where(t.y > 0, t.y, np.nan))
        rest = np.nanmedian(np.where(block > 0, np.log(np.abs(block)), np.nan), axis=0)
        rank = np.nanmean(np.where(np.isnan(block), np.nan, (block > t.y).astype(float)), axis=0)
    d = own - rest
    out = {f"{h}": _drift(t, d, h) for h in (24, 72, 168)}
    out["rank"] = _drift(t, -rank, 168)
    return {"peer": out}


class Quiet:
    """No warnings of all-NaN slices: they are what a missing hour looks like."""

    def __enter__(self) -> None:
        import warnings

        self.caught = warnings.catch_warnings()
        self.caught.__enter__()
        warnings.simplefilter("ignore", RuntimeWarning)

    def __exit__(self, *args: object) -> None:
        self.caught.__exit__(None, None, None)


def facility(
    t: Track, treatment: Floats, production: Floats | None
) -> dict[str, dict[str, Floats]]:
    """The pollutant does not rise when the treatment's power falls.

    Where power of treatment is under half its own 60-day median while production runs: mean z of
    these hours, which honestly is well above 0. Score = minus that, times root of the hours.
    """
    past = t.mean(treatment, 1440, 0.3)
    off = treatment < 0.5 * past
    if production is not None:
        off &= production > 0.3 * t.mean(production, 1440, 0.3)
    z = np.where(off, t.z, np.nan)
    out = {}
    for h in (72, 168):
        w = t.rows(h)
        mean = kernels.rolling_mean(z, w, t.rows(6))
        count = kernels.rolling_mean(off.astype(np.float64), w, 1) * w
        out[f"{h}"] = (2.0 - mean) * np.sqrt(count)
    return {"facility_power": out}


def fingerprint(families: dict[str, dict[str, Floats]]) -> tuple[list[str], Floats]:
    """The features by which a week is known as this outlet's own: (names, (n, T))."""
    names, rows = [], []
    for family, window in (
        ("quiet", "72"),
        ("smooth", "72"),
        ("restless", "72"),
        ("white", "96"),
        ("spread", "168"),
        ("low", "72"),
        ("decouple", "level168"),
        ("decouple", "change96"),
    ):
        if family in families and window in families[family]:
            names.append(f"{family}/{window}")
            rows.append(families[family][window])
    return names, np.array(rows) if rows else np.zeros((0, 0))
