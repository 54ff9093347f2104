"""Verifiable draws: published vectors, properties of the lottery, teams, tampering, contrast."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jingwei.evidence import canonical, draw
from jingwei.evidence.draw import DrawError

VECTORS = Path(__file__).parent.parent / "data/vectors/draws"
SECRETS = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("司法局", "监察", "协会")}
NAME = "2026-12-key"


def sources(**change: object) -> list[dict]:
    """Three parties reveal, then a lottery, then a round of a drand network."""
    parties = [
        {"name": name, "commitment": draw.commitment(NAME, name, secret)}
        for name, secret in sorted(SECRETS.items())
    ]
    return [
        {
            "kind": "parties",
            "name": "commit and reveal",
            "time": "2026-12-01T08:00:00Z",
            "missing": "without",
            "parties": parties,
        },
        {
            "kind": "numbers",
            "name": "双色球 2026139, red",
            "time": "2026-12-01T13:15:00Z",
            "missing": "void",
            "count": 6,
            "low": 1,
            "high": 33,
            "ordered": False,
            **change,
        },
        {
            "kind": "drand",
            "name": "drand quicknet",
            "time": "2026-12-01T13:15:00Z",
            "missing": "without",
            "chain": "52db9ba70e0cc0f6eaf7803dd07447a1f5477735fd3f661792ba94600c84e971",
            "genesis": 1692803367,
            "period": 3,
            "round": 34442512,
        },
    ]


SIGNATURE = "b44679b9a59af2ec876b1a6b1ad52ea9b1615fc3982b19576350f93447cb1125"
VALUES = [
    SECRETS,
    [41 - 8, 9, 18, 26, 5, 1],
    {
        "round": 34442512,
        "signature": SIGNATURE,
        "randomness": hashlib.sha256(bytes.fromhex(SIGNATURE)).hexdigest(),
    },
]


def plan(n: int = 40, **change: object) -> dict:
    arguments = {
        "purpose": "2026 年 12 月重点排污单位双随机抽查",
        "frozen": "2026-11-30T02:00:00Z",
        "units": [{"code": f"U{i:04}", "stratum": "AB"[i % 4 == 0]} for i in range(n)],
        "strata": [
            {"name": "A", "numerator": 1, "denominator": 4, "minimum": 1},
            {"name": "B", "numerator": 1, "denominator": 10, "minimum": 2},
        ],
        "excluded": [{"code": "U0003", "reason": "停产"}],
        "inspectors": [f"I{i:02}" for i in range(12)],
        "recusals": [
            {"inspector": f"I{i:02}", "unit": f"U{7 * i:04}", "reason": "曾任职"}
            for i in range(5)
            if 7 * i < n
        ],
        "team": 2,
        "load": 3,
        "sources": sources(),
    }
    return draw.freeze(NAME, **{**arguments, **change})


def test_rfc3797_sample_run() -> None:
    """RFC 3797 section 6: the key string from the raw numbers, and all ten rows."""
    vector = json.loads((VECTORS / "rfc3797.json").read_text())
    raw = [[9319], [10, 2, 12, 8, 5], [45, 9, 34, 18, 26, 41]]
    key = "".join(draw.numbers_field(numbers) for numbers in raw)
    assert key == vector["key"]
    assert draw.rfc3797(key, vector["pool"], vector["pick"]) == [row[2] for row in vector["rows"]]


def test_colorado() -> None:
    vector = json.loads((VECTORS / "colorado.json").read_text())
    found = draw.colorado(
        vector["seed"], vector["minimum"], vector["maximum"], len(vector["expected"])
    )
    assert found == vector["expected"]


def test_the_key_seed_and_tickets_are_what_the_text_says() -> None:
    frozen = plan()
    key, breaches = draw.seed_key(frozen, VALUES)
    reveals = "".join(SECRETS[name].upper() + "/" for name in sorted(SECRETS))
    assert key == f"{reveals}1.5.9.18.26.33./{VALUES[2]['randomness'].upper()}/"
    assert breaches == []
    result = draw.run(frozen, VALUES)
    assert result["seed"] == hashlib.sha256(key.encode()).hexdigest()
    text = f"{NAME}\n{result['seed']}\nunit\nU0001"
    assert result["tickets"]["U0001"] == hashlib.sha256(text.encode()).hexdigest()
    assert "U0003" not in result["tickets"]
    assert result["plan_sha256"] == hashlib.sha256(canonical.dumps(frozen)).hexdigest()
    assert draw.canonical(result) == canonical.dumps(result)


def test_lowest_tickets_of_each_stratum() -> None:
    result = draw.run(plan(), VALUES)
    stratum = {u["code"]: u["stratum"] for u in result["plan"]["units"]}
    for name, wanted in (("A", 8), ("B", 2)):  # 29 of 30 in A, a quarter rounded up; 10 in B
        pool = sorted((t, c) for c, t in result["tickets"].items() if stratum[c] == name)
        chosen = {s["code"] for s in result["selected"] if stratum[s["code"]] == name}
        assert chosen == {code for _, code in pool[:wanted]}
    assert [s["code"] for s in result["selected"]] == sorted(
        (s["code"] for s in result["selected"]), key=result["tickets"].get
    )


@pytest.mark.parametrize(
    ("ratio", "minimum", "n", "wanted"),
    [
        ((1, 4), 0, 29, 8),
        ((1, 4), 0, 28, 7),
        ((0, 1), 2, 10, 2),
        ((1, 1), 0, 7, 7),
        ((0, 1), 9, 4, 4),
    ],
)
def test_quota(ratio: tuple[int, int], minimum: int, n: int, wanted: int) -> None:
    stratum = {"numerator": ratio[0], "denominator": ratio[1], "minimum": minimum}
    assert draw.quota(stratum, n) == wanted


def picks(codes: list[str], k: int, seed: str) -> set[str]:
    """The product's own selection with another seed (one stratum, no inspectors)."""
    return set(sorted(codes, key=lambda code: draw.ticket(NAME, seed, "unit", code))[:k])


