"""A judged stretch, read at a budget: alarms fused to cases, cases told as findings."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jingwei.analysis.detection import kernels, model, streams, texts
from jingwei.analysis.detection.calibration import APART, MODELLED
from jingwei.analysis.detection.finding import (
    NOT_ESTIMATED,
    Draft,
    Evidence,
    Finding,
    Findings,
    Share,
    digits,
)
from jingwei.analysis.detection.hits import stretches
from jingwei.analysis.detection.identities import converted
from jingwei.analysis.detection.joint import signs
from jingwei.analysis.detection.later import HALFWAY, LEVEL, Later
from jingwei.analysis.detection.monitor import Floats
from jingwei.analysis.detection.tracks import honest

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

LEAD_SERIES = 168.0  # hours before the stretch that the evidence shows
MOST_SERIES = 2000
STRONGER = 2.0  # nats
EXPLAINED = 1  # of the model's half-lives: the middle one of `model.FAST`


@dataclass
class Look:
    """A stretch judged: what the exact tier hit, and how rare every family is at every row.

    rarity: (factor, family) -> -ln(false cases per outlet and month) over the stretch (T,).
    """

    suite: Suite
    later: Later
    exact: list[Draft]
    rarity: dict[tuple[str, str], Floats]
    streams: dict[tuple[str, str], dict[str, Floats]] = field(default_factory=dict)

    def findings(self, budget: float = 0.1) -> Findings:
        """The cases at a budget; ValueError for one out of range."""
        if not 1e-3 <= budget <= 10:
            raise ValueError(f"budget must lie between 0.001 and 10 cases a month, not {budget}")
        drafts = [replace(d) for d in self.exact] + self._alarms(budget)
        per_hour = self.later.monitor.hour
        return Findings(
            [_finding(self.suite, d, self.later, budget) for d in _cases(drafts, per_hour)],
            [*self.suite.reasons, *self.later.reasons],
        )

    def quality(self) -> dict[str, model.Quality]:
        """How the models did on this stretch, which they had not seen: column -> quality."""
        shift, out = self.later.shift, {}
        for name, channel in self.suite.channels.items():
            y = self.later.whole.values[name]
            f = channel.transform.forward(y)
            fast = self.later.paths[name][0]
            use = ~np.isnan(y)
            of = use & (np.arange(len(y)) >= shift)
            out[name] = model.measured(
                channel.transform, y, f, fast, use, self.later.monitor.hour, of
            )
        return out

    def _alarms(self, budget: float) -> list[Draft]:
        need = -math.log(budget)
        shift, per_hour = self.later.shift, self.later.monitor.hour
        drafts = []
        for key, rarity in self.rarity.items():
            for first, last in stretches(rarity >= need, round(48 * per_hour)):
                top = first + int(np.argmax(rarity[first : last + 1]))
                # A weak alarm that grows much stronger: dated by the strong part.
                strong = rarity[first : last + 1] >= rarity[top] - STRONGER
                first += int(np.argmax(strong))
                group = self.streams[key]
                extra = self._signs(key[0], top + shift) if key[1] == "joint" else {}
                window, hours = self.suite.window(key, group, top + shift)
                drafts.append(
                    Draft(
                        key[1],
                        key[0],
                        max(first - round(hours * per_hour) + 1, 0),
                        last,
                        first,
                        float(rarity[top]),
                        "statistical",
                        {"statistic": float(group[window][top + shift]), **extra},
                        {"window": window, "hours": hours},
                    )
                )
        return drafts

    def _signs(self, target: str, row: int) -> dict[str, dict[str, float]]:
        """The heaviest signs of a target at a row of the whole."""
        here = {
            key: {name: stream[row : row + 1] for name, stream in group.items()}
            for key, group in self.streams.items()
            if key[0] == target
        }
        each = signs(self.suite, here, self.suite.families).get(target, {})
        heavy = sorted(((float(w[0]), name) for name, w in each.items()), reverse=True)
        return {"signs": {name: weight for weight, name in heavy[:4] if weight > 0}}


def _finding(suite: Suite, d: Draft, later: Later, budget: float) -> Finding:
    monitor, per_hour = later.monitor, later.monitor.hour
    if d.detector in texts.LEVEL:
        d.first, d.last = _stretch(d, later)
    rate = math.exp(-min(d.rarity, 60.0))
    score = d.rarity / math.log(10.0)
    grade = (
        "evidence"
        if rate <= 0.01 or d.tier == "exact"
        else "inspection"
        if rate <= 0.1
        else "screening"
    )
    lead = round(LEAD_SERIES * per_hour)
    shown = (max(0, d.first - lead), min(len(monitor) - 1, d.last + lead // 7))
    if shown[1] - shown[0] + 1 > MOST_SERIES:
        shown = (shown[0], shown[0] + MOST_SERIES - 1)
    factor = d.factor if d.factor in monitor.values else next(iter(monitor.targets))
    series: dict[str, list[float | None]] = {
        factor: digits(monitor.values[factor][shown[0] : shown[1] + 1].tolist())
    }
    pair = monitor.conversion(d.factor) if d.detector == "convert_identity" else None
    if pair is not None:
        due = converted(monitor, d.factor, 0)
        for name, line in (("converted", monitor.values[pair[1]]), ("recomputed", due)):
            if line is not None and pair[1] != factor:
                series[name] = digits(line[shown[0] : shown[1] + 1].tolist())
    share = None
    numbers = dict(d.numbers)
    band = later.band(suite, factor)
    if band is not None:
        middle, low, high = (b[shown[0] : shown[1] + 1] for b in band)
        series["expected"] = digits(middle.tolist())
        series["low"] = digits(low.tolist())
        series["high"] = digits(high.tolist())
        y = monitor.values[factor][d.first : d.last + 1]
        e = band[0][d.first : d.last + 1]
        both = ~(np.isnan(y) | np.isnan(e))
        if both.any():
            numbers.setdefault("reported_mean", float(y[both].mean()))
            numbers.setdefault("expected_mean", float(e[both].mean()))
        if factor in monitor.targets and suite.quality[factor].passed:
            share = _share(suite, factor, later, d)
    limits: dict[str, Any] = {}
    if d.tier == "statistical":
        numbers["rate_per_month"] = rate
        if suite.fused is not None:
            limits = {"months": suite.fused.months}
    text = texts.DETECTORS[d.detector]
    return Finding(
        d.detector,
        factor,
        monitor.time(d.first),
        monitor.time(d.last) + monitor.step,
        monitor.time(d.found) + monitor.step,
        digits(score),
        digits(d.numbers.get("p", NOT_ESTIMATED) if d.tier == "exact" else 1.0 - math.exp(-rate)),
        d.tier,
        grade,
        texts.sentence(d, factor, monitor, digits(numbers), share),
        Evidence(
            digits(numbers),
            series,
            monitor.time(shown[0]),
            text.formula,
            digits(
                {
                    **d.parameters,
                    **_reasons_of(suite, d, later),
                    **limits,
                    "budget": budget,
                    "step_seconds": monitor.step.total_seconds(),
                    "suite": texts.VERSION,
                }
            ),
            monitor.sha256(*shown),
            shown,
        ),
        text.innocent,
        text.check,
        share,
        tuple(d.also),
    )


def _reasons_of(suite: Suite, d: Draft, later: Later) -> dict[str, Any]:
    """Why the model expected what it did, in the row that departs most: Shapley values of the process
    columns, on the scale of the model (the root of the emission where `root`). Empty without one."""
    channel = suite.channels.get(d.factor)
    track = next((t for t in later.tracks if t.name == d.factor), None)
    if d.detector not in MODELLED or channel is None or track is None or suite.scaler is None:
        return {}
    rows = np.abs(np.nan_to_num(track.z[d.first + later.shift : d.last + 1 + later.shift]))
    if not len(rows):
        return {}
    row = d.first + int(np.argmax(rows)) + later.shift
    begin = max(0, row - round(24 * later.monitor.hour))
    cut = slice(begin, row + 1)
    z = suite.scaler.scaled({c: later.whole.values[c][cut] for c in suite.scaler.names})
    if np.isnan(z[-1]).any():
        return {}
    parts = model.contributions(
        suite.scaler, z, row - begin, channel.memories[EXPLAINED], later.monitor.hour
    )
    return {
        "explained_row": later.monitor.time(row - later.shift).isoformat(),
        "contributions": dict(sorted(parts.items(), key=lambda item: -abs(item[1]))),
        "root": channel.transform.root,
    }


def _stretch(d: Draft, later: Later) -> tuple[int, int]:
    """Where the level is off: the rows around the alarm that hold the most of -z - slack.

    Slack: half a deviation to begin with, then half of the shift so found, which makes the ends those
    of greatest likelihood for a shift of that size.
    """
    track = next((t for t in later.tracks if t.name == d.factor), None)
    if track is None:
        return d.first, d.last
    h = later.monitor.hour
    a = max(0, d.first - round(336 * h)) + later.shift
    b = min(len(track.z), d.last + 1 + later.shift)
    down = track.z[a:b] if d.detector == "high" else -track.z[a:b]
    slack, begin, end = 0.5, 0, 0
    for _ in range(3):
        total = np.r_[0.0, np.cumsum(np.nan_to_num(down - slack))]
        end = int(np.argmax(total - np.minimum.accumulate(total)))
        begin = int(np.argmin(total[: end + 1]))
        if end - begin < 6:
            return d.first, d.last
        slack = max(0.5, 0.5 * float(np.nanmean(down[begin:end])))
    return max(0, a + begin - later.shift), a + end - 1 - later.shift


def _share(suite: Suite, factor: str, later: Later, d: Draft) -> Share | None:
    """Hidden share over the stretch: 1 - reported / expected, with a range.

    Expected: the model as it stood before the stretch, put half right by its mean ratio to
    the reports over the 10 days before (`Later.frozen`). The range: how this ratio scatters honestly between
    neighbouring stretches of that length.
    """
    band = later.band(suite, factor)
    if band is None:
        return None
    y = later.monitor.values[factor]
    e, doubt = later.frozen(suite, factor, d.first)
    here = slice(d.first, d.last + 1)
    ok = ~(np.isnan(y) | np.isnan(e))
    if ok[here].sum() < 3:
        return None
    reported, expected = float(y[here][ok[here]].sum()), float(e[here][ok[here]].sum())
    if expected <= 0:
        return None
    ratio = reported / expected
    spread = math.hypot(_spread(suite, factor, int(ok[here].sum())), doubt)
    return Share(
        digits(1.0 - ratio),
        digits(1.0 - ratio * math.exp(1.645 * spread)),
        digits(1.0 - ratio * math.exp(-1.645 * spread)),
    )


def _spread(suite: Suite, factor: str, n: int) -> float:
    """Deviation of ln(reported / expected) of honest stretches of n rows."""
    channel, path = suite.channels[factor], suite.paths[factor]
    y = np.where(honest(suite, suite.history, factor), suite.history.values[factor], np.nan)
    e = channel.transform.back(path.fast)
    w = int(min(max(n, 3), len(y) // 10))
    both = np.where(np.isnan(y) | np.isnan(e), np.nan, 1.0)

    def ratio(rows: int) -> Floats:
        a = kernels.rolling_mean(y * both, rows, max(1, int(0.8 * rows)))
        b = kernels.rolling_mean(e * both, rows, max(1, int(0.8 * rows)))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.log(a / b), dtype=np.float64)

    # As the share is estimated: against half the level of the days before.
    per_hour = suite.history.hour
    x = ratio(w) - HALFWAY * streams.before(ratio(round(LEVEL * per_hour)), w)
    x = x[np.isfinite(x)]
    return float(np.sqrt(np.mean(x**2))) if len(x) else 1.0


def _cases(drafts: list[Draft], per_hour: float) -> list[Draft]:
    """One case an outlet in seven days: exact before statistical, then the rarest, leads it; stretch
    and time of finding are the leader's."""
    reach = round(APART * per_hour)
    left = sorted(drafts, key=lambda d: (d.found, d.detector, d.factor))
    cases: list[list[Draft]] = []
    for d in left:
        if cases and (
            d.found <= cases[-1][0].found + reach
            or any(
                o.detector == d.detector and o.factor == d.factor and d.found <= o.last + reach // 7
                for o in cases[-1]
            )
        ):
            cases[-1].append(d)
        else:
            cases.append([d])
    result = []
    for group in cases:
        lead = max(group, key=lambda d: (d.tier == "exact", d.rarity, d.detector, d.factor))
        lead.also = sorted({f"{d.detector}:{d.factor}" for d in group if d is not lead})
        result.append(lead)
    return result
