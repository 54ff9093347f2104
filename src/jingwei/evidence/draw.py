"""Verifiable random draws (双随机): who is inspected, and by whom, as anybody can recompute.

This file needs nothing but Python's standard library and imports nothing of Jingwei: it is itself
the verifier that is published with every draw.

    python3 draw.py RESULT.json          recomputes the draw; says what differs, if anything does
    python3 draw.py RESULT.json CODE     and shows one unit's ticket and rank
    python3 draw.py FOLDER [CODE]        the same for all files of a publication, each by its digest

A draw has two parts. The *plan* is frozen, published and logged before the seed can be known: the
list in the order of the codes, strata with ratios, exclusions, inspectors, recusals, and the
sources of the seed with the times at which their values become known. The *result* adds the
values, and what follows from them:

    key       one field a source, each closed by "/": numbers in RFC 3797's canonical form (section 4.1:
              decimal, each closed by ".", ascending unless their order counts), texts in
              capital letters, nothing for a source that failed under the rule "without"
    seed      hex SHA-256(key)
    ticket    hex SHA-256(draw LF seed LF label LF code)
    selected  in each stratum, the units not excluded with the lowest tickets (label "unit")
    teams     the selected units in the order of their tickets; each takes inspectors by the ticket
              with label "inspector/" + unit code, and passes over one only if that is recused, has its
              load, or would leave no complete assignment for all units

So a ticket depends on the draw, the seed and the code alone: the order of the list does not
count, and who leaves the list changes nobody else's ticket. All numbers are integers.

What the recomputation cannot show: that the list was complete (the logged plan shows only that it
was not changed after), and a drand round's BLS signature (compare the round with any drand
client; that its randomness is the SHA-256 of its signature is checked here).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

FORMAT = "jingwei-draw/1"
FILES = "jingwei-draw-files/1"
MANIFEST, PLAN, RESULT = "manifest.json", "plan.json", "result.json"
MAX_FILE = 64 * 1024 * 1024
MAX_UNITS = 200_000
MAX_INSPECTORS = 10_000
MAX_PAIRS = 5_000_000  # selected units x inspectors
MIN_PARTIES = 3
_MAX_INTEGER = 2**53 - 1

Plan = dict[str, Any]
Result = dict[str, Any]


class DrawError(ValueError):
    """A plan, value or result that cannot be accepted; the text says what and where."""


# -- the plan


def freeze(
    draw: str,
    *,
    purpose: str,
    frozen: str,
    units: Iterable[Mapping[str, str]],
    strata: Iterable[Mapping[str, Any]],
    sources: Iterable[Mapping[str, Any]],
    excluded: Iterable[Mapping[str, str]] = (),
    inspectors: Iterable[str] = (),
    recusals: Iterable[Mapping[str, str]] = (),
    team: int = 0,
    load: int = 0,
    replaces: Mapping[str, str] | None = None,
) -> Plan:
    """The plan of a draw in its canonical order, checked.

    `draw` names the draw once for ever. `units` are `{"code", "stratum"}`, `strata` are `{"name",
    "numerator", "denominator", "minimum"}`: of n units that are not excluded, the larger of
    `minimum` and n x numerator / denominator rounded up are drawn, at most n. `excluded` are
    `{"code", "reason"}` of units on the list, `recusals` `{"inspector", "unit", "reason"}`. Every
    selected unit gets `team` inspectors, none of whom gets more than `load` units. `frozen` and
    the times of the `sources` (see `_source`) are UTC, `2026-11-21T03:00:00Z`. `replaces` names a
    draw that this one repeats, `{"draw", "plan_sha256", "reason"}`. Raises `DrawError`.
    """
    plan: Plan = {
        "format": FORMAT,
        "draw": draw,
        "purpose": purpose,
        "frozen": frozen,
        "replaces": dict(replaces) if replaces else None,
        "units": sorted((dict(u) for u in units), key=lambda u: str(u.get("code"))),
        "strata": sorted((dict(s) for s in strata), key=lambda s: str(s.get("name"))),
        "excluded": sorted((dict(e) for e in excluded), key=lambda e: str(e.get("code"))),
        "inspectors": sorted(inspectors),
        "recusals": sorted(
            (dict(r) for r in recusals), key=lambda r: (str(r.get("inspector")), str(r.get("unit")))
        ),
        "team": team,
        "load": load,
        "sources": [dict(source) for source in sources],
    }
    check_plan(plan)
    return plan


def check_plan(plan: Any) -> None:
    """Raise `DrawError` unless `plan` is a whole plan in canonical order (`freeze`)."""
    names = (
        "format draw purpose frozen replaces units strata excluded inspectors recusals team load"
    )
    _keys(plan, "the plan", *names.split(), "sources")
    if plan["format"] != FORMAT:
        raise DrawError(f"the plan has format {plan['format']!r}, not {FORMAT!r}")
    _text(plan["draw"], "draw")
    _text(plan["purpose"], "purpose", 1000)
    frozen = _time(plan["frozen"], "frozen")
    if plan["replaces"] is not None:
        _keys(plan["replaces"], "replaces", "draw", "plan_sha256", "reason")
        _text(plan["replaces"]["draw"], "replaces.draw")
        _hex(plan["replaces"]["plan_sha256"], "replaces.plan_sha256", 32)
        _text(plan["replaces"]["reason"], "replaces.reason", 1000)
        if plan["replaces"]["draw"] == plan["draw"]:
            raise DrawError("a draw cannot replace itself: give the new one a new name")
    names_of_strata = []
    for i, stratum in enumerate(_list(plan["strata"], "strata", 1000)):
        at = f"strata[{i}]"
        _keys(stratum, at, "name", "numerator", "denominator", "minimum")
        names_of_strata.append(_text(stratum["name"], f"{at}.name"))
        for name, least in (("numerator", 0), ("denominator", 1), ("minimum", 0)):
            _integer(stratum[name], f"{at}.{name}", least)
        if stratum["numerator"] > stratum["denominator"]:
            raise DrawError(f"{at}: the ratio is more than 1")
    _ascending(names_of_strata, "strata")
    codes = []
    for i, unit in enumerate(_list(plan["units"], "units", MAX_UNITS)):
        _keys(unit, f"units[{i}]", "code", "stratum")
        codes.append(_text(unit["code"], f"units[{i}].code"))
    _ascending(codes, "units")
    known, named = set(codes), set(names_of_strata)
    for i, unit in enumerate(plan["units"]):
        if _text(unit["stratum"], f"units[{i}].stratum") not in named:
            raise DrawError(f"units[{i}]: there is no stratum {unit['stratum']!r}")
    gone = []
    for i, item in enumerate(_list(plan["excluded"], "excluded", MAX_UNITS)):
        _keys(item, f"excluded[{i}]", "code", "reason")
        gone.append(_text(item["code"], f"excluded[{i}].code"))
        _text(item["reason"], f"excluded[{i}].reason", 1000)
        if item["code"] not in known:
            raise DrawError(f"excluded[{i}]: {item['code']!r} is not on the list")
    _ascending(gone, "excluded")
    people = [
        _text(code, f"inspectors[{i}]")
        for i, code in enumerate(_list(plan["inspectors"], "inspectors", MAX_INSPECTORS))
    ]
    _ascending(people, "inspectors")
    staff = set(people)
    pairs = []
    for i, item in enumerate(_list(plan["recusals"], "recusals", MAX_UNITS)):
        at = f"recusals[{i}]"
        _keys(item, at, "inspector", "unit", "reason")
        _text(item["reason"], f"{at}.reason", 1000)
        pair = _text(item["inspector"], f"{at}.inspector"), _text(item["unit"], f"{at}.unit")
        if pair[0] not in staff or pair[1] not in known:
            raise DrawError(f"{at}: inspector or unit is not on the lists")
        pairs.append(pair)
    _ascending(pairs, "recusals")
    team = _integer(plan["team"], "team", 0)
    load = _integer(plan["load"], "load", 0)
    if team > len(people) or (team and not load) or (not team and people):
        raise DrawError("team, load and inspectors do not fit each other")
    _sources(plan["sources"], plan["frozen"], frozen)


def _sources(sources: Any, frozen_text: str, frozen: datetime) -> None:
    if not _list(sources, "sources", 20):
        raise DrawError("the plan names no source of the seed")
    times = []
    for i, source in enumerate(sources):
        times.append(_source(source, f"sources[{i}]"))
        if times[i] <= frozen:
            raise DrawError(f"sources[{i}]: its value is known before the list is frozen")
    for i, source in enumerate(sources):
        if source["kind"] == "parties" and source["missing"] == "without":
            # Else the last party to reveal could choose between two results.
            later = [t for s, t in zip(sources, times, strict=True) if s["kind"] != "parties"]
            if not any(t > times[i] for t in later):
                raise DrawError(
                    f'sources[{i}]: the rule "without" wants a public source after the reveals'
                )


def _source(source: Any, at: str) -> datetime:
    """Check one source; the time when its value becomes known (for parties: reveals end).

    numbers   name, time, count, low, high, ordered, missing: a lottery's numbers
    parties   name, time, parties `[{"name", "commitment"}]` (at least 3), missing: commit and reveal
    drand     name, time, chain, genesis, period, round, missing: a round of a drand network

    `missing` says beforehand what happens when a value or a reveal does not come: "without" draws
    without it, "void" ends the draw; a new one is then planned with the reason.
    """
    if not isinstance(source, dict) or source.get("kind") not in list(_SOURCES):
        raise DrawError(f"{at}: wanted a source of kind {', '.join(_SOURCES)}")
    _keys(source, at, "kind", "name", "time", "missing", *_SOURCES[source["kind"]])
    _text(source["name"], f"{at}.name")
    time = _time(source["time"], f"{at}.time")
    if source["missing"] not in ("without", "void"):
        raise DrawError(f'{at}.missing: wanted "without" or "void"')
    if source["kind"] == "numbers":
        if not 1 <= _integer(source["count"], f"{at}.count", 1) <= 100:
            raise DrawError(f"{at}.count: at most 100 numbers")
        if _integer(source["low"], f"{at}.low", 0) >= _integer(source["high"], f"{at}.high", 1):
            raise DrawError(f"{at}: low is not under high")
        if not isinstance(source["ordered"], bool):
            raise DrawError(f"{at}.ordered: wanted true or false")
    elif source["kind"] == "parties":
        if len(_list(source["parties"], f"{at}.parties", 100)) < MIN_PARTIES:
            raise DrawError(f"{at}: commit and reveal wants at least {MIN_PARTIES} parties")
        for i, party in enumerate(source["parties"]):
            _keys(party, f"{at}.parties[{i}]", "name", "commitment")
            _text(party["name"], f"{at}.parties[{i}].name")
            _hex(party["commitment"], f"{at}.parties[{i}].commitment", 32)
        _ascending([party["name"] for party in source["parties"]], f"{at}.parties")
        if len({party["commitment"] for party in source["parties"]}) < len(source["parties"]):
            raise DrawError(f"{at}: two parties have one commitment")
    else:
        _hex(source["chain"], f"{at}.chain", 32)
        genesis = _integer(source["genesis"], f"{at}.genesis", 1)
        period = _integer(source["period"], f"{at}.period", 1)
        emitted = genesis + (_integer(source["round"], f"{at}.round", 1) - 1) * period
        if emitted != int(time.timestamp()):
            raise DrawError(f"{at}.time: round {source['round']} comes at {emitted} (POSIX)")
    return time


_SOURCES = {
    "numbers": ("count", "low", "high", "ordered"),
    "parties": ("parties",),
    "drand": ("chain", "genesis", "period", "round"),
}


def canonical(value: Any) -> bytes:
    """RFC 8785 for what a plan holds: ASCII keys, texts, integers, lists, true, false, null."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def plan_hash(plan: Plan) -> str:
    """Hex SHA-256 of the canonical plan: what is logged before the seed is known."""
    return hashlib.sha256(canonical(plan)).hexdigest()