def test_uniform() -> None:
    """Chi-square over 100,000 seeds; alpha = 0.001, stated before: 43.82 for 19 degrees of freedom.

    5 of 20 are drawn without replacement, so a count has variance N·p·(1-p) and the counts add up
    to 5·N: (n-1)/n times the sum of squares over that variance is chi-square with n-1 degrees.
    """
    n, k, runs = 20, 5, 100_000
    codes = [f"U{i:02}" for i in range(n)]
    counts = dict.fromkeys(codes, 0)
    for run in range(runs):
        for code in picks(codes, k, hashlib.sha256(b"%d" % run).hexdigest()):
            counts[code] += 1
    p = k / n
    squares = sum((count - runs * p) ** 2 for count in counts.values())
    assert squares / (runs * p * (1 - p)) * (n - 1) / n < 43.82


def test_the_skip_method_never_takes_the_last_unit() -> None:
    """Contrast: systematic skip from a random start, as found in systems in use."""
    total, wanted = 20, 5
    skip = total // wanted
    hits = dict.fromkeys(range(1, total + 1), 0)
    for first in range(1, skip + 1):
        i = first
        while i < total:
            hits[i] += 1
            i += skip
    assert hits[total] == 0
    codes = [f"U{i:02}" for i in range(total)]
    ours = sum(codes[-1] in picks(codes, wanted, f"{run:064x}") for run in range(2_000))
    assert ours > 400  # 500 expected, standard deviation 19


