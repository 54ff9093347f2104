"""PMF, CMB and the names of factors."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import typer
from scipy.optimize import nnls
from typer.testing import CliRunner

from jingwei.analysis.air import commands
from jingwei.analysis.air.apportion import cmb, files, kernels, pmf, profiles

SPECIES = ("Fe", "Zn", "Pb", "SO4", "NO3", "EC", "Si", "Ca")
TRUE = np.array(
    [
        [5.0, 1.0, 0.2, 0.0, 0.0, 0.5, 8.0, 4.0],
        [0.1, 0.0, 0.0, 9.0, 1.0, 0.2, 0.0, 0.0],
        [0.5, 2.0, 1.0, 0.3, 0.2, 6.0, 0.1, 0.1],
    ]
)


@pytest.fixture(scope="module")
def samples() -> pmf.Samples:
    random = np.random.default_rng(4)
    # Often absent, so that the factors are unique.
    g = random.gamma(1.0, 1.0, (150, 3)) * (random.random((150, 3)) < 0.6)
    exact = g @ TRUE
    errors = 0.05 * exact + 0.05
    return pmf.Samples(
        np.maximum(exact + errors * random.standard_normal(exact.shape), 0.0), errors, SPECIES
    )


def matched(found: pmf.Solution) -> list[int]:
    share = found.profiles / found.profiles.sum(axis=1, keepdims=True)
    true = TRUE / TRUE.sum(axis=1, keepdims=True)
    return [int(np.abs(share - t).sum(axis=1).argmin()) for t in true]


def test_known_factors_come_back(samples: pmf.Samples) -> None:
    found = pmf.factorise(samples, 3, starts=8)
    order = matched(found)
    assert sorted(order) == [0, 1, 2]
    share = found.profiles[order] / found.profiles[order].sum(axis=1, keepdims=True)
    assert share == pytest.approx(TRUE / TRUE.sum(axis=1, keepdims=True), abs=0.06)
    # Q of a true model is about its degrees of freedom.
    assert found.goal == 150 * 8 - 3 * 158
    assert 0.7 * found.goal < found.q < 1.3 * found.goal
    assert found.contributions.mean(axis=0) == pytest.approx(1.0)
    assert found.shares().sum(axis=0) == pytest.approx(1.0)
    r = pmf.residuals(samples, found.contributions, found.profiles)
    assert found.q == pytest.approx(float((r**2).sum()), rel=1e-9)


def test_a_row_alone_is_non_negative_least_squares(samples: pmf.Samples) -> None:
    """With the profiles held, contributions are those of scipy's exact solver."""
    x, w = samples.filled[:20], np.ascontiguousarray(samples.weights[:20])
    g, f = np.ones((20, 3)), np.ascontiguousarray(TRUE)
    kernels.descend(np.ascontiguousarray(x), w, g, f, f.copy(), f.copy(), 500, 0.0, 0.0)
    for i in range(20):
        root = np.sqrt(w[i])
        exact, _ = nnls((TRUE * root).T, x[i] * root)
        assert g[i] == pytest.approx(exact, abs=1e-6)


def test_q_never_rises(samples: pmf.Samples) -> None:
    random = np.random.default_rng(2)
    x, w = samples.filled, np.ascontiguousarray(samples.weights)
    g, f = random.random((150, 3)), random.random((3, 8))
    none, all_ = np.zeros((3, 8)), np.full((3, 8), np.inf)
    seen = [kernels.descend(x, w, g, f, none, all_, 1, 0.0, 0.0)[0] for _ in range(40)]
    assert (np.diff(seen) <= 1e-9 * seen[0]).all()


def test_missing_values_have_no_weight(samples: pmf.Samples) -> None:
    """What stands where nothing was measured changes nothing, and the factors come back from the rest."""
    holes = samples.values.copy()
    holes[::7, 2] = np.nan
    part = pmf.Samples(holes, samples.errors, SPECIES)
    found = pmf.factorise(part, 3, starts=8)
    assert (part.weights[::7, 2] == 0).all()
    assert found.goal == 150 * 8 - len(holes[::7]) - 3 * 158
    assert 0.7 * found.goal < found.q < 1.3 * found.goal
    whole = pmf.factorise(samples, 3, starts=8)
    assert found.profiles == pytest.approx(whole.profiles, abs=0.15)
    forged = samples.errors.copy()
    forged[::7, 2] = 1e-3
    again = pmf.factorise(pmf.Samples(holes, forged, SPECIES), 3, starts=8)
    assert again.q == found.q


