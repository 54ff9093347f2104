"""What a detector sees: the columns of one outlet over equal steps of time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

HOUR = timedelta(hours=1)
MOST = 1e12  # in any unit; squares and sums of what is larger would overflow
ROLES = frozenset(
    {
        "target",  # a pollutant as reported, converted where conversion is due
        "raw",  # the same before conversion to reference oxygen
        "converted",  # of a target that is given as measured: the same as its device converted it
        "o2",  # % oxygen, dry
        "flow",
        "temperature",  # °C, of the stack gas
        "humidity",  # %, of the stack gas
        "pressure",
        "load",  # of the process
        "power_production",
        "power_treatment",
        "power_total",  # the meter of production and treatment together
        "parameter",  # a setting of the instrument: span, slope, intercept, section, …
        "state",  # any other quantity of the process
    }
)
# What a model may be built on. A target never explains a target: whoever writes one writes both.
PROCESS = frozenset({"load", "state", "power_production"})


@dataclass(frozen=True)
class Monitor:
    """The observations of one outlet.

    start: aware time of the first row (a period is named by its start); rows follow every `step`.
    values: column -> array (T,), float; NaN = missing, and so is what is beyond `MOST` (no quantity
    of a stack is). Units: as the limits'; they must not change.
    targets: the columns to be judged. limits: target -> limit in the target's unit (may be empty).
    roles: column -> one of `ROLES`; by default `O2`, `FLOW`, `X_raw` and `X_zs` (raw, converted) for
    a target `X`, else state.
    reference_o2: % oxygen (one number, or target -> number) to which targets are converted from
    their raw column (or their converted columns from them); only then is the conversion checked.
    marks: column -> sequence (T,) of marks (HJ 212-2017: N normal, F stopped, M maintenance,
    D fault, C calibration, …; "" none sent), or one such sequence for all targets.
    peers: target -> array (n, T) of what comparable outlets reported in the same hours.
    calibrated: target -> aware time of the last calibration known before the first row or, where none
    is known, since when marks are known; by default the first row.

    Errors: ValueError in one sentence for what cannot be a monitor at all (lengths, names, times).
    Data that are merely bad (missing, constant, short) are accepted; the suite says what it
    cannot judge and why.
    """

    start: datetime
    step: timedelta
    values: Mapping[str, Floats]
    targets: Sequence[str]
    limits: Mapping[str, float] = field(default_factory=dict)
    roles: Mapping[str, str] | None = None
    reference_o2: float | Mapping[str, float] | None = None
    marks: Mapping[str, Sequence[str]] | Sequence[str] | None = None
    peers: Mapping[str, Floats] | None = None
    calibrated: Mapping[str, datetime] | None = None

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.start.utcoffset() is None:
            raise ValueError("start has no time zone; give an aware datetime")
        if self.step <= timedelta(0):
            raise ValueError(f"step must be positive, not {self.step}")
        if not self.values:
            raise ValueError("values has no columns")
        columns: dict[str, Floats] = {}
        for name, column in self.values.items():
            try:
                array = np.array(column, dtype=np.float64)
            except (TypeError, ValueError):
                raise ValueError(f"column {name} holds something that is no number") from None
            if array.ndim != 1:
                raise ValueError(f"column {name} has {array.ndim} dimensions, not one")
            array[np.abs(array) > MOST] = np.nan
            array.setflags(write=False)
            columns[name] = array
        lengths = {len(a) for a in columns.values()}
        if len(lengths) > 1:
            texts = ", ".join(f"{n} {len(a)}" for n, a in columns.items())
            raise ValueError(f"columns differ in length: {texts}")
        if isinstance(self.targets, str):
            raise ValueError("targets is one text; give a list of columns")
        if not self.targets:
            raise ValueError("targets is empty")
        for name in self.targets:
            if name not in columns:
                raise ValueError(f"target {name} is no column; there are {', '.join(columns)}")
        for name, limit in self.limits.items():
            if not np.isfinite(limit) or limit <= 0:
                raise ValueError(f"limit of {name} must be a positive number, not {limit}")
        given = dict(self.roles or {})
        for name, role in given.items():
            if role not in ROLES:
                raise ValueError(f"role {role} of {name} is unknown; roles: {sorted(ROLES)}")
            if name not in columns:
                raise ValueError(f"roles names {name}, which is no column")
        for name in columns:
            if name in self.targets:
                given[name] = "target"
            elif name not in given:
                given[name] = _role(name, self.targets)
        n = lengths.pop()
        put = object.__setattr__
        put(self, "values", columns)
        put(self, "targets", tuple(dict.fromkeys(self.targets)))
        put(self, "limits", {k: float(v) for k, v in self.limits.items()})
        put(self, "roles", given)
        put(self, "marks", _marks(self.marks, self.targets, n))
        put(self, "peers", _peers(self.peers, self.targets, n))

    def __len__(self) -> int:
        return len(next(iter(self.values.values())))

    @property
    def hour(self) -> float:
        """Rows an hour."""
        return HOUR / self.step

    @property
    def end(self) -> datetime:
        """The end of the last row: the start of what would come next."""
        return self.start + len(self) * self.step

    def having(self, *roles: str) -> list[str]:
        """The columns with one of these roles, in the order given by the caller."""
        assert self.roles is not None
        return [c for c in self.values if self.roles[c] in roles]

    def total(self, role: str) -> Floats | None:
        """The sum over the columns with a role: of a spare and the one on duty whichever runs; NaN
        where one of them is missing. None where there is no such column."""
        columns = self.having(role)
        return np.sum([self.values[c] for c in columns], axis=0) if columns else None

    def raw_of(self, target: str) -> str | None:
        """The unconverted column of a target."""
        assert self.roles is not None
        name = f"{target}_raw"
        return name if name in self.values and self.roles[name] == "raw" else None

    def conversion(self, target: str) -> tuple[str, str] | None:
        """The columns that conversion leads from and to: `X_raw` and a target `X`, or a target `X` that
        is given as measured and `X_zs`."""
        assert self.roles is not None
        raw, sent = self.raw_of(target), f"{target}_zs"
        if raw is not None:
            return raw, target
        return (target, sent) if self.roles.get(sent) == "converted" else None

    def o2_reference(self, target: str) -> float | None:
        if isinstance(self.reference_o2, Mapping):
            return self.reference_o2.get(target)
        return self.reference_o2

    def mark(self, target: str) -> npt.NDArray[np.str_] | None:
        """The marks of a target, shape (T,)."""
        assert self.marks is None or isinstance(self.marks, Mapping)
        marks = None if self.marks is None else self.marks.get(target)
        return None if marks is None else np.asarray(marks)

    def time(self, row: int) -> datetime:
        return self.start + row * self.step

    def hours_of_day(self) -> Ints:
        """Local hour of day of each row, shape (T,), in the zone of `start`."""
        first = self.start.hour + self.start.minute / 60
        hours = first + np.arange(len(self)) * (self.step / HOUR)
        result: Ints = (np.floor(hours + 1e-9) % 24).astype(np.int64)
        return result

    def sha256(self, first: int, last: int) -> str:
        """SHA-256 of the rows first..last (both included), so that anyone can check the input.

        The hash is over a text line with start, step and the columns' names in sorted order, then
        the columns' values as little-endian binary64, column after column; NaN as one bit pattern.
        Peers come after the columns as `peer:X:0`, `peer:X:1` … for a target `X`.
        """
        columns = {name: self.values[name] for name in sorted(self.values)}
        for target in sorted(self.peers or {}):
            assert self.peers is not None
            columns |= {f"peer:{target}:{i}": row for i, row in enumerate(self.peers[target])}
        start = self.time(first).isoformat()
        head = f"{start}|{self.step.total_seconds()}|{','.join(columns)}\n"
        digest = hashlib.sha256(head.encode())
        for column in columns.values():
            part = column[first : last + 1].astype("<f8")
            part[np.isnan(part)] = np.nan
            digest.update(part.tobytes())
        return digest.hexdigest()

    def rows(self, first: int, stop: int) -> Monitor:
        """The rows first..stop-1 as a monitor of their own."""
        assert self.marks is None or isinstance(self.marks, Mapping)
        cut = slice(max(0, first), max(0, stop))
        return Monitor(
            self.time(max(0, first)),
            self.step,
            {k: v[cut] for k, v in self.values.items()},
            self.targets,
            self.limits,
            self.roles,
            self.reference_o2,
            None if self.marks is None else {k: v[cut] for k, v in self.marks.items()},
            None if self.peers is None else {k: v[:, cut] for k, v in self.peers.items()},
            {t: time for t in self.targets if (time := self.calibrated_before(t, cut.start))},
        )

    def calibrated_before(self, target: str, stop: int) -> datetime | None:
        """When a target was last calibrated before row `stop`, or since when its marks are known
        without any; None without marks."""
        marks, known = self.mark(target), (self.calibrated or {}).get(target)
        if marks is None:
            return known
        rows = np.flatnonzero(marks[:stop] == "C")
        return self.time(int(rows[-1])) if len(rows) else known or self.start


def _role(name: str, targets: Sequence[str]) -> str:
    upper = name.upper()
    if upper == "O2":
        return "o2"
    if upper == "FLOW":
        return "flow"
    if name.endswith("_raw") and name[:-4] in targets:
        return "raw"
    if name.endswith("_zs") and name[:-3] in targets:
        return "converted"
    return "state"


def _marks(
    marks: Mapping[str, Sequence[str]] | Sequence[str] | None, targets: Sequence[str], n: int
) -> dict[str, npt.NDArray[np.str_]] | None:
    if marks is None:
        return None
    given = dict(marks) if isinstance(marks, Mapping) else dict.fromkeys(targets, marks)
    result = {}
    for name, sequence in given.items():
        array = np.asarray(["" if m is None else str(m) for m in sequence], dtype=np.str_)
        if len(array) != n:
            raise ValueError(f"marks of {name} have {len(array)} rows, the columns {n}")
        result[name] = array
    return result


def _peers(
    peers: Mapping[str, Floats] | None, targets: Sequence[str], n: int
) -> dict[str, Floats] | None:
    if peers is None:
        return None
    result = {}
    for name, block in peers.items():
        array = np.atleast_2d(np.asarray(block, dtype=np.float64))
        if array.ndim != 2 or array.shape[1] != n:
            raise ValueError(f"peers of {name} have shape {array.shape}, the columns {n} rows")
        if name not in targets:
            raise ValueError(f"peers names {name}, which is no target")
        result[name] = array
    return result