def commitment(draw: str, party: str, secret: str) -> str:
    """What a party publishes beforehand for its secret (32 random bytes in hex), hex SHA-256."""
    _hex(secret, "the secret", 32)
    return hashlib.sha256(f"{FORMAT}\n{draw}\n{party}\n{secret}".encode()).hexdigest()


# -- the seed


def numbers_field(numbers: Iterable[int], *, ordered: bool = False) -> str:
    """RFC 3797 section 4.1: decimals, each closed by a period, smallest first, and a slash."""
    values = list(numbers)
    return "".join(f"{n}." for n in (values if ordered else sorted(values))) + "/"


def seed_key(plan: Plan, values: Any) -> tuple[str, list[str]]:
    """The key string of the seed, and a sentence for each value that did not come.

    `values` has one value a source, in the plan's order, or None where it failed: a list of
    numbers; `{party: secret}`; `{"round", "randomness", "signature"}`. Raises `DrawError` for a
    value that does not fit its source, and where the rule of a missing one is "void".
    """
    sources = plan["sources"]
    if len(_list(values, "values", 20)) != len(sources):
        raise DrawError(f"{len(sources)} sources want as many values, not {len(values)}")
    key, breaches = "", []
    for i, (source, value) in enumerate(zip(sources, values, strict=True)):
        at = f"values[{i}]"
        fields: list[tuple[str, str | None]]
        if value is None and source["kind"] != "parties":
            fields = [(source["name"], None)]
        elif source["kind"] == "numbers":
            fields = [(source["name"], _numbers(source, value, at))]
        elif source["kind"] == "parties":
            fields = _reveals(plan["draw"], source, {} if value is None else value, at)
        else:
            fields = [(source["name"], _round(source, value, at))]
        for name, field in fields:
            if field is None:
                if source["missing"] == "void":
                    raise DrawError(f"{at}: {name} gave no value; by the plan the draw is void")
                breaches.append(f"{name} gave no value; by the plan the draw goes on without it")
            key += field or "/"
    if not key.strip("/"):
        raise DrawError("no source gave a value: there is no seed")
    return key, breaches


