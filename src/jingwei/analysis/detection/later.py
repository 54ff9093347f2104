"""A later stretch with its past, and the expected-emission models walked through it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from jingwei.analysis.detection import model, streams
from jingwei.analysis.detection.complaints import complaints_later
from jingwei.analysis.detection.finding import Reason
from jingwei.analysis.detection.monitor import Bools, Floats, Monitor
from jingwei.analysis.detection.reasons import reason
from jingwei.analysis.detection.tracks import honest, tracks_of

if TYPE_CHECKING:
    from jingwei.analysis.detection.suite import Suite

CONTEXT = 3000.0  # hours of history that stand before a later stretch
SETTLE = 504.0  # hours of rows after a long gap before levels are judged
SETTLE_GAP = 30 * 24.0
STALE_DAYS = 400.0
FROZEN = 72.0  # hours before a stretch from which on nothing is learnt for its hidden share
LEVEL = 240.0  # hours before it whose level counts
HALFWAY = 0.5


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
    phi: Floats | None = None  # features of the stretch
    use: dict[str, Bools] = field(default_factory=dict)  # rows that may be learnt from

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
        reasons = complaints_later(suite, monitor)
        gap = (monitor.start - history.end) / monitor.step
        overlap = gap < -0.5
        tail = history
        if overlap:
            stop = max(0, round((monitor.start - history.start) / monitor.step))
            tail = history.rows(0, min(stop, len(history)))
            gap = 0.0
        hours = gap / per_hour
        if hours / 24 > STALE_DAYS and len(monitor) < SETTLE * per_hour:
            reasons.append(reason("stale", "", days=hours / 24))
        bridge = int(min(round(gap), round(336 * per_hour)))
        context = min(len(tail), round(CONTEXT * per_hour))
        head = tail.rows(len(tail) - context, len(tail)) if context else None
        values = {}
        for name in monitor.values:
            column = monitor.values[name]
            if head is not None:
                old = head.values.get(name, np.full(len(head), np.nan))
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
            later.tracks, later.channels = tracks_of(suite, monitor, {}, later)
        return later

    def _walk(self, suite: Suite, overlap: bool, hours: float, context: int) -> None:
        if suite.scaler is None:
            return
        process = {c: self.whole.values[c] for c in suite.scaler.names}
        lead = min(self.shift, round(24 * self.monitor.hour))
        z = suite.scaler.scaled({c: v[self.shift - lead :] for c, v in process.items()})
        phi = suite.scaler.features(z, self.monitor.hour)[lead:]
        self.phi = phi
        for name, channel in suite.channels.items():
            y = self.monitor.values[name]
            use = ~np.isnan(y)
            marks = self.monitor.mark(name)
            if marks is not None:
                use &= np.isin(marks, ["", "N"])
            self.use[name] = use
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
            known = honest(suite, suite.history, name)[: len(tail)]
        joined = np.vstack([block, phi])
        values = np.concatenate([tail.values[name], y])
        good = np.concatenate([known, use])
        walked, _ = suite.channels[name].run(joined, values, good, tail.hour, fresh=True)
        return walked.fast[len(tail) :], walked.slow[len(tail) :]

    def band(self, suite: Suite, factor: str) -> tuple[Floats, Floats, Floats] | None:
        """Expected value and its normal band (2 sigma) over the stretch, in the channel's unit."""
        track = next((t for t in self.tracks if t.name == factor), None)
        if track is None or not track.modelled:
            return None
        back = suite.channels[factor].transform.back
        e, s = track.fast[self.shift :], track.sigma[self.shift :]
        return back(e), back(e - 2 * s), back(e + 2 * s)

    def frozen(self, suite: Suite, factor: str, first: int) -> tuple[Floats, float]:
        """Expected values (T,) by the models as they stood `FROZEN` hours before row `first`, with
        half the way to the level of the ten days before it: nothing of the stretch is learnt. And the
        doubt about that level (as a logarithm): the other half."""
        track = next(t for t in self.tracks if t.name == factor)
        channel, per_hour = suite.channels[factor], self.monitor.hour
        expected = np.array(track.fast)
        if self.phi is not None and factor in self.memories:
            cut = max(0, first - round(FROZEN * per_hour))
            f = track.f[self.shift :]
            use = self.use[factor]
            parts = []
            for memory in self.memories[factor][: len(model.FAST)]:
                _, known = model.walk(
                    self.phi[:cut],
                    f[:cut],
                    use[:cut],
                    memory.half,
                    0,
                    max(1, cut),
                    per_hour,
                    memory,
                )
                parts.append(self.phi @ model.solved(known))
            expected[self.shift :] = np.mean(parts, axis=0)
        e = channel.transform.back(expected)
        row = first + self.shift
        begin = max(0, row - round(LEVEL * per_hour))
        y0, e0 = track.y[begin:row], e[begin:row]
        ok = ~(np.isnan(y0) | np.isnan(e0))
        correction = 1.0
        if ok.sum() > 48 and e0[ok].sum() > 0:
            raw = float(y0[ok].sum() / e0[ok].sum())
            correction = math.exp(HALFWAY * math.log(min(max(raw, 0.5), 2.0)))
        return e[self.shift :] * correction, abs(math.log(correction))
