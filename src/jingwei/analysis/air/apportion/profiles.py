"""Names for factors: which published source profiles a factor looks like, and how sure that is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from jingwei.analysis.air.boundary import Floats
from jingwei.analysis.air.field.tables import FieldError, number, rows

BUNDLED = "source_profiles.csv"
LIKE = 0.6  # least similarity for a name
CLEAR = 0.05  # least distance to the best profile of another source
OWN = "own:"
ALONE = 0.8  # share of one species above which a factor could be much

# What forms in the air, by its formula and atomic masses; secondary organic carbon by definition.
FORMED: dict[str, dict[str, float]] = {
    "Ammonium sulfate": {"so4": 0.7270, "nh4": 0.2730},
    "Ammonium nitrate": {"no3": 0.7746, "nh4": 0.2254},
    "Secondary organic carbon": {"oc": 1.0},
}

# Species as Chinese tables name them.
_CHINESE = {
    "硫酸盐": "so4", "硫酸根": "so4", "硝酸盐": "no3", "硝酸根": "no3", "铵盐": "nh4", "铵根": "nh4",
    "氯离子": "cl", "钠离子": "na", "钾离子": "k", "钙离子": "ca", "镁离子": "mg", "有机碳": "oc",
    "元素碳": "ec", "钠": "na", "镁": "mg", "铝": "al", "硅": "si", "磷": "p", "硫": "s", "氯": "cl",
    "钾": "k", "钙": "ca", "钛": "ti", "钒": "v", "铬": "cr", "锰": "mn", "铁": "fe", "钴": "co",
    "镍": "ni", "铜": "cu", "锌": "zn", "砷": "as", "硒": "se", "锶": "sr", "钼": "mo", "镉": "cd",
    "锡": "sn", "锑": "sb", "钡": "ba", "铅": "pb",
    "sulfate": "so4", "sulphate": "so4", "nitrate": "no3", "ammonium": "nh4",
}  # fmt: skip


@dataclass(frozen=True)
class Library:
    """Profiles of sources: values, errors (profiles, species), fractions of mass, NaN where not measured
    or, in `errors`, not known. `codes` of own ones, beside the published, begin with `OWN`."""

    codes: tuple[str, ...]
    sources: tuple[str, ...]
    species: tuple[str, ...]
    values: Floats
    errors: Floats


@dataclass(frozen=True)
class Name:
    """`source` is None where nothing is like enough. similarity: cosine of the two profiles, each
    species by its share of what all factors explain; `shared`: species that both have; `doubt`: why
    the name is unsure, in words, empty where it is clear; `others`: the next best sources; `kind`: the
    doubt in one word ("alone", "strange", "tie", ""); `main`, `share`: the species that makes most of
    the factor, and how much of it."""

    source: str | None
    code: str
    similarity: float
    shared: int
    doubt: str
    others: tuple[tuple[str, float], ...]
    kind: str
    main: str
    share: float


def key(species: str) -> str:
    """A species' name without case, blanks, signs and charges: "SO4 2-" and "so4=" are the same."""
    plain = re.sub(r"\s+\d?[+\-=]+$|[+\-=]+$|\s+ion$", "", species.strip().lower())
    bare = re.sub(r"[\s,_'()\-]", "", plain)
    return _CHINESE.get(bare, bare)


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
    unknown = np.full(table.shape, np.nan)
    return Library(tuple(c for c, _ in found), tuple(s for _, s in found), species, table, unknown)


# Code, source, fraction and error by `key`.
Own = tuple[str, str, Mapping[str, tuple[float, float]]]


def joined(library: Library, own: Sequence[Own]) -> Library:
    """The library with own profiles behind the published ones."""
    species = tuple(dict.fromkeys([*library.species, *(n for _c, _s, parts in own for n in parts)]))
    rows, extra = len(library.codes), len(species) - len(library.species)
    values, errors = (
        np.pad(a, ((0, len(own)), (0, extra)), constant_values=np.nan)
        for a in (library.values, library.errors)
    )
    for k, (_code, _source, parts) in enumerate(own):
        for name_, (value, error) in parts.items():
            values[rows + k, species.index(name_)] = value
            errors[rows + k, species.index(name_)] = error
    return Library(
        (*library.codes, *(OWN + c for c, _s, _p in own)), (*library.sources, *(s for _c, s, _p in own)),
        species, values, errors,
    )  # fmt: skip