def test_robust_shrugs_off_outliers(samples: pmf.Samples) -> None:
    wild = samples.values.copy()
    wild[5, 0] += 20
    wild[60, 3] += 20
    bad = pmf.Samples(wild, samples.errors, SPECIES)
    clean, plain, robust = (
        pmf.factorise(s, 3, starts=8, robust=r)
        for s, r in ((samples, False), (bad, False), (bad, True))
    )
    assert robust.robust < plain.robust
    assert robust.q > plain.q
    off = [np.abs(s.profiles - clean.profiles).max() for s in (plain, robust)]
    assert off[1] < 0.5 * off[0]


def test_constraints_hold(samples: pmf.Samples) -> None:
    free = pmf.factorise(samples, 3, starts=8)
    high = np.full((3, 8), np.inf)
    high[0, 3] = high[0, 4] = 0.0
    high[2, 0] = 0.0
    bound = pmf.factorise(samples, 3, starts=20, high=high)
    zero = [int((row == 0).sum()) for row in bound.profiles]
    assert max(zero) >= 2
    assert bound.q >= free.q - 1e-6
    with pytest.raises(ValueError, match="low <= high"):
        pmf.factorise(samples, 3, low=high, high=np.zeros((3, 8)))


def test_bootstrap_maps_and_holds_the_truth(samples: pmf.Samples) -> None:
    base = pmf.factorise(samples, 3, starts=8)
    found = pmf.bootstrap(samples, base, runs=20)
    assert np.diag(found.mapped[:, :3]).min() >= 18
    assert found.mapped.sum() == 60
    assert (found.low <= found.high).all()
    order = matched(base)
    scale = base.profiles[order].sum(axis=1) / TRUE.sum(axis=1)
    big = TRUE > 0.5
    truth = (TRUE * scale[:, None])[big]
    low, high = found.low[order][big], found.high[order][big]
    assert np.mean((low * 0.95 <= truth) & (truth <= high * 1.05)) > 0.8


def test_displacement_is_where_q_has_risen(samples: pmf.Samples) -> None:
    base = pmf.factorise(samples, 3, starts=8, tolerance=1e-8)
    a, j = (int(i) for i in np.unravel_index(base.profiles.argmax(), base.profiles.shape))
    found = pmf.displace(samples, base, elements=[(a, j)], rise=4.0)
    wide = pmf.displace(samples, base, elements=[(a, j)], rise=25.0)
    value = base.profiles[a, j]
    assert found.low[a, j] < value < found.high[a, j]
    assert wide.low[a, j] < found.low[a, j]
    assert wide.high[a, j] > found.high[a, j]
    assert found.swaps == 0
    # Elements not asked for keep their value.
    other = (a + 1) % 3
    assert found.low[other, j] == pytest.approx(base.profiles[other, j], rel=1e-3)


def test_displacement_in_resamples_is_wider_than_either(samples: pmf.Samples) -> None:
    base = pmf.factorise(samples, 3, starts=8, tolerance=1e-8)
    places = [(a, int(row.argmax())) for a, row in enumerate(base.profiles)]
    at = tuple(zip(*places, strict=True))
    rounds: list[int] = []
    both = pmf.bootstrap_displace(samples, base, places, runs=8, tell=rounds.append)
    assert rounds == list(range(8))
    assert (both.low <= base.profiles[at]).all()
    assert (both.high >= base.profiles[at]).all()
    alone = pmf.displace(samples, base, elements=places)
    width, plain = both.high - both.low, alone.high[at] - alone.low[at]
    assert (width > plain).all()
    assert (both.counted >= 6).all()
    assert (both.counted <= 8).all()
    # A species that few samples have is in none of many resamples: those are not counted.
    rare = samples.values.copy()
    rare[:, -1] = 0.0
    rare[0, -1] = 5.0
    some = pmf.Samples(rare, samples.errors, SPECIES)
    found = pmf.bootstrap_displace(some, pmf.factorise(some, 3, starts=8), places, runs=8)
    assert found.counted.max() < 8
    nothing = pmf.displace(samples, base, elements=[])
    np.testing.assert_allclose(nothing.low, base.profiles, rtol=1e-3, atol=1e-6)


def test_displacement_does_not_mind_the_unit(samples: pmf.Samples) -> None:
    """ng instead of mg: the same intervals, a million times the numbers."""
    relative = []
    for unit in (1.0, 1e6):
        same = pmf.Samples(samples.values * unit, samples.errors * unit, SPECIES)
        base = pmf.factorise(same, 3, starts=4, tolerance=1e-8)
        at = (np.arange(3), base.profiles.argmax(axis=1))  # the most of each factor
        found = pmf.displace(
            same, base, elements=[(int(a), int(j)) for a, j in zip(*at, strict=True)]
        )
        assert (found.low[at] < base.profiles[at]).all()
        assert (found.high[at] > base.profiles[at]).all()
        relative.append([found.low[at] / unit, found.high[at] / unit])
    assert relative[1] == pytest.approx(np.array(relative[0]), rel=1e-3)


