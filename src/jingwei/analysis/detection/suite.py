"""The suite of one outlet: learns its honest habits, then finds what contradicts them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from jingwei.analysis.detection import exact, kernels, model, streams
from jingwei.analysis.detection.calibration import MODELLED, SHARES, Family, Tail, bend
from jingwei.analysis.detection.complaints import complaints, same
from jingwei.analysis.detection.finding import NOT_ESTIMATED, Draft, Findings, Reason, digits
from jingwei.analysis.detection.habit import Habit, digit_preference
from jingwei.analysis.detection.hits import Hit
from jingwei.analysis.detection.identities import Identity, convert_identity, fit_identity
from jingwei.analysis.detection.joint import weigh
from jingwei.analysis.detection.later import Later
from jingwei.analysis.detection.learning import calibrate, fit_models
from jingwei.analysis.detection.look import Look
from jingwei.analysis.detection.monitor import Bools, Floats, Monitor
from jingwei.analysis.detection.reasons import NOTES, SILENT, reason
from jingwei.analysis.detection.steps import Steps, step_scores
from jingwei.analysis.detection.tracks import Path

OUTLET = "*"  # the factor of a finding that concerns the outlet as a whole


@dataclass
class Suite:
    """Detection for one outlet. Make it by `fit`; it does not change afterwards.

    reasons: what cannot be judged and why. quality: model quality out of time, per channel.
    realised: what the nominal budgets 1, 0.3 and 0.1 gave on the held-out part of the history.
    """

    history: Monitor
    reasons: tuple[Reason, ...] = ()
    quality: dict[str, model.Quality] = field(default_factory=dict)
    realised: dict[str, dict[str, float]] = field(default_factory=dict)
    importance: dict[str, dict[str, float]] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    habits: dict[str, Habit] = field(default_factory=dict)
    identities: dict[str, Identity] = field(default_factory=dict)
    screened: dict[str, Bools] = field(default_factory=dict)
    running: exact.Running = field(default_factory=lambda: exact.Running({}))
    scaler: model.Scaler | None = None
    channels: dict[str, model.Channel] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)
    families: dict[tuple[str, str], Family] = field(default_factory=dict)
    stepping: dict[str, Steps] = field(default_factory=dict)
    prints: dict[str, tuple[list[str], Floats, Floats]] = field(default_factory=dict)
    fused: Tail | None = None

    # -- learning ---------------------------------------------------------------------------

    @classmethod
    def fit(cls, monitor: Monitor, shares: Mapping[str, float] | None = None) -> Suite:
        """Learn from honest-looking history. Frozen and copied stretches in it are left out first.

        Never fails on poor data: what cannot be judged stands in `reasons`. shares: other shares of
        the budget per family (see `calibration.learn`).
        """
        suite = cls(monitor)
        if shares is not None:
            suite.shares = {k: float(v) for k, v in shares.items()}
        reasons = complaints(monitor)
        suite.reasons = tuple(reasons)
        suite.running = exact.Running.fit(monitor)
        for target in monitor.targets:
            y = monitor.values[target]
            noise = _noise(y)
            habit = Habit.fit(y, noise, monitor.hour)
            if habit is None:
                continue
            suite.habits[target] = habit
            identity = fit_identity(monitor, target)
            if identity is not None:
                suite.identities[target] = identity
                if not identity.holds:
                    reasons.append(reason("identity", target))
            dirty = np.zeros(len(y), dtype=bool)
            for hit in suite.series_hits(monitor, target, y, 0, None):
                dirty[hit.first : hit.last + 1] = True
            for first, last in exact.flat(y, monitor.hour):
                dirty[first : last + 1] = True
            suite.screened[target] = dirty
        blocked = {r.column for r in reasons if r.code not in NOTES}
        if "" in blocked:
            suite.reasons = tuple(reasons)
            return suite
        fit_models(suite, monitor, blocked, reasons)
        calibrate(suite, monitor, blocked, reasons)
        suite.reasons = tuple(reasons)
        return suite

    @property
    def silent(self) -> frozenset[str]:
        """Targets of which the statistical tier says nothing."""
        return frozenset(r.column for r in self.reasons if r.code in SILENT)

    def plain(
        self,
        key: tuple[str, str],
        group: Mapping[str, Floats],
        families: Mapping[tuple[str, str], Family] | None = None,
    ) -> Floats | None:
        """-ln(rate) of one family of one target by its own tails, bent (T,)."""
        if self.shares.get(key[1], 0.0) <= 0:
            return None
        if key[1] == "step_at_gap":
            return bend(group["gap"])
        family = (self.families if families is None else families).get(key)
        return None if family is None else bend(family.rarity(dict(group))[0])

    def weighed(self, key: tuple[str, str], plain: Floats) -> Floats:
        """-ln(rate) + ln(share of the budget) (T,); -inf where unknown."""
        return np.where(np.isnan(plain), -np.inf, plain) + math.log(self.shares[key[1]])

    def fuse(self, plain: Mapping[tuple[str, str], Floats]) -> Floats:
        """The largest of all families (T,); NaN where none can be said."""
        if not plain:
            return np.zeros(0)
        best = np.max([self.weighed(key, row) for key, row in plain.items()], axis=0)
        return np.where(np.isfinite(best), best, np.nan)

    # -- looking ----------------------------------------------------------------------------

    def streams_of(
        self,
        tracks: list[streams.Track],
        channels: list[streams.ChannelTrack],
        whole: Monitor,
        start: int,
    ) -> dict[tuple[str, str], dict[str, Floats]]:
        """(factor, family) -> window -> stream, each (T,)."""
        found: dict[tuple[str, str], dict[str, Floats]] = {}
        per_hour = whole.hour
        told: dict[str, dict[str, dict[str, Floats]]] = {}
        production = whole.total("power_production")
        treatment = whole.total("power_treatment")
        for t in tracks:
            groups = streams.model_free(t, start)
            habit = self.habits[t.name]
            long, short = digit_preference(t.y, habit, t.name, start)
            if habit.digits:
                groups["digits"] = {"336": long, "168": short}
            if t.modelled:
                groups.update(streams.model_based(t))
                groups.update(streams.deaf(t, self._process(t, tracks, whole)))
                if treatment is not None:
                    groups.update(streams.facility(t, treatment, production))
                names, block = streams.fingerprint(groups)
                if names:
                    stream = self._print(t.name, names, block, start)
                    if stream is not None:
                        groups["fingerprint"] = {"168": stream}
                if t.name in self.stepping:
                    groups["step_at_gap"] = {"gap": step_scores(self, t, tracks, start, per_hour)}
            if whole.peers is not None and t.name in whole.peers:
                groups.update(streams.peer(t, whole.peers[t.name]))
            told[t.name] = groups
        streams.alone({t.name: told[t.name] for t in tracks if t.modelled})
        for name, groups in told.items():
            for family, group in groups.items():
                found[name, family] = group
        for c in channels:
            for family, group in streams.channel(c, per_hour).items():
                found[c.name, family] = group
        oxygen = next((c for c in channels if c.role == "o2"), None)
        modelled = [t for t in tracks if t.modelled]
        for family, group in streams.common(modelled, oxygen).items():
            found[OUTLET, family] = group
        return found

    def _process(self, t: streams.Track, tracks: list[streams.Track], whole: Monitor) -> Floats:
        """The scaled states and the other targets in units of their noise (T, p). Where another
        target is missing it stands at the mean of its week: it must not blind this one."""
        assert self.scaler is not None
        columns = [self.scaler.scaled({c: whole.values[c] for c in self.scaler.names})]
        for other in tracks:
            if other.name != t.name and other.modelled:
                f = other.f / np.nanmean(other.sigma)
                week = kernels.rolling_mean(f, t.rows(168), 1)
                columns.append(np.nan_to_num(np.where(np.isnan(f), week, f)))
        return np.column_stack(columns)

    def _print(self, name: str, names: list[str], block: Floats, start: int) -> Floats | None:
        """Mahalanobis distance of the week's features from the outlet's own weeks."""
        if name not in self.prints:
            rows = block[:, start::24]
            rows = rows[:, np.isfinite(rows).all(axis=0)]
            if rows.shape[1] < 60:
                return None
            center = np.median(rows, axis=1)
            covariance = np.cov(rows)
            covariance += np.diag(0.05 * np.diag(covariance) + 1e-9)
            inverse_of: Floats = np.linalg.inv(covariance).astype(np.float64)
            self.prints[name] = (names, center, inverse_of)
        known, center, inverse = self.prints[name]
        if known != names:
            return None
        d = block - center[:, None]
        with np.errstate(invalid="ignore"):
            distance: Floats = np.sqrt(np.maximum(np.einsum("it,ij,jt->t", d, inverse, d), 0.0))
        return distance

    def detect(self, monitor: Monitor, budget: float = 0.1) -> Findings:
        """Judge a later stretch with the history as its past.

        monitor: the same columns, step and roles as the history. budget: false cases that the
        statistical tier may raise per outlet and month (0.001 … 10); the exact tier needs none.
        ValueError for another set of columns, another step or a budget out of range.
        """
        return self.look(monitor).findings(budget)

    def look(self, monitor: Monitor) -> Look:
        """Judge a stretch once, to be read at several budgets."""
        same(self.history, monitor)
        later = Later.build(self, monitor)
        look = Look(self, later, [], {})
        if any(r.code == "missing" and r.column == "" for r in later.reasons):
            return look
        look.exact = self._exact(later)
        if self.fused is not None:
            look.streams = self.streams_of(later.tracks, later.channels, later.whole, later.shift)
            quiet = {r.column for r in later.reasons if r.code in SILENT}
            loose = {r.column for r in later.reasons if r.code not in SILENT | NOTES}
            for key in list(look.streams):
                modelled = key[1] in MODELLED and ("" in loose or key[0] in loose)
                if key[0] in quiet or modelled:
                    del look.streams[key]
            look.streams.update(weigh(self, look.streams, self.families))
            for key, group in look.streams.items():
                plain = self.plain(key, group)
                if plain is not None:
                    score = self.weighed(key, plain)
                    look.rarity[key] = self.fused.rarity(
                        np.where(np.isfinite(score), score, np.nan)
                    )[later.shift :]
        return look

    def series_hits(
        self, monitor: Monitor, target: str, y: Floats, start: int, later: Later | None
    ) -> list[Hit]:
        """Runs and copies in one target; rows of y."""
        habit = self.habits[target]
        process = {
            c: (monitor.values[c] if later is None else later.long(c))
            for c in monitor.having(
                "state", "load", "flow", "o2", "raw", "temperature", "power_production"
            )
            if c != f"{target}_raw"
        }
        flows = monitor.having("flow")
        flow = None if not flows else process[flows[0]]
        hits = list(exact.constant_run(y, habit, process, flow, target, start))
        hits += exact.copied(y, habit, target, start)
        return hits

    def _exact(self, later: Later) -> list[Draft]:
        monitor, shift = later.monitor, later.shift
        hits: list[Hit] = []
        # What never changed in all history is no news, and how often values repeat is not known.
        still = {r.column for r in self.reasons if r.code == "constant"}
        for target in monitor.targets:
            if target not in self.habits or target in still:
                continue
            y = later.long(target)
            start = len(y) - len(monitor)
            series = self.series_hits(monitor, target, y, start, later)
            for hit in series:
                if hit.first < start:
                    hit.numbers["rows_before"] = start - hit.first
                hit.first, hit.last = max(hit.first - start, 0), hit.last - start
                hit.found = max(hit.found - start, hit.first)
            hits += series
            if target in self.identities:
                hits += convert_identity(monitor, target, self.identities[target], 0)
            track = next((t for t in later.tracks if t.name == target), None)
            if track is not None and target in self.habits:
                correlation, lag = streams.replayed(track, shift)
                near = list(exact.copied_scaled(correlation, lag, track.y, target, shift))
                for hit in near:
                    hit.first, hit.last = max(hit.first - shift, 0), hit.last - shift
                    hit.found -= shift
                hits += near
        hits += exact.mark_contradiction(monitor, self.running, 0)
        hits += exact.physical_bounds(monitor, self.running, 0)
        before = {}
        for name in monitor.having("parameter"):
            column = self.history.values.get(name, np.empty(0))  # first read after the fit
            read = np.flatnonzero(~np.isnan(column))
            if len(read) and not self._worked(int(read[-1])):
                before[name] = float(column[read[-1]])
        hits += exact.parameter_change(monitor, before, 0)
        return [
            Draft(
                h.detector,
                h.factor,
                h.first,
                h.last,
                h.found,
                -math.log(max(NOT_ESTIMATED if h.p is None else h.p, 1e-30)),
                "exact",
                h.numbers if h.p is None else {**h.numbers, "p": h.p},
                h.parameters,
            )
            for h in hits
            if h.last >= 0
        ]

    def _worked(self, row: int) -> bool:
        """Whether history marks calibration or maintenance of any target from a day before a row on."""
        since = max(0, row - round(24 * self.history.hour))
        marks = [self.history.mark(t) for t in self.history.targets]
        return any(m is not None and bool(np.isin(m[since:], ["C", "M"]).any()) for m in marks)

    def window(self, key: tuple[str, str], group: dict[str, Floats], row: int) -> tuple[str, float]:
        """The window that was rarest at a row, and its length in hours."""
        if key[1] == "step_at_gap":
            return "gap", 120.0
        family = self.families[key]
        _, names, which = family.rarity({k: v[row : row + 1] for k, v in group.items()})
        name = names[int(which[0])]
        if key[1] == "covert":
            return name, 24.0 * float("".join(c for c in name if c.isdigit()))
        if key[1] == "replay":
            return name, 24.0
        if key[1] == "joint":
            return name, 168.0
        if key[1] == "cusum":
            return name, 240.0
        return name, float("".join(c for c in name if c.isdigit()))


def _noise(y: Floats) -> float:
    d = np.diff(y)
    d = d[~np.isnan(d)]
    return float(np.median(np.abs(d)) / 0.6745 / np.sqrt(2)) if len(d) else 0.0


def summary(suite: Suite) -> dict[str, Any]:
    """What an outlet's page shows of its detectors: models, gates, rates, what is not judged."""
    return {
        "quality": {
            k: digits(
                {
                    "r2": q.r2,
                    "r2_corrected": q.r2_corrected,
                    "mae": q.mae,
                    "rows": q.rows,
                    "passed": q.passed,
                }
            )
            for k, q in suite.quality.items()
        },
        "importance": digits(suite.importance),
        "realised": suite.realised,
        "families": sorted({f"{f}:{t}" for t, f in suite.families}),
        "reasons": [r.to_json() for r in suite.reasons],
    }
