"""The suite of one outlet: learns its honest habits, then finds what contradicts them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from jingwei.analysis.detection import exact, kernels, model, streams, texts
from jingwei.analysis.detection.calibration import APART, DECADE, MONTH, Family, Tail, bend, peaks
from jingwei.analysis.detection.finding import (
    Draft,
    Evidence,
    Finding,
    Findings,
    Reason,
    Share,
    digits,
)
from jingwei.analysis.detection.monitor import PROCESS, Bools, Floats, Monitor

CONTEXT = 3000.0  # hours of history that stand before a later stretch
SHORT = 60 * 24.0  # hours of valid history that the statistical tier needs
SETTLE = 504.0  # hours of rows after a long gap before levels are judged
SETTLE_GAP = 30 * 24.0
STALE_DAYS = 400.0
FOLDS = 5
BURN = 2000.0  # hours of the history after which its scores count
SCALE_HALF = 1500.0
SCALE_LAG = 168.0
LEAD_SERIES = 168.0  # hours before the stretch that the evidence shows
MOST_SERIES = 2000
UNIT = 8.0  # a level that differs by more than this factor for days is taken for another unit
STRONGER = 2.0  # nats
TESTS = 4.35  # gaps a month that the step test reckons with at least

# Shares of the budget: families of the statistical tier. Found on 2011-2013 (docs/validation).
SHARES: dict[str, float] = {
    "quiet": 1.0,
    "smooth": 1.0,
    "rough": 0.3,
    "ceiling": 3.0,
    "replay": 0.1,
    "digits": 0.5,
    "low": 3.0,
    "high": 0.2,
    "cusum": 2.0,
    "drift": 2.0,
    "still": 1.0,
    "restless": 1.0,
    "white": 0.5,
    "spread": 0.3,
    "daily_replay": 3.0,
    "decouple": 2.0,
    "deficit": 0.1,
    "covert": 2.0,
    "hot_missing": 0.5,
    "step_at_gap": 0.1,
    "channel": 1.0,
    "dilution": 0.5,
    "peer": 1.0,
    "facility_power": 0.5,
    "fingerprint": 1.0,
}
MODELLED = frozenset(
    [
        "low",
        "high",
        "cusum",
        "drift",
        "still",
        "restless",
        "white",
        "spread",
        "daily_replay",
        "decouple",
        "deficit",
        "covert",
        "hot_missing",
        "step_at_gap",
        "channel",
        "dilution",
        "facility_power",
        "fingerprint",
    ]
)
LOGS = frozenset({"digits", "hot_missing"})  # scores that are -log10 p already
OUTLET = "*"  # the factor of a finding that concerns the outlet as a whole


@dataclass
class Path:
    """One channel over the history: what the model said, for later stretches to stand on."""

    fast: Floats
    slow: Floats
    bins: tuple[Floats, Floats]  # expected level -> relative size of the residual


@dataclass
class Steps:
    """Honest distribution of the step statistic, as if a gap could stand anywhere."""

    deviation: dict[int, float]
    heights: Floats  # highest first
    edge: float
    scale: float
    share: float

    def p(self, x: float) -> float:
        if x > self.edge:
            return self.share * math.exp(-(x - self.edge) / self.scale)
        return (float(np.searchsorted(-self.heights, -x)) + 0.5) / len(self.heights)


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
    habits: dict[str, exact.Habit] = field(default_factory=dict)
    identities: dict[str, exact.Identity] = field(default_factory=dict)
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
        reasons = _complaints(monitor)
        suite.reasons = tuple(reasons)
        suite.running = exact.Running.fit(monitor)
        for target in monitor.targets:
            y = monitor.values[target]
            noise = _noise(y)
            habit = exact.Habit.fit(y, noise, monitor.hour)
            if habit is None:
                continue
            suite.habits[target] = habit
            identity = exact.fit_identity(monitor, target)
            if identity is not None:
                suite.identities[target] = identity
                if not identity.holds:
                    reasons.append(texts.reason("identity", target))
            dirty = np.zeros(len(y), dtype=bool)
            for hit in suite._series_hits(monitor, target, y, 0, None):
                dirty[hit.first : hit.last + 1] = True
            for first, last in exact.flat(y, monitor.hour):
                dirty[first : last + 1] = True
            suite.screened[target] = dirty
        blocked = {r.column for r in reasons if r.code != "identity"}
        if "" in blocked:
            suite.reasons = tuple(reasons)
            return suite
        suite._fit_models(monitor, blocked, reasons)
        suite._calibrate(monitor, blocked, reasons)
        suite.reasons = tuple(reasons)
        return suite

    def _fit_models(self, monitor: Monitor, blocked: set[str], reasons: list[Reason]) -> None:
        process = {c: monitor.values[c] for c in monitor.having(*PROCESS)}
        scaler = model.Scaler.fit(process) if process else None
        if scaler is None or not scaler.names:
            reasons.append(texts.reason("no_state", ""))
            return
        self.scaler = scaler
        z = scaler.scaled(process)
        phi = scaler.features(z, monitor.hour)
        for name in [*monitor.targets, *monitor.having("o2", "flow")]:
            y = monitor.values[name]
            if name in blocked or (~np.isnan(y)).sum() < SHORT * monitor.hour:
                continue
            use = self._honest(monitor, name)
            if not use.any():
                continue
            transform = model.Transform.fit(y[use])
            channel = model.Channel(name, transform, [], model.Quality(0.0, 0.0, 0, False))
            walked, memories = channel.run(phi, y, use, monitor.hour, fresh=True)
            channel.memories = memories
            late = use.copy()
            late[: round(BURN * monitor.hour)] = False
            channel.quality = model.quality(y, transform.back(walked.fast), late)
            self.quality[name] = channel.quality
            self.channels[name] = channel
            residual = np.where(use, walked.f - walked.fast, np.nan)
            self.paths[name] = Path(walked.fast, walked.slow, _bins(walked.fast, residual))
            if name in monitor.targets:
                if not channel.quality.passed:
                    reasons.append(texts.reason("gate", name, r2=channel.quality.r2))
                rows = np.arange(len(y)) >= len(y) - round(1440 * monitor.hour)
                _, memory = model.walk(
                    phi, walked.f, use & ~rows, model.SLOW[0], 0, len(y), monitor.hour, None
                )
                self.importance[name] = model.importance(
                    scaler, z, walked.f, use & rows, monitor.hour, memory
                )

    def _honest(self, monitor: Monitor, name: str) -> Bools:
        """Rows of the history that a model may learn from."""
        y = monitor.values[name]
        good = ~np.isnan(y)
        if name in self.screened:
            good &= ~self.screened[name]
        marks = monitor.mark(name)
        if marks is not None:
            good &= np.isin(marks, ["", "N"])
        return good

    def _calibrate(self, monitor: Monitor, blocked: set[str], reasons: list[Reason]) -> None:
        n, per_hour = len(monitor), monitor.hour
        values = {
            t: np.where(self.screened[t], np.nan, monitor.values[t])
            if t in self.screened
            else monitor.values[t]
            for t in monitor.targets
        }
        nuisance(values, per_hour)
        burn = round(BURN * per_hour)
        if n - burn < SHORT * per_hour:
            if not any(r.code == "short" for r in reasons):
                reasons.append(texts.reason("short", "", days=n / per_hour / 24))
            return
        tracks, channels = self._tracks(monitor, values, None)
        apart = round(APART * per_hour)
        honest = np.where(np.arange(n) >= burn, 1.0, np.nan)
        months = (n - burn) / per_hour / MONTH
        # Learn each stream on all of the history, and apart from that on either half, so that what
        # the budget gives can be counted where it was not learnt.
        self._fit_steps(tracks, burn, per_hour)
        found = self._streams(tracks, channels, monitor, burn)
        self.families = self._fit_families(found, honest, months, apart)
        self._fit_fused(found, burn, n, per_hour, apart)

    def _fit_families(
        self,
        found: dict[tuple[str, str], dict[str, Floats]],
        honest: Floats,
        months: float,
        apart: int,
    ) -> dict[tuple[str, str], Family]:
        result = {}
        for key, group in found.items():
            if key[1] == "step_at_gap":
                continue
            least = DECADE if key[1] in LOGS else 0.02
            family = Family.fit(group, honest, months, apart, least)
            if family is not None:
                result[key] = family
        return result

    def _fuse(
        self,
        found: dict[tuple[str, str], dict[str, Floats]],
        families: dict[tuple[str, str], Family] | None = None,
    ) -> Floats:
        best: Floats | None = None
        for key, group in found.items():
            rarity = self._rarity(key, group, families)
            if rarity is None:
                continue
            best = rarity if best is None else np.maximum(best, rarity)
        return np.zeros(0) if best is None else best

    def _rarity(
        self,
        key: tuple[str, str],
        group: dict[str, Floats],
        families: dict[tuple[str, str], Family] | None = None,
    ) -> Floats | None:
        """-ln(rate) + ln(share) of one family of one target (T,)."""
        share = self.shares.get(key[1], 0.0)
        if share <= 0:
            return None
        if key[1] == "step_at_gap":
            value = group["gap"]
        else:
            family = (self.families if families is None else families).get(key)
            if family is None:
                return None
            value = family.rarity(group)[0]
        return bend(value) + math.log(share)

    def _fit_fused(
        self,
        found: dict[tuple[str, str], dict[str, Floats]],
        burn: int,
        n: int,
        per_hour: float,
        apart: int,
    ) -> None:
        """The tail of the fused score where it was not learnt: each fifth of the history is scored
        by families learnt on the other four, and the tail is fitted to that. `realised` is counted
        on each fifth with a tail fitted to the other four.
        """
        edges = np.linspace(burn, n, FOLDS + 1).astype(int)
        months = (n - burn) / per_hour / MONTH
        outside = np.full(n, np.nan)
        for a, b in pairwise(edges):
            away = np.full(n, np.nan)
            away[burn:] = 1.0
            away[a:b] = np.nan
            families = self._fit_families(found, away, months * (FOLDS - 1) / FOLDS, apart)
            score = self._fuse(found, families)[a:b]
            outside[a:b] = np.where(np.isfinite(score), score, np.nan)
        self.fused = Tail.fit(peaks(outside, apart), months)
        cases = {1.0: 0, 0.3: 0, 0.1: 0}
        for a, b in pairwise(edges):
            others = outside.copy()
            others[a:b] = np.nan
            tail = Tail.fit(peaks(others, apart), months * (FOLDS - 1) / FOLDS)
            if tail is None:
                return
            rarity = tail.rarity(outside[a:b])
            for budget in cases:
                cases[budget] += count_cases(rarity >= -math.log(budget), apart)
        self.realised = {
            str(b): {
                "nominal": b,
                "realised": digits(c / months),
                "cases": c,
                "months": digits(months),
            }
            for b, c in cases.items()
        }

    def _fit_steps(self, tracks: list[streams.Track], burn: int, per_hour: float) -> None:
        for t in tracks:
            if not t.modelled:
                continue
            shifted = streams.steps(t.z, per_hour, round(6 * per_hour))
            deviation = {}
            best = np.full(len(t.z), -np.inf)
            for after, d in shifted.items():
                part = d[burn:]
                part = part[~np.isnan(part)]
                if len(part) < 500:
                    continue
                deviation[after] = float(np.sqrt(np.mean(part**2)))
                # The largest over the waiting times, per gap: align on the gap's end.
                w = round(after * per_hour)
                aligned = np.full(len(d), -np.inf)
                aligned[:-w] = np.where(np.isnan(d[w:]), -np.inf, d[w:] / deviation[after])
                best = np.maximum(best, aligned)
            sample = best[burn :: max(1, round(6 * per_hour))]
            sample = np.sort(sample[np.isfinite(sample)])[::-1]
            if len(sample) < 200:
                continue
            k = max(20, len(sample) // 40)
            edge = float(sample[k])
            scale = max(float(np.mean(sample[:k]) - edge), 1e-6)
            self.stepping[t.name] = Steps(deviation, sample, edge, scale, k / len(sample))

    # -- looking ----------------------------------------------------------------------------

    def _tracks(
        self, monitor: Monitor, values: Mapping[str, Floats], later: Later | None
    ) -> tuple[list[streams.Track], list[streams.ChannelTrack]]:
        """The tracks over the history itself (later None) or over context and later stretch."""
        per_hour = monitor.hour
        tracks, channels = [], []
        for name in [*monitor.targets, *monitor.having("o2", "flow")]:
            y = values.get(name, monitor.values[name])
            channel = self.channels.get(name)
            is_target = name in monitor.targets
            if channel is None:
                if is_target and name in self.habits:
                    full = y if later is None else later.column(name)
                    tracks.append(
                        _bare(name, full, per_hour, monitor if later is None else later.whole)
                    )
                continue
            path = self.paths[name]
            if later is None:
                f = channel.transform.forward(y)
                fast, slow, whole = path.fast, path.slow, monitor
                settled = np.ones(len(f), dtype=bool)
            else:
                f = channel.transform.forward(later.column(name))
                fast, slow = later.paths[name]
                whole = later.whole
                settled = later.settled
            relative = np.interp(fast, path.bins[0], path.bins[1])
            relative[np.isnan(fast)] = np.nan
            r = (f - fast) / relative
            lag = round(SCALE_LAG * per_hour)
            half = SCALE_HALF * per_hour
            sigma = kernels.lagged_scale(r, half, lag, round(300 * per_hour))
            zs_r = (f - slow) / relative
            sigma_s = kernels.lagged_scale(zs_r, half, lag, round(300 * per_hour))
            z, zs = r / sigma, zs_r / sigma_s
            if is_target:
                spike = _spikes(z)
                f = np.where(spike, np.nan, f)
                z, zs = np.where(spike, np.nan, z), np.where(spike, np.nan, zs)
            most = 4.0 if is_target else 12.0
            z, zs = np.clip(z, -most, most), np.clip(zs, -most, most)
            if is_target:
                limit = monitor.limits.get(name, float("nan"))
                tracks.append(
                    streams.Track(
                        name,
                        y if later is None else later.column(name),
                        f,
                        fast,
                        slow,
                        z,
                        zs,
                        sigma * relative,
                        float(channel.transform.forward(np.array([limit]))[0]),
                        channel.transform.root,
                        channel.quality.passed,
                        per_hour,
                        whole.hours_of_day(),
                        ~np.isnan(fast),
                        settled,
                    )
                )
            elif channel.quality.r2 > 0.2:
                zc = z.copy()
                zc[~settled] = np.nan
                assert monitor.roles is not None
                channels.append(streams.ChannelTrack(name, monitor.roles[name], zc))
        return tracks, channels

    def _streams(
        self,
        tracks: list[streams.Track],
        channels: list[streams.ChannelTrack],
        whole: Monitor,
        start: int,
    ) -> dict[tuple[str, str], dict[str, Floats]]:
        """(factor, family) -> window -> stream, each (T,)."""
        found: dict[tuple[str, str], dict[str, Floats]] = {}
        per_hour = whole.hour
        production = whole.having("power_production")
        treatment = whole.having("power_treatment")
        for t in tracks:
            groups = streams.model_free(t, start)
            habit = self.habits[t.name]
            long, short = exact.digit_preference(t.y, habit, t.name, start)
            if habit.digits:
                groups["digits"] = {"336": long, "168": short}
            if t.modelled:
                groups.update(streams.model_based(t))
                if treatment:
                    groups.update(
                        streams.facility(
                            t,
                            whole.values[treatment[0]],
                            whole.values[production[0]] if production else None,
                        )
                    )
                names, block = streams.fingerprint(groups)
                if names:
                    stream = self._print(t.name, names, block, start)
                    if stream is not None:
                        groups["fingerprint"] = {"168": stream}
                if t.name in self.stepping:
                    groups["step_at_gap"] = {"gap": self._steps(t, start, per_hour)}
            if whole.peers is not None and t.name in whole.peers:
                groups.update(streams.peer(t, whole.peers[t.name]))
            for family, group in groups.items():
                found[t.name, family] = group
        for c in channels:
            for family, group in streams.channel(c, per_hour).items():
                found[c.name, family] = group
        oxygen = next((c for c in channels if c.role == "o2"), None)
        modelled = [t for t in tracks if t.modelled]
        for family, group in streams.common(modelled, oxygen).items():
            found[OUTLET, family] = group
        return found

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

    def _steps(self, t: streams.Track, start: int, per_hour: float) -> Floats:
        """-ln(rate per month) of the step at each real gap, written over the days after it."""
        out = np.full(len(t.z), -np.inf)
        model_of = self.stepping[t.name]
        missing = np.isnan(t.y) & t.running
        for first, last in streams.gaps(missing, round(streams.GAP_MOST * per_hour)):
            if last + 1 < start or not t.settled[last]:
                continue
            begin = max(0, first - round(streams.GAP_BEFORE * per_hour))
            before = t.z[begin:first]
            before = before[~np.isnan(before)]
            if len(before) < 48 * per_hour:
                continue
            level = float(before.mean())
            best = 0.0
            for after in streams.GAP_AFTER:
                if after not in model_of.deviation:
                    continue
                w = round(after * per_hour)
                stop = last + 1 + w
                if stop > len(t.z):
                    break
                part = t.z[last + 1 : stop]
                part = part[~np.isnan(part)]
                if len(part) < 0.6 * w:
                    continue
                x = (level - float(part.mean())) / model_of.deviation[after]
                best = max(best, x)
                rarity = -math.log(TESTS * model_of.p(best))
                reach = min(len(out), stop + round(24 * per_hour))
                out[stop - 1 : reach] = np.maximum(out[stop - 1 : reach], rarity)
        return out

    def detect(self, monitor: Monitor, budget: float = 0.1) -> Findings:
        """Judge a later stretch with the history as its past.

        monitor: the same columns, step and roles as the history. budget: false cases that the
        statistical tier may raise per outlet and month (0.001 … 10); the exact tier needs none.
        ValueError for another set of columns, another step or a budget out of range.
        """
        return self.look(monitor).findings(budget)

    def look(self, monitor: Monitor) -> Look:
        """Judge a stretch once, to be read at several budgets."""
        _same(self.history, monitor)
        later = Later.build(self, monitor)
        look = Look(self, later, [], {})
        if any(r.code == "missing" and r.column == "" for r in later.reasons):
            return look
        look.exact = self._exact(later)
        if self.fused is not None:
            look.streams = self._streams(later.tracks, later.channels, later.whole, later.shift)
            quiet = {r.column for r in later.reasons}
            for key, group in look.streams.items():
                if key[0] in quiet or ("" in quiet and key[1] in MODELLED):
                    continue
                score = self._rarity(key, group)
                if score is not None:
                    look.rarity[key] = self.fused.rarity(
                        np.where(np.isfinite(score), score, np.nan)
                    )[later.shift :]
        return look

    def _series_hits(
        self, monitor: Monitor, target: str, y: Floats, start: int, later: Later | None
    ) -> list[exact.Hit]:
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
        hits: list[exact.Hit] = []
        for target in monitor.targets:
            if target not in self.habits:
                continue
            y = later.long(target)
            start = len(y) - len(monitor)
            series = self._series_hits(monitor, target, y, start, later)
            for hit in series:
                hit.first, hit.last = max(hit.first - start, 0), hit.last - start
                hit.found = max(hit.found - start, hit.first)
            hits += series
            if target in self.identities:
                hits += exact.convert_identity(monitor, target, self.identities[target], 0)
            track = next((t for t in later.tracks if t.name == target), None)
            if track is not None and target in self.habits:
                correlation, lag = streams.replayed(track, shift)
                near = list(
                    exact.copied_scaled(
                        correlation, lag, track.y, self.habits[target], target, shift
                    )
                )
                for hit in near:
                    hit.first, hit.last = max(hit.first - shift, 0), hit.last - shift
                    hit.found -= shift
                hits += near
        hits += exact.mark_contradiction(monitor, self.running, 0)
        hits += exact.physical_bounds(monitor, self.running, 0)
        before = {}
        for name in monitor.having("parameter"):
            column = self.history.values[name]
            valid = column[~np.isnan(column)]
            if len(valid):
                before[name] = float(valid[-1])
        hits += exact.parameter_change(monitor, before, 0)
        return [
            Draft(
                h.detector,
                h.factor,
                h.first,
                h.last,
                h.found,
                -math.log(max(h.p, 1e-30)),
                "exact",
                {**h.numbers, "p": h.p},
                h.parameters,
            )
            for h in hits
            if h.last >= 0
        ]

    def _window(
        self, key: tuple[str, str], group: dict[str, Floats], row: int
    ) -> tuple[str, float]:
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
        if key[1] == "cusum":
            return name, 240.0
        return name, float("".join(c for c in name if c.isdigit()))

    # -- telling ----------------------------------------------------------------------------

    def _finding(self, d: Draft, later: Later, budget: float) -> Finding:
        monitor, per_hour = later.monitor, later.monitor.hour
        if d.detector in texts.LEVEL:
            d.first, d.last = self._stretch(d, later)
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
        share = None
        numbers = dict(d.numbers)
        band = later.band(self, factor)
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
            if factor in monitor.targets and self.quality[factor].passed:
                share = self._share(factor, later, d)
        numbers["rate_per_month"] = rate
        text = texts.DETECTORS[d.detector]
        return Finding(
            d.detector,
            factor,
            monitor.time(d.first),
            monitor.time(d.last) + monitor.step,
            monitor.time(d.found) + monitor.step,
            digits(score),
            digits(1.0 - math.exp(-rate)) if d.tier != "exact" else digits(d.numbers["p"]),
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

    def _stretch(self, d: Draft, later: Later) -> tuple[int, int]:
        """Where the level is off: the stretch around the alarm that holds the most of -z - 1/2."""
        track = next((t for t in later.tracks if t.name == d.factor), None)
        if track is None:
            return d.first, d.last
        h = later.monitor.hour
        a = max(0, d.first - round(336 * h)) + later.shift
        b = min(len(track.z), d.last + 1 + later.shift)
        sign = -1.0 if d.detector == "high" else 1.0
        gain = np.nan_to_num(-sign * track.z[a:b] - 0.5)
        total = np.r_[0.0, np.cumsum(gain)]
        low = np.minimum.accumulate(total)
        end = int(np.argmax(total - low))
        begin = int(np.argmin(total[: end + 1]))
        if end - begin < 6:
            return d.first, d.last
        return a + begin - later.shift if a + begin >= later.shift else 0, a + end - 1 - later.shift

    def _share(self, factor: str, later: Later, d: Draft) -> Share | None:
        """Hidden share over the stretch: 1 - reported / expected, with a 90 % interval.

        Expected: the model as it stood before the stretch, put right by its mean ratio to the
        reports over the 10 days before. The interval: how this ratio scatters honestly between
        neighbouring stretches of that length.
        """
        band = later.band(self, factor)
        if band is None:
            return None
        y, e = later.monitor.values[factor], later.frozen(self, factor, d.first)
        here = slice(d.first, d.last + 1)
        ok = ~(np.isnan(y) | np.isnan(e))
        if ok[here].sum() < 3:
            return None
        reported, expected = float(y[here][ok[here]].sum()), float(e[here][ok[here]].sum())
        if expected <= 0:
            return None
        ratio = reported / expected
        spread = self._spread(factor, int(ok[here].sum()))
        return Share(
            digits(1.0 - ratio),
            digits(1.0 - ratio * math.exp(1.645 * spread)),
            digits(1.0 - ratio * math.exp(-1.645 * spread)),
        )

    def _spread(self, factor: str, n: int) -> float:
        """Deviation of ln(reported / expected) of honest stretches of n rows."""
        channel, path = self.channels[factor], self.paths[factor]
        y = np.where(self._honest(self.history, factor), self.history.values[factor], np.nan)
        e = channel.transform.back(path.fast)
        w = int(min(max(n, 3), len(y) // 10))
        both = np.where(np.isnan(y) | np.isnan(e), np.nan, 1.0)
        a = kernels.rolling_mean(y * both, w, max(1, int(0.8 * w)))
        b = kernels.rolling_mean(e * both, w, max(1, int(0.8 * w)))
        with np.errstate(divide="ignore", invalid="ignore"):
            x = np.log(a / b)
        x = x[np.isfinite(x)]
        return float(np.sqrt(np.mean(x**2))) if len(x) else 1.0


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
            [self.suite._finding(d, self.later, budget) for d in _cases(drafts, per_hour)],
            [*self.suite.reasons, *self.later.reasons],
        )

    def _alarms(self, budget: float) -> list[Draft]:
        need = -math.log(budget)
        shift, per_hour = self.later.shift, self.later.monitor.hour
        drafts = []
        for key, rarity in self.rarity.items():
            for first, last in exact.stretches(rarity >= need, round(48 * per_hour)):
                top = first + int(np.argmax(rarity[first : last + 1]))
                # A weak alarm that grows much stronger: dated by the strong part.
                strong = rarity[first : last + 1] >= rarity[top] - STRONGER
                first += int(np.argmax(strong))
                group = self.streams[key]
                window, hours = self.suite._window(key, group, top + shift)
                drafts.append(
                    Draft(
                        key[1],
                        key[0],
                        max(first - round(hours * per_hour) + 1, 0),
                        last,
                        first,
                        float(rarity[top]),
                        "statistical",
                        {"statistic": float(group[window][top + shift])},
                        {"window": window, "hours": hours},
                    )
                )
        return drafts


@dataclass
class Later:
    """A later stretch with its context: the end of the history, a bridge of missing rows, itself.

    shift: rows before the stretch in `whole`.
    """

    monitor: Monitor
    whole: Monitor
    shift: int
    bridge: int
    tail: Monitor
    paths: dict[str, tuple[Floats, Floats]]
    settled: Bools
    reasons: list[Reason]
    memories: dict[str, list[model.Memory]]
    tracks: list[streams.Track] = field(default_factory=list)
    channels: list[streams.ChannelTrack] = field(default_factory=list)

    def column(self, name: str) -> Floats:
        return self.whole.values[name]

    def long(self, name: str) -> Floats:
        """The whole history, the bridge and the stretch."""
        return np.concatenate(
            [self.tail.values[name], np.full(self.bridge, np.nan), self.monitor.values[name]]
        )

    @classmethod
    def build(cls, suite: Suite, monitor: Monitor) -> Later:
        history, per_hour = suite.history, monitor.hour
        reasons = _complaints_later(suite, monitor)
        gap = (monitor.start - history.end) / monitor.step
        overlap = gap < -0.5
        tail = history
        if overlap:
            stop = max(0, round((monitor.start - history.start) / monitor.step))
            tail = history.rows(0, min(stop, len(history)))
            gap = 0.0
        hours = gap / per_hour
        if hours / 24 > STALE_DAYS and len(monitor) < SETTLE * per_hour:
            reasons.append(texts.reason("stale", "", days=hours / 24))
        bridge = int(min(round(gap), round(336 * per_hour)))
        context = min(len(tail), round(CONTEXT * per_hour))
        head = tail.rows(len(tail) - context, len(tail)) if context else None
        values = {}
        for name in monitor.values:
            column = monitor.values[name]
            if head is not None:
                old = head.values[name]
                if name in suite.screened:
                    dirty = suite.screened[name][len(tail) - context : len(tail)]
                    old = np.where(dirty, np.nan, old)
                column = np.concatenate([old, np.full(bridge, np.nan), column])
            else:
                column = np.concatenate([np.full(bridge, np.nan), column])
            values[name] = column
        shift = len(next(iter(values.values()))) - len(monitor)
        peers = None
        if monitor.peers is not None:
            peers = {}
            for name, block in monitor.peers.items():
                past = np.full((len(block), shift), np.nan)
                if head is not None and head.peers is not None and name in head.peers:
                    known = head.peers[name][: len(block)]
                    past[: len(known), :context] = known
                peers[name] = np.hstack([past, block])
        whole = Monitor(
            monitor.start - shift * monitor.step,
            monitor.step,
            values,
            monitor.targets,
            monitor.limits,
            monitor.roles,
            monitor.reference_o2,
            None,
            peers,
        )
        later = cls(
            monitor, whole, shift, bridge, tail, {}, np.ones(len(whole), dtype=bool), reasons, {}
        )
        if hours > SETTLE_GAP:
            wait = round(SETTLE * per_hour)
            later.settled[context : shift + wait] = False
        later._walk(suite, overlap, hours, context)
        if suite.fused is not None or suite.habits:
            later.tracks, later.channels = suite._tracks(monitor, {}, later)
        return later

    def _walk(self, suite: Suite, overlap: bool, hours: float, context: int) -> None:
        if suite.scaler is None:
            return
        process = {c: self.whole.values[c] for c in suite.scaler.names}
        lead = min(self.shift, round(24 * self.monitor.hour))
        z = suite.scaler.scaled({c: v[self.shift - lead :] for c, v in process.items()})
        phi = suite.scaler.features(z, self.monitor.hour)[lead:]
        for name, channel in suite.channels.items():
            y = self.monitor.values[name]
            use = ~np.isnan(y)
            marks = self.monitor.mark(name)
            if marks is not None:
                use &= np.isin(marks, ["", "N"])
            old = suite.paths[name]
            if overlap:
                fast, slow = self._again(suite, name, phi, y, use)
            else:
                memories = []
                for memory in channel.memories:
                    memory = memory.copy()
                    if hours > model.STALE:
                        memory.gram *= model.STALE_WEIGHT
                        memory.cross *= model.STALE_WEIGHT
                    else:
                        memory.age(hours)
                    memories.append(memory)
                aged = model.Channel(name, channel.transform, memories, channel.quality)
                self.memories[name] = memories
                walked, _ = aged.run(phi, y, use, self.monitor.hour, fresh=False)
                fast, slow = walked.fast, walked.slow
            n = len(self.tail)
            gap = np.full(self.bridge, np.nan)
            self.paths[name] = (
                np.concatenate([old.fast[n - context : n], gap, fast]),
                np.concatenate([old.slow[n - context : n], gap, slow]),
            )

    def _again(
        self, suite: Suite, name: str, phi: Floats, y: Floats, use: Bools
    ) -> tuple[Floats, Floats]:
        """The walk from the history's first row, for a stretch that begins inside the history."""
        assert suite.scaler is not None
        tail = self.tail
        known = np.zeros(len(tail), dtype=bool)
        block = np.zeros((0, phi.shape[1]))
        if len(tail):
            z = suite.scaler.scaled({c: tail.values[c] for c in suite.scaler.names})
            block = suite.scaler.features(z, tail.hour)
            known = suite._honest(suite.history, name)[: len(tail)]
        joined = np.vstack([block, phi])
        values = np.concatenate([tail.values[name], y])
        good = np.concatenate([known, use])
        walked, _ = suite.channels[name].run(joined, values, good, tail.hour, fresh=True)
        return walked.fast[len(tail) :], walked.slow[len(tail) :]

    def band(self, suite: Suite, factor: str) -> tuple[Floats, Floats, Floats] | None:
        """Expected value and its normal band (2 sigma) over the stretch, in the channel's unit."""
        track = next((t for t in self.tracks if t.name == factor), None)
        if track is None or factor not in suite.channels:
            return None
        back = suite.channels[factor].transform.back
        e, s = track.fast[self.shift :], track.sigma[self.shift :]
        return back(e), back(e - 2 * s), back(e + 2 * s)

    def frozen(self, suite: Suite, factor: str, first: int) -> Floats:
        """Expected values with the level of the ten days before row `first`."""
        track = next(t for t in self.tracks if t.name == factor)
        e = suite.channels[factor].transform.back(track.fast)
        row = first + self.shift
        begin = max(0, row - round(240 * self.monitor.hour))
        y0, e0 = track.y[begin:row], e[begin:row]
        ok = ~(np.isnan(y0) | np.isnan(e0))
        correction = 1.0
        if ok.sum() > 48 and e0[ok].sum() > 0:
            raw = float(y0[ok].sum() / e0[ok].sum())
            correction = math.exp(0.5 * math.log(min(max(raw, 0.5), 2.0)))
        return e[self.shift :] * correction