def test_the_order_of_the_lists_does_not_count() -> None:
    first = plan()
    shuffled = {
        name: random.Random(7).sample(first[name], len(first[name]))
        for name in ("units", "strata", "inspectors", "recusals")
    }
    assert draw.run(plan(**shuffled), VALUES) == draw.run(first, VALUES)


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 30), st.data())
def test_who_leaves_the_list_changes_nobody_elses_ticket(n: int, data: st.DataObject) -> None:
    gone = data.draw(st.integers(0, n - 1))
    k = data.draw(st.integers(1, n - 1))
    change = {"excluded": [], "inspectors": [], "recusals": [], "team": 0, "load": 0}
    units = [{"code": f"U{i:04}", "stratum": "A"} for i in range(n)]
    strata = [{"name": "A", "numerator": 0, "denominator": 1, "minimum": k}]
    whole = draw.run(plan(units=units, strata=strata, **change), VALUES)
    less = draw.run(plan(units=units[:gone] + units[gone + 1 :], strata=strata, **change), VALUES)
    name = f"U{gone:04}"
    assert less["tickets"] == {c: t for c, t in whole["tickets"].items() if c != name}
    before, after = ({s["code"] for s in r["selected"]} for r in (whole, less))
    if name in before:
        assert before - {name} < after
        assert len(after) == k
    else:
        assert after == before


def all_assignments(wishes: dict[str, list[str]], team: int, load: int) -> list[tuple]:
    """Every complete assignment, in the order of the tickets, by trying all."""
    units = list(wishes)
    choices = [list(itertools.combinations(range(len(wishes[u])), team)) for u in units]
    found = []
    for choice in itertools.product(*choices):
        named = [wishes[u][i] for u, c in zip(units, choice, strict=True) for i in c]
        if all(named.count(i) <= load for i in set(named)):
            found.append(choice)
    return sorted(found)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 2), st.integers(1, 3), st.data())
def test_teams_are_the_first_feasible_ones(
    n: int, people: int, team: int, load: int, data: st.DataObject
) -> None:
    """Against trying all assignments: same answer, and failure only where there is none."""
    team = min(team, people)
    pairs = [(f"I{i}", f"U{u}") for i in range(people) for u in range(n)]
    barred = data.draw(st.sets(st.sampled_from(pairs)))
    frozen = plan(
        units=[{"code": f"U{i}", "stratum": "A"} for i in range(n)],
        strata=[{"name": "A", "numerator": 1, "denominator": 1, "minimum": 0}],
        excluded=[],
        inspectors=[f"I{i}" for i in range(people)],
        recusals=[{"inspector": i, "unit": u, "reason": "亲属"} for i, u in barred],
        team=team,
        load=load,
    )
    seed = hashlib.sha256(draw.seed_key(frozen, VALUES)[0].encode()).hexdigest()
    units = sorted((f"U{i}" for i in range(n)), key=lambda u: draw.ticket(NAME, seed, "unit", u))
    wishes = {
        u: sorted(
            (i for i in frozen["inspectors"] if (i, u) not in barred),
            key=lambda i: draw.ticket(NAME, seed, f"inspector/{u}", i),
        )
        for u in units
    }
    possible = all_assignments(wishes, team, load)
    if not possible:
        with pytest.raises(DrawError, match="leave no assignment"):
            draw.run(frozen, VALUES)
        return
    expected = [[wishes[u][i] for i in c] for u, c in zip(units, possible[0], strict=True)]
    result = draw.run(frozen, VALUES)
    assert [s["code"] for s in result["selected"]] == units
    assert [s["inspectors"] for s in result["selected"]] == expected


def test_a_city_sized_draw() -> None:
    result = draw.run(
        plan(
            3_000,
            inspectors=[f"I{i:03}" for i in range(100)],
            load=14,
            recusals=[
                {"inspector": f"I{i % 100:03}", "unit": f"U{i:04}", "reason": "r"}
                for i in range(3_000)
            ],
        ),
        VALUES,
    )
    loads: dict[str, int] = {}
    for item in result["selected"]:
        assert len(set(item["inspectors"])) == 2
        assert f"I{int(item['code'][1:]) % 100:03}" not in item["inspectors"]
        for inspector in item["inspectors"]:
            loads[inspector] = loads.get(inspector, 0) + 1
    assert max(loads.values()) <= 14
    assert len(result["selected"]) == 563 + 75
    assert draw.verify(result) == result


