"""Effluent violations of US discharge reports: official verdicts, one case a rule, bad files."""

from __future__ import annotations

import csv
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from jingwei.standards import commands, dmr, files
from jingwei.standards.dmr import Reason

DATA = Path(__file__).resolve().parents[1] / "data" / "standards" / "dmr_TX0119407.csv"

app = typer.Typer()
commands.attach(app)
runner = CliRunner()


def row(value="", limit="10", sign="<=", reported="=", **more):
    """A row; the same unit on both sides unless told otherwise."""
    return {
        "limit_value_nmbr": limit,
        "limit_value_qualifier_code": sign,
        "dmr_value_nmbr": value,
        "dmr_value_qualifier_code": reported,
        **more,
    }


def verdict(*args, **more):
    judged = dmr.judge(row(*args, **more))
    return judged.reason, judged.percentage


# The official file ------------------------------------------------------------------------------


def test_every_official_verdict_and_percentage(tmp_path):
    out = tmp_path / "out.csv"
    result = runner.invoke(app, ["dmr", str(DATA), "--out", str(out)])
    assert result.exit_code == 0, result.output
    with out.open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert [r["jw_violation"] for r in rows] == [r["violation_code"] for r in rows]
    assert [r["jw_exceedance_pct"] for r in rows] == [r["exceedence_pct"] for r in rows]
    assert Counter(r["jw_violation"] for r in rows) == {"": 712, "E90": 8}
    assert "720 of 720 agree" in result.output
    assert "40 without a result: no limit, monitoring only" in result.output


def test_the_rows_stay_as_they_were_written(tmp_path):
    out = tmp_path / "out.csv"
    files.judge_dmr(DATA, out)
    given, made = DATA.read_bytes().splitlines(True), out.read_bytes().splitlines(True)
    assert len(given) == len(made)
    assert all(m.startswith(g.rstrip(b"\n") + b",") for g, m in zip(given, made, strict=True))


def test_the_whole_official_files(shared, tmp_path):
    found = sorted((shared / "data" / "npdes_dmr").glob("*.csv"))
    outcomes = [files.judge_dmr(f, tmp_path / f.name) for f in found]
    assert sum(o.rows for o in outcomes) == 800
    assert [o.agree for o in outcomes] == [o.rows for o in outcomes]


# One case a rule --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "limit", "wanted"),
    [
        # the official ones, and two that a public report quotes (TSS 17 of 15, 10.2 of 10)
        ("3.12", "3", 4),
        ("16.2", "10", 62),
        ("10.75", "10", 8),  # 7.5
        ("12.75", "10", 28),  # 27.5
        ("17", "15", 13),
        ("10.2", "10", 2),
        # ties are decimal: 1.005 of 1 is 0.5 %, although 1.005 - 1 is less in binary
        ("1.005", "1", 1),
        (".135", ".131", 3),
        ("10.04", "10", 0),
        ("5", "0", 99999),
        ("5e12", "0.001", 2147483650),
    ],
)
def test_percentages(value, limit, wanted):
    assert verdict(value, limit) == (Reason.EXCEEDED, wanted)


@pytest.mark.parametrize(
    ("sign", "value", "exceeded"),
    [
        ("<=", "10", False),
        ("<=", "10.0001", True),
        ("<", "10", True),
        ("<", "9.99", False),
        (">=", "10", False),
        (">=", "9.99", True),
        (">", "10", True),
        (">", "10.01", False),
        ("=", "10.00", False),
        ("=", "9", True),
    ],
)
def test_the_limits_qualifier_names_the_good_side(sign, value, exceeded):
    assert verdict(value, "10", sign)[0] is (Reason.EXCEEDED if exceeded else Reason.WITHIN)


@pytest.mark.parametrize(
    ("base", "value", "wanted"),
    [
        ("MIN", "5.8", (Reason.EXCEEDED, 3)),  # pH 5.8 against at least 6
        ("MIN", "6", (Reason.WITHIN, None)),
        ("MAX", "6.3", (Reason.EXCEEDED, 5)),
        ("AVG", "6", (Reason.WITHIN, None)),
        ("", "100", (Reason.NO_DIRECTION, None)),
    ],
)
def test_without_qualifier_the_statistical_base_decides(base, value, wanted):
    assert verdict(value, "6", "", statistical_base_type_code=base) == wanted


@pytest.mark.parametrize(
    ("sign", "reported", "value", "wanted"),
    [
        # at most 10
        ("<=", "<", "12", Reason.UNPROVEN),
        ("<=", "<=", "12", Reason.UNPROVEN),
        ("<=", "<", "10", Reason.WITHIN),
        ("<=", ">", "12", Reason.EXCEEDED),
        ("<=", ">", "10", Reason.EXCEEDED),
        ("<=", ">=", "10", Reason.UNPROVEN),
        ("<=", ">", "8", Reason.UNPROVEN),
        ("<=", "E", "12", Reason.EXCEEDED),
        ("<=", "T", "12", Reason.EXCEEDED),
        ("<=", "T", "", Reason.EXCEEDED),
        # less than 10
        ("<", "<", "10", Reason.WITHIN),
        ("<", "<=", "10", Reason.UNPROVEN),
        ("<", ">=", "10", Reason.EXCEEDED),
        # at least 10
        (">=", "<", "10", Reason.EXCEEDED),
        (">=", "<=", "10", Reason.UNPROVEN),
        (">=", "<", "12", Reason.UNPROVEN),
        (">=", ">", "8", Reason.UNPROVEN),
        (">=", ">", "10", Reason.WITHIN),
        (">=", "T", "", Reason.NO_VALUE),
        # more than 10
        (">", "<=", "10", Reason.EXCEEDED),
        (">", ">", "10", Reason.WITHIN),
        ("=", "<", "9", Reason.UNPROVEN),
    ],
)
def test_a_reported_qualifier_bounds_the_true_value(sign, reported, value, wanted):
    assert verdict(value, "10", sign, reported)[0] is wanted