def _formed(one: Floats, keys: Sequence[str]) -> dict[str, float]:
    """How like a whole profile is to what forms in the air, of which it must have the main species."""
    at = {n: k for k, n in reversed(list(enumerate(keys)))}
    found = {}
    for source, parts in FORMED.items():
        use = [(one[at[n]], share) for n, share in parts.items() if n in at]
        if next(iter(parts)) not in at or not one.sum() > 0:
            continue
        a, b = np.array(use).T
        if a.sum() > 0:
            score = float(np.sqrt(a * b).sum() / np.sqrt(a.sum() * b.sum()))
            found[source] = float(a.sum() / one.sum()) * score
    return found


def name(
    profiles: Floats, species: Sequence[str], library: Library, *, least: int = 5
) -> list[Name]:
    """A name for each factor (factors, species), in the unit of the measurement.

    Compared are square roots of mass fractions over the species that both have: traces count as
    well as main components (Hellinger affinity). What forms in the air (`FORMED`) is compared over all
    species of the factor, for everything else in it speaks against it. Raises ValueError where fewer than `least` species
    are in the library. What own profiles alone have does not count against the published ones.
    """
    at = {n: k for k, n in enumerate(library.species)}
    keys = [key(s) for s in species]
    both = [k for k, n in enumerate(keys) if n in at]
    if len(both) < least:
        raise ValueError(f"profiles: the library has only {len(both)} of these species")
    known = library.values[:, [at[keys[k]] for k in both]]
    own = np.array([c.startswith(OWN) for c in library.codes])
    published = np.isfinite(known[~own]).any(axis=0)
    out = []
    for one_whole in profiles:
        one = one_whole[both]
        scores = np.full(len(known), -1.0)
        counts = np.isfinite(known).sum(axis=1)
        for p in np.flatnonzero(counts >= least).tolist():
            use = np.isfinite(known[p])
            a, b = one[use], known[p][use]
            if a.sum() > 0 and b.sum() > 0:
                # A profile of few species is like much: what it leaves out counts against it.
                whole = one.sum() if own[p] else one[published].sum()
                share = a.sum() / max(whole, 1e-300)
                scores[p] = share * float(np.sqrt(a * b).sum() / np.sqrt(a.sum() * b.sum()))
        formed = _formed(one_whole, keys)
        best: dict[str, tuple[float, int]] = {}
        for p in np.argsort(-scores).tolist():
            best.setdefault(library.sources[p], (float(scores[p]), p))
        best |= {s: (score, -1) for s, score in formed.items()}
        main = int(one_whole.argmax())
        part = float(one_whole[main] / max(one_whole.sum(), 1e-300))
        # Sulfate alone rather formed in the air than came from a mill that emits nothing else.
        lead = CLEAR if part > ALONE else 0.0
        ranked = sorted(best.items(), key=lambda i: -(i[1][0] + lead * (i[0] in formed)))
        first, (score, p) = ranked[0]
        rest = tuple((s, v[0]) for s, v in ranked[1:4] if v[0] > 0)
        doubt = kind = ""
        if part > ALONE:
            kind = "alone"
            # Ammonium sulfate made in the air looks like any source that emits sulfate.
            doubt = f"{species[main]} alone makes {100 * part:.0f} % of it; it may also have formed in the air"
        elif score < LIKE:
            kind = "strange"
            doubt = f"nothing published is like it (best {score:.2f})"
        elif rest and score - rest[0][1] < CLEAR:
            kind = "tie"
            doubt = f"{rest[0][0]} is as like ({rest[0][1]:.2f} against {score:.2f})"
        out.append(
            Name(
                first if score >= LIKE else None,
                library.codes[p] if p >= 0 else "formed",
                score,
                int(counts[p]) if p >= 0 else len(FORMED[first].keys() & set(keys)),
                doubt,
                rest,
                kind,
                species[main],
                part,
            )
        )
    return out