def test_missing_values() -> None:
    two = {name: SECRETS[name] for name in ("司法局", "监察")}
    result = draw.run(plan(), [two, VALUES[1], None])
    assert result["breaches"] == [
        "协会 gave no value; by the plan the draw goes on without it",
        "drand quicknet gave no value; by the plan the draw goes on without it",
    ]
    assert result["key"].startswith("/")  # 协会 sorts first: an empty field
    assert result["key"].endswith("33.//")
    assert result["seed"] != draw.run(plan(), VALUES)["seed"]
    with pytest.raises(DrawError, match="by the plan the draw is void"):
        draw.run(plan(), [SECRETS, None, None])
    loose = plan(sources=sources(missing="without"))
    with pytest.raises(DrawError, match="there is no seed"):
        draw.run(loose, [None, None, None])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([{**SECRETS, "监察": "0" * 64}, *VALUES[1:]], "is not the one committed to"),
        ([{**SECRETS, "other": "0" * 64}, *VALUES[1:]], "somebody who made no commitment"),
        ([{**SECRETS, "监察": "x"}, *VALUES[1:]], "32 bytes in small hex"),
        ([SECRETS, [1, 2, 3, 4, 5], VALUES[2]], "gives 6 numbers, not 5"),
        ([SECRETS, [1, 2, 3, 4, 5, 34], VALUES[2]], r"values\[1\]\[5\]: not from 1 to 33"),
        ([SECRETS, [1, 2, 3, 4, 5, 6.0], VALUES[2]], "wanted an integer"),
        ([SECRETS, VALUES[1], {**VALUES[2], "round": 1}], "wanted round 34442512"),
        ([SECRETS, VALUES[1], {**VALUES[2], "signature": "00"}], "not the SHA-256 of the round"),
        ([SECRETS, VALUES[1]], "3 sources want as many values"),
        ("x", "wanted a list"),
    ],
)
def test_bad_values(values: object, reason: str) -> None:
    with pytest.raises(DrawError, match=reason):
        draw.run(plan(), values)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"units": [{"code": "U1", "stratum": "A"}] * 2}, "'U1' comes twice"),
        ({"units": [{"code": "U1", "stratum": "X"}]}, "there is no stratum 'X'"),
        ({"units": [{"code": "U\n1", "stratum": "A"}]}, "printable"),
        ({"excluded": [{"code": "U9999", "reason": "r"}]}, "is not on the list"),
        ({"excluded": [{"code": "U0001", "reason": ""}]}, "reason: wanted a text"),
        ({"strata": [{"name": "A", "numerator": 0.5, "denominator": 1, "minimum": 0}]}, "integer"),
        (
            {"strata": [{"name": "A", "numerator": 3, "denominator": 2, "minimum": 0}]},
            "more than 1",
        ),
        ({"team": 13}, "do not fit"),
        ({"load": 0}, "do not fit"),
        ({"frozen": "2026-12-01T09:00:00Z"}, "known before the list is frozen"),
        ({"frozen": "2026-12-01"}, "wanted a time like"),
        ({"sources": []}, "names no source"),
        ({"sources": [{"kind": "dice"}]}, "wanted a source of kind"),
        ({"sources": [{"kind": []}]}, "wanted a source of kind"),
        ({"units": [{"code": "U1", "stratum": []}]}, "wanted a text"),
        ({"recusals": [{"inspector": [], "unit": "U1", "reason": "r"}]}, "wanted a text"),
        ({"sources": sources()[:1]}, "wants a public source after the reveals"),
        ({"replaces": {"draw": NAME, "plan_sha256": "0" * 64, "reason": "r"}}, "replace itself"),
        ({"replaces": {"draw": "old", "plan_sha256": "0" * 64, "reason": ""}}, "reason"),
    ],
)
def test_bad_plans(change: dict, reason: str) -> None:
    with pytest.raises(DrawError, match=reason):
        plan(**change)


def test_two_parties_are_too_few_and_void_needs_no_later_source() -> None:
    only = copy.deepcopy(sources()[:1])
    only[0]["missing"] = "void"
    assert draw.run(plan(sources=only), VALUES[:1])["selected"]
    with pytest.raises(DrawError, match="is void"):
        draw.run(plan(sources=only), [{}])
    only[0]["parties"].pop()
    with pytest.raises(DrawError, match="at least 3 parties"):
        plan(sources=only)