def test_displacement_goes_as_far_up_as_q_allows(samples: pmf.Samples) -> None:
    base = pmf.factorise(samples, 3, starts=8, tolerance=1e-8)
    # A trace of one species, hardly measured: only many times its mean raises Q.
    vague = samples.errors.copy()
    vague[:, 1] *= 300
    dim = pmf.Samples(samples.values, vague, SPECIES)
    top = pmf.displace(dim, base, elements=[(0, 1)])
    assert max(2 * base.profiles[0, 1], samples.values[:, 1].mean()) < top.high[0, 1] < np.inf
    vague[:, 1] *= 1e9
    none = pmf.Samples(samples.values, vague, SPECIES)
    found = pmf.displace(none, base, elements=[(0, 1)])
    assert (found.low[0, 1], found.high[0, 1]) == (0.0, np.inf)


@pytest.mark.parametrize(
    ("values", "errors", "words"),
    [
        (np.ones((4, 2)), np.ones((4, 3)), "do not fit together"),
        (np.ones((4, 2)), np.array([[1, 1], [1, 0], [1, 1], [1, 1]]), "b in row 2 is 0"),
        (np.array([[1.0, 0.0]] * 4), np.ones((4, 2)), "b has no value above 0"),
    ],
)
def test_bad_samples_are_named(values: np.ndarray, errors: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        pmf.Samples(values.astype(float), errors.astype(float), ("a", "b"))


def test_too_many_factors(samples: pmf.Samples) -> None:
    with pytest.raises(ValueError, match="8 factors of 150 samples and 8 species"):
        pmf.factorise(samples, 8)


# CMB ------------------------------------------------------------------------------------------

FRACTIONS = TRUE / TRUE.sum(axis=1, keepdims=True)


def test_balance_returns_exact_amounts() -> None:
    amount = np.array([10.0, 4.0, 7.0])
    c = amount @ FRACTIONS
    found = cmb.balance(c, 0.05 * c + 0.01, FRACTIONS, 0.1 * FRACTIONS, mass=25.0)
    assert found.contributions == pytest.approx(amount, rel=1e-6)
    assert found.chi2 == pytest.approx(0, abs=1e-9)
    assert found.r2 == pytest.approx(1)
    assert found.mass == pytest.approx(84.0)
    assert (found.t > 2).all()
    assert found.alike == ()


def test_balance_without_profile_errors_is_weighted_least_squares() -> None:
    random = np.random.default_rng(3)
    c = np.array([10.0, 4.0, 7.0]) @ FRACTIONS + 0.05 * random.standard_normal(8)
    s = np.full(8, 0.05)
    found = cmb.balance(c, s, FRACTIONS, np.zeros((3, 8)))
    exact = np.linalg.lstsq(FRACTIONS.T / 0.05, c / 0.05, rcond=None)[0]
    assert found.contributions == pytest.approx(exact)
    cov = np.linalg.inv(FRACTIONS @ FRACTIONS.T / 0.05**2)
    assert found.errors == pytest.approx(np.sqrt(np.diag(cov)))
    fit = exact @ FRACTIONS
    assert found.chi2 == pytest.approx(float(np.sum((c - fit) ** 2)) / 0.05**2 / 5)


def test_effective_variance_makes_uncertain_profiles_count_less() -> None:
    c = np.array([10.0, 4.0, 7.0]) @ FRACTIONS
    c[6] *= 2  # silicon does not fit
    sure = cmb.balance(c, 0.02 * c + 0.01, FRACTIONS, np.zeros((3, 8)))
    loose = np.zeros((3, 8))
    loose[:, 6] = 0.5
    unsure = cmb.balance(c, 0.02 * c + 0.01, FRACTIONS, loose)
    assert abs(unsure.contributions[0] - 10) < abs(sure.contributions[0] - 10)
    assert unsure.chi2 < sure.chi2


def test_balance_says_what_it_cannot_do() -> None:
    twins = np.vstack([FRACTIONS, 1.01 * FRACTIONS[0] + 0.001])
    c = np.array([5.0, 4.0, 7.0, 5.0]) @ twins
    found = cmb.balance(c, 0.05 * c + 0.01, twins, 0.1 * twins)
    assert (0, 3) in found.alike
    absent = cmb.balance(
        np.maximum(5 * FRACTIONS[0] - 0.5 * FRACTIONS[2], 0.001), np.full(8, 0.01), FRACTIONS,
        0 * FRACTIONS,
    )  # fmt: skip
    assert 2 in absent.dropped
    assert absent.contributions[2] == 0
    with pytest.raises(ValueError, match="2 species for 3 sources"):
        cmb.balance(np.r_[1.0, 1.0, [np.nan] * 6], np.ones(8), FRACTIONS, 0 * FRACTIONS)
    with pytest.raises(ValueError, match="not above 0"):
        cmb.balance(np.ones(8), np.zeros(8), FRACTIONS, 0 * FRACTIONS)


# Names ----------------------------------------------------------------------------------------


def test_a_published_profile_names_itself() -> None:
    library = profiles.read(profiles.BUNDLED)
    at = library.sources.index("Brake Wear")
    species = [
        s for s in library.species if np.isfinite(library.values[at, library.species.index(s)])
    ]
    values = library.values[at, [library.species.index(s) for s in species]]
    (found,) = profiles.name(7 * values[None, :], species, library)
    assert found.source == "Brake Wear"
    assert found.similarity == pytest.approx(1.0)
    assert found.doubt == ""
    assert found.others


def test_names_doubt_themselves(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text(
        "code,source,species,value\n"
        + "".join(
            f"{c},{s},{n},{v}\n"
            for c, s, row in (("1", "kiln", (1, 2, 3, 4, 5)), ("2", "oven", (1, 2, 3, 4, 5.2)))
            for n, v in zip("abcde", np.array(row) / 20, strict=True)
        )
    )
    library = profiles.read(path)
    same, alone, strange = profiles.name(
        np.array([[1, 2, 3, 4, 5.0], [0, 0, 0, 0.1, 9.0], [9, 0.0, 0.0, 0, 1.0]]),
        list("abcde"),
        library,
    )
    assert "is as like" in same.doubt
    assert "e alone makes 99 %" in alone.doubt
    assert "a alone makes 90 %" in strange.doubt
    with pytest.raises(ValueError, match="only 2 of these"):
        profiles.name(np.ones((1, 2)), ["a", "b"], library)


def test_keys_of_species() -> None:
    assert profiles.key("SO4 2-") == profiles.key("so4=") == profiles.key("SO4")
    assert profiles.key("M_P Xylene") == profiles.key("m,p-xylene")
    assert profiles.key("124-Trimethylbenzene") == profiles.key("1,2,4-trimethylbenzene")


# The command ----------------------------------------------------------------------------------


def write(path: Path, head: tuple[str, ...], values: np.ndarray) -> Path:
    with path.open("w", newline="") as f:
        writer = csv.writer(f)
        writer.writerow(["Date", *head])
        writer.writerows(
            [f"2024-01-{i % 28 + 1:02d}", *row] for i, row in enumerate(values.tolist())
        )
    return path


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    commands.attach(app)
    return app


def test_command(app: typer.Typer, tmp_path: Path, samples: pmf.Samples) -> None:
    con = write(tmp_path / "con.csv", SPECIES, samples.values)
    unc = write(tmp_path / "unc.csv", SPECIES, samples.errors)
    found = CliRunner().invoke(
        app,
        ["validate", "pmf", "--con", str(con), "--unc", str(unc), "--factors", "2,3", "--names",
         "--bootstrap", "5", "--starts", "6", "--report", str(tmp_path / "a.md")],
    )  # fmt: skip
    assert found.exit_code == 0, found.stderr
    told = json.loads(found.stdout.strip().splitlines()[-1])
    assert (told["samples"], told["species"]) == (150, 8)
    two, three = told["solutions"]
    assert three["q"] < two["q"]
    assert len(three["names"]) == len(three["bootstrap_mapped"]) == 3
    direct = pmf.factorise(files.read(con, unc), 3, starts=6)
    assert three["q"] == pytest.approx(direct.q, abs=0.06)
    assert "<!-- pmf-con -->" in (tmp_path / "a.md").read_text()


@pytest.mark.parametrize(
    ("con", "unc", "words"),
    [
        ("Date,a,b\n1,2\n", "Date,a,b\n1,2,3\n", "2 cells, the head has 3"),
        ("Date,a,b\n1,2,x\n", "Date,a,b\n1,2,3\n", "b is 'x', not a number"),
        ("Date,a,b\n1,2,3\n", "Date,a,c\n1,2,3\n", "column 'c' where"),
        ("Date,a,b\n1,2,3\n", "Date,a,b\n1,2,3\n2,3,4\n", "2 rows"),
        ("Date,a,b\n1,2,3\n", "Date,a,b\n1,2,-3\n", "b in row 1 is -3.0"),
        ("", "", "wanted a head"),
    ],
)
def test_bad_files_are_named(
    app: typer.Typer, tmp_path: Path, con: str, unc: str, words: str
) -> None:
    (tmp_path / "con.csv").write_text(con)
    (tmp_path / "unc.csv").write_text(unc)
    found = CliRunner().invoke(
        app,
        ["validate", "pmf", "--con", str(tmp_path / "con.csv"), "--unc", str(tmp_path / "unc.csv")],
    )
    assert found.exit_code == 2
    assert words in found.stderr