def _bare(name: str, y: Floats, per_hour: float, whole: Monitor) -> streams.Track:
    """A track without a model."""
    nothing = np.full(len(y), np.nan)
    return streams.Track(
        name,
        y,
        y,
        nothing,
        nothing,
        nothing,
        nothing,
        nothing,
        float("nan"),
        False,
        False,
        per_hour,
        whole.hours_of_day(),
        np.zeros(len(y), dtype=bool),
        np.ones(len(y), dtype=bool),
    )


def _spikes(z: Floats) -> Bools:
    """First rows of a jump far up: a start, a blow-back. What stays up is seen in the next row."""
    before = np.r_[0.0, np.nan_to_num(z[:-1])]
    result: Bools = (z > 5.0) & (before < 3.0)
    return result


def _noise(y: Floats) -> float:
    d = np.diff(y)
    d = d[~np.isnan(d)]
    return float(np.median(np.abs(d)) / 0.6745 / np.sqrt(2)) if len(d) else 0.0


def _bins(expected: Floats, residual: Floats) -> tuple[Floats, Floats]:
    """Relative size of the residual at ten levels of the expectation, mean 1."""
    ok = ~(np.isnan(expected) | np.isnan(residual))
    e, r = expected[ok], np.abs(residual[ok])
    if len(e) < 500:
        return np.array([0.0]), np.array([1.0])
    edges = np.quantile(e, np.linspace(0, 1, 11))
    centers, sizes = [], []
    for a, b in pairwise(edges):
        inside = (e >= a) & (e <= b)
        if inside.sum() >= 20:
            centers.append(float(e[inside].mean()))
            sizes.append(float(np.mean(np.minimum(r[inside], np.quantile(r, 0.99)))))
    size = np.array(sizes) / np.mean(sizes)
    return np.array(centers), np.clip(size, 0.4, 2.5)