def test_a_redraw_names_what_it_replaces() -> None:
    old = plan()
    new = draw.freeze(
        "2026-12-key-2",
        **{k: v for k, v in old.items() if k not in ("draw", "format", "replaces", "sources")},
        sources=sources()[1:],
        replaces={"draw": NAME, "plan_sha256": draw.plan_hash(old), "reason": "名单有误"},
    )
    result = draw.run(new, VALUES[1:])
    assert result["tickets"]["U0001"] != draw.run(old, VALUES)["tickets"]["U0001"]
    assert draw.verify(result)["plan"]["replaces"]["reason"] == "名单有误"


def leaves(value: object, path: tuple = ()) -> list[tuple]:
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in leaves(v, (*path, k))]
    if isinstance(value, list):
        return [p for i, v in enumerate(value) for p in leaves(v, (*path, i))]
    return [path]


def changed(value: object) -> object:
    if isinstance(value, str):
        return value[:-1] + ("1" if value[-1:] != "1" else "2")
    return not value if isinstance(value, bool) else (value or 0) + 1


def test_every_changed_value_is_found() -> None:
    """Each single text and number of a published result, one after the other."""
    result = draw.run(plan(8), VALUES)
    paths = leaves(result)
    assert len(paths) > 80
    for path in paths:
        bad = copy.deepcopy(result)
        place = bad
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = changed(place[path[-1]])
        with pytest.raises(DrawError):
            draw.verify(bad)


def run_alone(tmp_path: Path, data: bytes, *more: str) -> tuple[int, str]:
    """The verifier file alone, in another folder, without the package."""
    script = tmp_path / "draw.py"
    script.write_bytes(Path(draw.__file__).read_bytes())
    (tmp_path / "result.json").write_bytes(data)
    done = subprocess.run(
        [sys.executable, "-I", script, tmp_path / "result.json", *more],
        capture_output=True,
        text=True,
        check=False,
        encoding="utf-8",
        env={"PYTHONIOENCODING": "utf-8"},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_the_file_alone_verifies(tmp_path: Path) -> None:
    result = draw.run(plan(), VALUES)
    data = json.dumps(result, ensure_ascii=False).encode()
    code, text = run_alone(tmp_path, data)
    assert code == 0
    assert f"plan 方案 SHA-256 {result['plan_sha256']}" in text
    assert text.count("selected 抽中 ") == len(result["selected"]) == 10
    # Whether the round is drand's own, this file cannot say; it says so.
    assert f"UNCHECKED 未检查: round 第 {VALUES[-1]['round']} 轮" in text
    winner = result["selected"][0]["code"]
    code, text = run_alone(tmp_path, data, winner)
    assert code == 0
    assert "rank 名次 1 of" in text
    assert text.endswith("selected 抽中\n")
    assert "not on the list, or excluded" in run_alone(tmp_path, data, "U0003")[1]
    forged = copy.deepcopy(result)
    forged["selected"][0]["code"] = "U0001"
    code, text = run_alone(tmp_path, json.dumps(forged).encode())
    assert (code, text) == (
        1,
        "NOT RIGHT 不符: selected is not what the plan and the values give\n",
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "the result: wanted an object"),
        (b'{"a": 1.0}', "only integers are allowed"),
        (b'{"a": 1e5}', "only integers are allowed"),
        (b'{"a": NaN}', "only integers are allowed"),
        (b'{"a": 1, "a": 2}', "one key twice"),
        (b'{"a": %s}' % (b"9" * 5_000), "beyond 2"),
    ],
)
def test_bad_files(tmp_path: Path, data: bytes, reason: str) -> None:
    code, text = run_alone(tmp_path, data)
    assert code == 1
    assert text.count("\n") == 1
    assert reason in text


def test_no_such_file() -> None:
    assert draw.main(["/nowhere/x.json"]) == 2
    assert draw.main([]) == 2


def test_a_huge_file_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "MAX_FILE", 10)
    with pytest.raises(DrawError, match="longer than"):
        draw.load(b"[" + b" " * 10 + b"]")