def _numbers(source: Mapping[str, Any], value: Any, at: str) -> str:
    for i, n in enumerate(_list(value, at, 100)):
        if not source["low"] <= _integer(n, f"{at}[{i}]", 0) <= source["high"]:
            raise DrawError(f"{at}[{i}]: not from {source['low']} to {source['high']}")
    if len(value) != source["count"]:
        raise DrawError(f"{at}: {source['name']} gives {source['count']} numbers, not {len(value)}")
    return numbers_field(value, ordered=source["ordered"])


def _reveals(
    draw: str, source: Mapping[str, Any], value: Any, at: str
) -> list[tuple[str, str | None]]:
    if not isinstance(value, dict):
        raise DrawError(f"{at}: wanted an object of parties and secrets")
    fields: list[tuple[str, str | None]] = []
    for party in source["parties"]:
        secret = value.get(party["name"])
        if secret is None:
            fields.append((party["name"], None))
            continue
        if commitment(draw, party["name"], secret) != party["commitment"]:
            raise DrawError(f"{at}: the secret of {party['name']} is not the one committed to")
        fields.append((party["name"], secret.upper() + "/"))
    if set(value) - {party["name"] for party in source["parties"]}:
        raise DrawError(f"{at}: a secret of somebody who made no commitment")
    return fields