def nuisance(values: dict[str, Floats], per_hour: float) -> None:
    """Put into a copy of the history what honest monitors do: a calibration gap of 2 h a week, an
    outage of one to three days every six weeks, a spike of an hour a month. In place; the same
    every time."""
    generator = np.random.Generator(np.random.PCG64(53553))
    for name in values:
        y = np.array(values[name])
        n = len(y)
        week = round(168 * per_hour)
        for begin in range(round(40 * per_hour), n, week):
            at = begin + int(generator.integers(0, max(1, week // 2)))
            y[at : at + round(2 * per_hour)] = np.nan
        for begin in range(0, n, 6 * week):
            at = begin + int(generator.integers(0, 5 * week))
            y[at : at + round(int(generator.integers(24, 73)) * per_hour)] = np.nan
        for begin in range(0, n, round(MONTH * per_hour)):
            at = begin + int(generator.integers(0, round(700 * per_hour)))
            y[at : at + max(1, round(per_hour))] *= 1.0 + 2.0 * generator.random()
        values[name] = y


def count_cases(flags: Bools, apart: int) -> int:
    """Alarms fused: a case takes in all within `apart` rows of its first."""
    rows = np.flatnonzero(flags)
    count, until = 0, -1
    for row in rows.tolist():
        if row > until:
            count += 1
            until = row + apart
    return count


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


def _same(history: Monitor, monitor: Monitor) -> None:
    if abs(monitor.step - history.step) > timedelta(microseconds=1):
        raise ValueError(f"step {monitor.step} differs from the history's {history.step}")
    missing = [c for c in history.values if c not in monitor.values]
    if missing:
        raise ValueError(f"columns of the history are missing: {', '.join(missing)}")
    gone = [t for t in monitor.targets if t not in history.targets]
    if gone:
        raise ValueError(f"targets that the history did not have: {', '.join(gone)}")


def _complaints(monitor: Monitor) -> list[Reason]:
    """Why this history, or a column of it, cannot be learnt from."""
    out = []
    n, h = len(monitor), monitor.hour
    if n < SHORT * h:
        return [texts.reason("short", "", days=n / h / 24)]
    for target in monitor.targets:
        y = monitor.values[target]
        valid = y[~np.isnan(y)]
        if not len(valid):
            out.append(texts.reason("empty", target))
        elif len(valid) < 0.5 * n:
            out.append(texts.reason("missing", target, share=1 - len(valid) / n))
        elif valid.max() - valid.min() <= 1e-9 * max(1.0, abs(float(valid.max()))):
            out.append(texts.reason("constant", target))
        else:
            moved = np.abs(np.diff(valid)) > 0
            if moved.mean() < 0.02:
                out.append(texts.reason("constant", target))
            else:
                out += _unit_change(target, y, h)
        marks = monitor.mark(target)
        if marks is not None and n > 365 * 24 * h and not np.isin(marks, ["C"]).any():
            out.append(texts.reason("uncalibrated", target, days=n / h / 24))
    return out


def _unit_change(target: str, y: Floats, per_hour: float) -> list[Reason]:
    """A level that jumps by a power of ten or more and stays there."""
    w = round(720 * per_hour)
    if len(y) < 2 * w:
        return []
    with streams.Quiet():
        blocks = np.array([np.nanmedian(y[i : i + w]) for i in range(0, len(y) - w + 1, w)])
    blocks = blocks[np.isfinite(blocks) & (blocks > 0)]
    if len(blocks) < 2:
        return []
    for cut in range(1, len(blocks)):
        a, b = blocks[:cut], blocks[cut:]
        if max(a.max(), b.max()) > 0 and (a.max() * UNIT < b.min() or b.max() * UNIT < a.min()):
            return [texts.reason("unit", target, ratio=float(np.median(b) / np.median(a)))]
    return []


def _complaints_later(suite: Suite, monitor: Monitor) -> list[Reason]:
    out = []
    known = {r.column for r in suite.reasons}
    if len(monitor) == 0:
        return [texts.reason("missing", "", share=1.0)]
    for target in monitor.targets:
        y = monitor.values[target]
        valid = y[~np.isnan(y)]
        if target in known:
            continue
        if not len(valid):
            out.append(texts.reason("empty", target))
            continue
        old = suite.history.values[target]
        old = old[~np.isnan(old)]
        if len(valid) >= 168 * monitor.hour and len(old):
            middle, usual = float(np.median(valid)), float(np.median(old))
            low, high = (float(v) for v in np.quantile(old, [0.01, 0.99]))
            if middle > UNIT * max(high, usual) or (0 < middle * 50 < low):
                out.append(texts.reason("unit", target, ratio=middle / usual))
    if suite.scaler is not None:
        for i, name in enumerate(suite.scaler.names):
            column = monitor.values[name]
            valid = column[~np.isnan(column)]
            if not len(valid):
                out.append(texts.reason("state_missing", "", name=name))
                continue
            z = (valid - suite.scaler.mean[i]) / suite.scaler.deviation[i]
            if len(valid) >= 168 * monitor.hour and abs(float(np.median(z))) > 8.0:
                out.append(texts.reason("state_unit", "", name=name))
    return out


def summary(suite: Suite) -> dict[str, Any]:
    """What an outlet's page shows of its detectors: models, gates, rates, what is not judged."""
    return {
        "quality": {
            k: digits({"r2": q.r2, "mae": q.mae, "rows": q.rows, "passed": q.passed})
            for k, q in suite.quality.items()
        },
        "importance": digits(suite.importance),
        "realised": suite.realised,
        "families": sorted({f"{f}:{t}" for t, f in suite.families}),
        "reasons": [r.to_json() for r in suite.reasons],
    }
