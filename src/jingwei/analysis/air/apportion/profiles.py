"""Names for factors: which published source profiles a factor looks like, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.field.tables import FieldError, number, rows

BUNDLED = "source_profiles.csv"
LIKE = 0.6  # least similarity for a name
CLEAR = 0.05  # least distance to the best profile of another source


@dataclass(frozen=True)
class Library:
    """Published profiles: values (profiles, species), fractions of mass, NaN where not measured."""

    codes: tuple[str, ...]
    sources: tuple[str, ...]
    species: tuple[str, ...]
    values: Floats


@dataclass(frozen=True)
class Name:
    """`source` is None where nothing is like enough. similarity: cosine of the two profiles, each
    species by its share of what all factors explain; `shared`: species that both have; `doubt`: why
    the name is unsure, in words, empty where it is clear; `others`: the next best sources."""

    source: str | None
    code: str
    similarity: float
    shared: int
    doubt: str
    others: tuple[tuple[str, float], ...]


def key(species: str) -> str:
    """A species' name without case, blanks, signs and charges: "SO4 2-" and "so4=" are the same."""
    plain = re.sub(r"\s+\d?[+\-=]+$|[+\-=]+$|\s+ion$", "", species.strip().lower())
    return re.sub(r"[\s,_'()\-]", "", plain)


def read(source: Path | str) -> Library:
    """CSV with code, source, species, value (fraction of mass): one row a species of a profile."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    names: dict[str, None] = {}
    for line, row in rows(source, ("code", "source", "species", "value")):
        value = number(source, line, row, "value")
        if value < 0:
            raise FieldError(f"{source}, line {line}: value {value} is negative")
        one = key(row["species"])
        names[one] = None
        found.setdefault((row["code"], row["source"]), {})[one] = value
    if not found:
        raise FieldError(f"{source}: has no row")
    species = tuple(names)
    table = np.array([[p.get(n, np.nan) for n in species] for p in found.values()])
    return Library(tuple(c for c, _ in found), tuple(s for _, s in found), species, table)


def name(
    profiles: Floats, species: Sequence[str], library: Library, *, least: int = 5
) -> list[Name]:
    """A name for each factor (factors, species), in the unit of the measurement.

    Compared are square roots of mass fractions over the species that both have: traces count as
    well as main components (Hellinger affinity). Raises ValueError where fewer than `least` species
    are in the library.
    """
    at = {n: k for k, n in enumerate(library.species)}
    keys = [key(s) for s in species]
    both = [k for k, n in enumerate(keys) if n in at]
    if len(both) < least:
        raise ValueError(f"profiles: the library has only {len(both)} of these species")
    known = library.values[:, [at[keys[k]] for k in both]]
    out = []
    for one in profiles[:, both]:
        scores = np.full(len(known), -1.0)
        counts = np.isfinite(known).sum(axis=1)
        for p in np.flatnonzero(counts >= least).tolist():
            use = np.isfinite(known[p])
            a, b = one[use], known[p][use]
            if a.sum() > 0 and b.sum() > 0:
                # A profile of few species is like much: what it leaves out counts against it.
                share = a.sum() / max(one.sum(), 1e-300)
                scores[p] = share * float(np.sqrt(a * b).sum() / np.sqrt(a.sum() * b.sum()))
        best: dict[str, tuple[float, int]] = {}
        for p in np.argsort(-scores).tolist():
            best.setdefault(library.sources[p], (float(scores[p]), p))
        ranked = sorted(best.items(), key=lambda i: -i[1][0])
        first, (score, p) = ranked[0]
        rest = tuple((s, v[0]) for s, v in ranked[1:4] if v[0] > 0)
        doubt = ""
        main = int(one.argmax())
        if one[main] > 0.8 * one.sum():
            # Ammonium sulfate made in the air looks like any source that emits sulfate.
            doubt = (
                f"{species[both[main]]} alone makes {100 * one[main] / one.sum():.0f} % of what is"
                " compared; it may also have formed in the air"
            )
        elif score < LIKE:
            doubt = f"nothing published is like it (best {score:.2f})"
        elif rest and score - rest[0][1] < CLEAR:
            doubt = f"{rest[0][0]} is as like ({rest[0][1]:.2f} against {score:.2f})"
        out.append(
            Name(
                first if score >= LIKE else None,
                library.codes[p],
                score,
                int(counts[p]),
                doubt,
                rest,
            )
        )
    return out