def _round(source: Mapping[str, Any], value: Any, at: str) -> str:
    _keys(value, at, "round", "randomness", "signature")
    if value["round"] != source["round"]:
        raise DrawError(f"{at}: wanted round {source['round']}, not {value['round']!r}")
    _hex(value["randomness"], f"{at}.randomness", 32)
    _hex(value["signature"], f"{at}.signature", 0)
    if hashlib.sha256(bytes.fromhex(value["signature"])).hexdigest() != value["randomness"]:
        raise DrawError(f"{at}: the randomness is not the SHA-256 of the round's signature")
    return str(value["randomness"]).upper() + "/"


# -- the draw


def ticket(draw: str, seed: str, label: str, code: str) -> str:
    """Hex SHA-256 of draw, seed, label and code, a line feed between them."""
    return hashlib.sha256(f"{draw}\n{seed}\n{label}\n{code}".encode()).hexdigest()


def quota(stratum: Mapping[str, Any], n: int) -> int:
    """How many of `n` units are drawn in the stratum."""
    share = -(-n * int(stratum["numerator"]) // int(stratum["denominator"]))
    return min(n, max(share, int(stratum["minimum"])))


def run(plan: Plan, values: Sequence[Any]) -> Result:
    """The result of the draw: everything that is published. Raises `DrawError`."""
    check_plan(plan)
    key, breaches = seed_key(plan, values)
    seed = hashlib.sha256(key.encode()).hexdigest()
    draw = plan["draw"]
    excluded = {item["code"] for item in plan["excluded"]}
    pools: dict[str, list[tuple[str, str]]] = {s["name"]: [] for s in plan["strata"]}
    for unit in plan["units"]:
        if unit["code"] not in excluded:
            pools[unit["stratum"]].append((ticket(draw, seed, "unit", unit["code"]), unit["code"]))
    selected: list[tuple[str, str]] = []
    for stratum in plan["strata"]:
        pool = sorted(pools[stratum["name"]])
        selected += pool[: quota(stratum, len(pool))]
    selected.sort()
    teams = _teams(plan, seed, [code for _, code in selected])
    return {
        "format": FORMAT,
        "plan": plan,
        "plan_sha256": plan_hash(plan),
        "values": list(values),
        "breaches": breaches,
        "key": key,
        "seed": seed,
        "tickets": {code: t for pool in pools.values() for t, code in sorted(pool)},
        "selected": [{"code": code, "inspectors": teams[code]} for _, code in selected],
    }


def _teams(plan: Plan, seed: str, units: Sequence[str]) -> dict[str, list[str]]:
    """The first complete assignment in the order of the tickets (see the top of this file).

    Keeps one complete assignment all the time and changes it along alternating paths, as in a
    bipartite matching; what comes out does not depend on which one it began with.
    """
    team, load = plan["team"], plan["load"]
    if not team:
        return {unit: [] for unit in units}
    if len(units) * len(plan["inspectors"]) > MAX_PAIRS:
        raise DrawError(f"units selected x inspectors are more than {MAX_PAIRS}: split the draw")
    barred: dict[str, set[str]] = {}
    for item in plan["recusals"]:
        barred.setdefault(item["unit"], set()).add(item["inspector"])
    wishes: dict[str, list[str]] = {}
    for unit in units:
        able = (i for i in plan["inspectors"] if i not in barred.get(unit, ()))
        label = f"inspector/{unit}"
        wishes[unit] = sorted(able, key=lambda i: ticket(plan["draw"], seed, label, i))
    chosen: dict[str, list[str]] = {unit: [] for unit in units}
    loose: dict[str, set[str]] = {unit: set() for unit in units}  # still open to change
    work: dict[str, set[str]] = {i: set() for i in plan["inspectors"]}  # units, loose ones only
    count = dict.fromkeys(plan["inspectors"], 0)

    def give(unit: str, inspector: str) -> None:
        loose[unit].add(inspector)
        work[inspector].add(unit)
        count[inspector] += 1

    def take(unit: str, inspector: str) -> None:
        loose[unit].remove(inspector)
        work[inspector].remove(unit)
        count[inspector] -= 1

    def relieve(start: str) -> bool:
        """Make room for one more unit at `start`: shift loose assignments along a path to room."""
        before: dict[str, tuple[str, str] | None] = {start: None}
        queue = deque([start])
        seen: set[str] = set()
        while queue:
            inspector = queue.popleft()
            if count[inspector] < load:
                here = inspector
                while step := before[here]:
                    unit, there = step
                    take(unit, there)
                    give(unit, here)
                    here = there
                return True
            for unit in sorted(work[inspector]):
                if unit in seen:
                    continue
                seen.add(unit)
                for other in wishes[unit]:
                    if other in before or other in loose[unit] or other in chosen[unit]:
                        continue
                    before[other] = unit, inspector
                    queue.append(other)
        return False

    for unit in units:  # any complete assignment
        for _ in range(team):
            for inspector in wishes[unit]:
                if inspector not in loose[unit] and relieve(inspector):
                    give(unit, inspector)
                    break
            else:
                raise DrawError(
                    f"{len(units)} selected units cannot all get {team} inspectors each:"
                    " recusals and load leave no assignment"
                )
    for unit in units:  # the first one in the order of the tickets
        for inspector in wishes[unit]:
            if len(chosen[unit]) == team:
                break
            if inspector not in loose[unit]:
                dropped = min(loose[unit], key=wishes[unit].index)
                take(unit, dropped)
                chosen[unit].append(inspector)  # so that no shift brings it in a second time
                if not relieve(inspector):
                    chosen[unit].pop()
                    give(unit, dropped)
                    continue
                count[inspector] += 1
            else:
                take(unit, inspector)
                count[inspector] += 1
                chosen[unit].append(inspector)
    return chosen


# -- verification


def verify(result: Any) -> Result:
    """Recompute a published result; return it or raise `DrawError` with the first difference."""
    names = ("format", "plan", "plan_sha256", "values", "breaches", "key", "seed", "tickets")
    _keys(result, "the result", *names, "selected")
    check_plan(result["plan"])
    right = run(result["plan"], result["values"])
    for name in (*names, "selected"):
        if result[name] != right[name]:
            raise DrawError(f"{name} is not what the plan and the values give")
    return right


def manifest(result: Result, files: Mapping[str, bytes]) -> bytes:
    """The manifest of a publication, canonical: the SHA-256 of every file. Its own is what is logged."""
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    body = {"format": FILES, "draw": result["plan"]["draw"], "files": hashes}
    return canonical(body | {"plan_sha256": result["plan_sha256"]})


def verify_files(files: Mapping[str, bytes]) -> Result:
    """Check a publication, file by file, and recompute it; the result, or `DrawError`."""
    for name in (MANIFEST, PLAN, RESULT):
        if name not in files:
            raise DrawError(f"{name} is missing")
    book = load(files[MANIFEST])
    _keys(book, MANIFEST, "format", "draw", "files", "plan_sha256")
    if not isinstance(book["files"], dict) or not {PLAN, RESULT} <= set(book["files"]):
        raise DrawError(f"{MANIFEST} does not name {PLAN} and {RESULT}")
    for name, wanted in book["files"].items():
        if name not in files:
            raise DrawError(f"{name} is missing")
        if hashlib.sha256(files[name]).hexdigest() != wanted:
            raise DrawError(f"{name} is not the file that {MANIFEST} names")
    result = verify(load(files[RESULT]))
    if files[PLAN] != canonical(result["plan"]):
        raise DrawError(f"{PLAN} is not the plan of {RESULT}")
    if files[MANIFEST] != manifest(result, {name: files[name] for name in book["files"]}):
        raise DrawError(f"{MANIFEST} is not what its files give")
    return result


def read_folder(folder: Path) -> dict[str, bytes]:
    """The files of a publication in a folder: the manifest and what it names."""
    files: dict[str, bytes] = {}
    names = [MANIFEST]
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            continue
        with (folder / name).open("rb") as file:
            files[name] = file.read(MAX_FILE + 1)
        if name == MANIFEST:
            book = load(files[name])
            named = book.get("files") if isinstance(book, dict) else None
            names += [str(n) for n in named][:100] if isinstance(named, dict) else []
    return files


def load(data: bytes) -> Any:
    """Parse a published file: bounded, without floats, without repeated keys. Raises `DrawError`."""
    if len(data) > MAX_FILE:
        raise DrawError(f"the file is longer than {MAX_FILE} bytes")

    def whole(text: str) -> int:
        if len(text) > 17 or abs(int(text)) > _MAX_INTEGER:
            raise DrawError("the file has an integer beyond 2^53 - 1")
        return int(text)

    def refuse(text: str) -> Any:
        raise DrawError(f"the file has the number {text[:20]}: only integers are allowed")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise DrawError("the file names one key twice in one object")
        return dict(pairs)

    try:
        return json.loads(
            data,
            parse_int=whole,
            parse_float=refuse,
            parse_constant=refuse,
            object_pairs_hook=once,
        )
    except DrawError:
        raise
    except (ValueError, RecursionError):
        raise DrawError("the file is no JSON") from None


# -- draws of others, with the same parts


def rfc3797(key: str, pool: int, pick: int) -> list[int]:
    """The selection of RFC 3797 (section 4.2, MD5): `pick` of the numbers 1 to `pool`, in order."""
    left = list(range(1, pool + 1))
    picked = []
    for i in range(pick):
        mark = i.to_bytes(2, "big")
        digest = hashlib.md5(mark + key.encode() + mark, usedforsecurity=False).digest()
        picked.append(left.pop(int.from_bytes(digest, "big") % len(left)))
    return picked


def colorado(seed: str, low: int, high: int, count: int) -> list[int]:
    """P. B. Stark's sampler for risk-limiting audits (Colorado Rule 25), without replacement:
    SHA-256("seed,counter") modulo the range, repeats passed over."""
    picked: dict[int, None] = {}
    counter = 0
    while len(picked) < min(count, high - low + 1):
        counter += 1
        digest = hashlib.sha256(f"{seed},{counter}".encode()).digest()
        picked[low + int.from_bytes(digest, "big") % (high - low + 1)] = None
    return list(picked)


# -- small checks


def _keys(value: Any, at: str, *names: str) -> None:
    if not isinstance(value, dict) or set(value) != set(names):
        raise DrawError(f"{at}: wanted an object with {', '.join(names)}")


def _list(value: Any, at: str, most: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > most:
        raise DrawError(f"{at}: wanted a list of at most {most}")
    return value


def _text(value: Any, at: str, most: int = 120) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= most or not value.isprintable():
        raise DrawError(f"{at}: wanted a text of 1 to {most} printable characters")
    return value


def _integer(value: Any, at: str, least: int) -> int:
    if type(value) is not int or not least <= value <= _MAX_INTEGER:
        raise DrawError(f"{at}: wanted an integer from {least}")
    return value


def _hex(value: Any, at: str, size: int) -> None:
    try:
        raw = bytes.fromhex(value)
        if value != raw.hex() or len(raw) != (size or len(raw)) or not 0 < len(raw) <= 1024:
            raise ValueError
    except (ValueError, TypeError):
        wanted = f"{size} bytes" if size else "bytes"
        raise DrawError(f"{at}: wanted {wanted} in small hex digits") from None


def _time(value: Any, at: str) -> datetime:
    try:
        time = datetime.strptime(value, "%Y-%m-%dT%H:%M:%S%z")
        if time.strftime("%Y-%m-%dT%H:%M:%SZ") != value:
            raise ValueError
    except (ValueError, TypeError):
        raise DrawError(f"{at}: wanted a time like 2026-11-21T03:00:00Z") from None
    return time


def _ascending(values: Sequence[Any], at: str) -> None:
    for a, b in itertools.pairwise(values):
        if a >= b:
            raise DrawError(f"{at}: not in ascending order, or {b!r} comes twice")


def main(arguments: Sequence[str]) -> int:
    """0 the result is right, 1 it is not, 2 it cannot be read."""
    if len(arguments) not in (1, 2):
        sys.stderr.write("usage: python3 draw.py RESULT.json|FOLDER [CODE]\n")
        return 2
    files: dict[str, bytes] = {}
    try:
        if Path(arguments[0]).is_dir():
            files = read_folder(Path(arguments[0]))
            result = verify_files(files)
        else:
            with Path(arguments[0]).open("rb") as file:
                result = verify(load(file.read(MAX_FILE + 1)))
    except OSError as error:
        sys.stderr.write(f"cannot read {arguments[0]}: {error.strerror}\n")
        return 2
    except DrawError as error:
        sys.stderr.write(f"NOT RIGHT 不符: {error}\n")
        return 1
    out = [
        *(
            f"{MANIFEST} SHA-256 {hashlib.sha256(data).hexdigest()}"
            " (compare with the logged one 请与存证比对)"
            for name, data in files.items()
            if name == MANIFEST
        ),
        f"RIGHT 相符: draw 抽取 {result['plan']['draw']}",
        f"plan 方案 SHA-256 {result['plan_sha256']} (compare with the logged one 请与存证比对)",
        f"seed 种子 {result['seed']} from 来自 {result['key']}",
        *(f"breach 违约: {breach}" for breach in result["breaches"]),
        *(
            f"UNCHECKED 未检查: round 第 {source['round']} 轮 of drand chain {source['chain']}:"
            " compare it with any drand server, or run `jingwei evidence check-draw`"
            " 请与任一 drand 服务器比对"
            for source, value in zip(result["plan"]["sources"], result["values"], strict=True)
            if source["kind"] == "drand" and value is not None
        ),
    ]
    chosen = {item["code"]: item["inspectors"] for item in result["selected"]}
    if len(arguments) == 1:
        out += [f"selected 抽中 {code} {' '.join(team)}".rstrip() for code, team in chosen.items()]
        out.append(f"{len(chosen)} of {len(result['tickets'])} 抽中 {len(chosen)} 家")
    elif arguments[1] in result["tickets"]:
        code = arguments[1]
        stratum = {u["code"]: u["stratum"] for u in result["plan"]["units"]}
        rivals = sorted(t for c, t in result["tickets"].items() if stratum[c] == stratum[code])
        rank = rivals.index(result["tickets"][code]) + 1
        out.append(f"ticket 票号 {result['tickets'][code]} of {code}")
        out.append(f"rank 名次 {rank} of {len(rivals)} in {stratum[code]}")
        out.append("selected 抽中" if code in chosen else "not selected 未抽中")
    else:
        out.append(f"{arguments[1]} has no ticket 没有票号: not on the list, or excluded")
    sys.stdout.write("\n".join(out) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