@given(
    st.sampled_from(["<=", "<", ">=", ">"]),
    st.sampled_from(["=", "<", "<=", ">", ">="]),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_a_bounded_value_is_judged_by_what_all_its_possible_values_have_in_common(
    sign, reported, value, limit
):
    """Against a grid of halves that stands for the true values a qualifier allows."""
    import operator

    ops = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt}
    ops[">="] = operator.ge
    possible = [t for t in (x / 2 for x in range(-80, 121)) if ops[reported](t, value)]
    good = {ops[sign](t, limit) for t in possible}
    wanted = {
        frozenset({True}): Reason.WITHIN,
        frozenset({False}): Reason.EXCEEDED,
        frozenset({True, False}): Reason.UNPROVEN,
    }[frozenset(good)]
    # On the grid of halves < and > are open; the mirror images of each other agree too.
    assert verdict(str(value), str(limit), sign, reported)[0] is wanted


@pytest.mark.parametrize(
    ("more", "wanted"),
    [
        ({"limit_value_nmbr": ""}, Reason.NO_LIMIT),
        ({"dmr_value_nmbr": ""}, Reason.NO_VALUE),
        ({"nodi_code": "C"}, Reason.NO_DATA),
        ({"nodi_code": "9", "dmr_value_nmbr": ""}, Reason.NO_DATA),
        ({"limit_type_code": "ENF"}, Reason.EXCEEDED),
        ({"limit_type_code": "ALR"}, Reason.NOT_ENFORCEABLE),
        ({"stay_type_code": "X"}, Reason.STAYED),
        ({"stay_type_code": "Y", "stay_value_nmbr": "20"}, Reason.WITHIN),
        ({"stay_type_code": "Y", "stay_value_nmbr": "11"}, Reason.EXCEEDED),
        ({"dmr_unit_code": "19", "limit_unit_code": "28"}, Reason.UNITS),
        ({"dmr_value_nmbr": "12 mg"}, Reason.UNREADABLE),
        ({"dmr_value_nmbr": "NaN"}, Reason.UNREADABLE),
        ({"dmr_value_nmbr": "1_2"}, Reason.UNREADABLE),
        ({"dmr_value_qualifier_code": "?"}, Reason.UNREADABLE),
        ({"limit_value_qualifier_code": "~"}, Reason.UNREADABLE),
    ],
)
def test_reasons(more, wanted):
    assert dmr.judge(row("12") | more).reason is wanted


def test_standard_units_where_the_units_differ():
    # 12 lb/d against 5 kg/d: 5.448 kg/d, 9 % over
    more = {
        "dmr_unit_code": "26",
        "limit_unit_code": "01",
        "dmr_value_standard_units": "5.448",
        "limit_value_standard_units": "5",
    }
    assert verdict("12", "5", **more) == (Reason.EXCEEDED, 9)


def test_degrees_are_compared_in_standard_units():
    # 95 °F against 90 °F: 35 and 32.222… °C; the units are not proportional
    more = {
        "dmr_unit_code": "15",
        "limit_unit_code": "15",
        "dmr_value_standard_units": "35",
        "limit_value_standard_units": "32.2222222",
    }
    assert verdict("95", "90", **more) == (Reason.EXCEEDED, 9)


def test_the_noise_of_a_conversion_makes_no_violation():
    # exactly the limit of 8.5228 lb/d, one of the two conversions rounded
    more = {
        "dmr_unit_code": "26",
        "limit_unit_code": "26",
        "dmr_value_standard_units": "3.86935121",
        "limit_value_standard_units": "3.8693512",
    }
    assert verdict("8.5228", "8.5228", **more) == (Reason.WITHIN, None)


@given(st.decimals(0, 10**6, places=3), st.decimals(1, 10**6, places=3), st.integers(1, 10**6))
def test_the_percentage_knows_no_unit_and_is_exact(value, limit, scale):
    from fractions import Fraction

    exact = abs(Fraction(value) - Fraction(limit)) / Fraction(limit) * 100
    assert dmr.percentage(value, limit) == int(exact + Fraction(1, 2))
    assert dmr.percentage(value * scale, limit * Decimal(scale)) == dmr.percentage(value, limit)


# Files ------------------------------------------------------------------------------------------

HEAD = ",".join(dmr.REQUIRED).upper()


def test_quotes_line_ends_and_upper_case_names_are_kept(tmp_path):
    given, out = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_bytes(f'NOTE,{HEAD}\r\n"a ""b"", \r\nc",10,<=,,19,MAX,"11","=",,19,""\r\n'.encode())
    files.judge_dmr(given, out)
    assert (
        out.read_bytes()
        == (
            f"NOTE,{HEAD},jw_violation,jw_exceedance_pct\r\n"
            '"a ""b"", \r\nc",10,<=,,19,MAX,"11","=",,19,"",E90,10\r\n'
        ).encode()
    )


def test_a_second_run_replaces_the_columns(tmp_path):
    once, twice = tmp_path / "once.csv", tmp_path / "twice.csv"
    files.judge_dmr(DATA, once)
    files.judge_dmr(once, twice)
    assert once.read_text() == twice.read_text()


def test_a_missing_column_is_one_clear_message(tmp_path):
    given = tmp_path / "in.csv"
    given.write_text("limit_value_nmbr,nodi_code\n1,\n")
    result = runner.invoke(app, ["dmr", str(given), "--out", str(tmp_path / "out.csv")])
    assert result.exit_code == 2
    assert "lacks the column limit_value_qualifier_code" in result.output
    assert not (tmp_path / "out.csv").exists()
