"""A run as a product: books against an analytic decay, contributions against the whole, the file."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from jingwei.analysis.air import disperse, loss, puffs
from jingwei.analysis.air.field.city import region
from jingwei.analysis.air.puffs import Grid, Sources, Winds, effective_heights
from jingwei.analysis.air.weather import Plane

START = datetime(2026, 11, 20, 4, tzinfo=UTC)


def steady(speed: float, hours: int = 4) -> Winds:
    one = np.ones((hours + 1, 2, 2))
    return Winds(
        x0=-1e5, y0=-1e5, size=2e5, u=speed * one, v=0 * one, ustar=0.3 * one,
        obukhov=-50.0 * one, zi=800.0 * one,
    )  # fmt: skip


def one(height: float = 40.0) -> Sources:
    return Sources(x=np.zeros(1), y=np.zeros(1), height=np.full(1, height), rate=np.ones(1))


WIDE = Grid(-50e3, -50e3, 2000.0, 80, 50)


def test_mass_decays_by_the_hour() -> None:
    """Rates that change from hour to hour: what is airborne is the sum of what each half-hour's puff kept,
    exp(-∫ loss dt) of it."""
    rates = np.array([1e-4, 0.0, 5e-5, 2e-4])
    found = puffs.forward(one(), replace(steady(2.0), loss=rates), WIDE, threads=1)
    left = 0.0
    for puff in range(8):
        born = (puff + 0.5) / 2
        spent = sum(
            rate * max(min(h + 1, 4) - max(h, born), 0) for h, rate in enumerate(rates.tolist())
        )
        left += 1800 * np.exp(-3600 * spent)
    b = found.balance
    assert b.emitted == pytest.approx(4 * 3600, rel=1e-6)
    assert b.airborne == pytest.approx(left, rel=1e-5)
    assert b.airborne + b.lost == pytest.approx(b.emitted, rel=1e-6)
    flat = puffs.forward(one(), replace(steady(2.0), loss=rates[:1].repeat(4)), WIDE, threads=1)
    same = puffs.forward(one(), replace(steady(2.0), loss=1e-4), WIDE, threads=1)
    assert (flat.mesh == same.mesh).all()


def test_deposition_takes_what_lies_on_the_ground() -> None:
    """A puff that fills the layer loses v_d/zi of itself a second, and what the first harmonic, which is
    left at the widest sigma-z 1.2 zi, brings to the ground besides."""
    low = steady(2.0)
    low = replace(low, zi=np.full_like(low.zi, 100.0), deposition=np.array([0.0, 0.0, 0.0, 0.01]))
    none = replace(low, deposition=0.0)
    early = replace(one(10.0), rate=np.array([[1.0], [0.0], [0.0], [0.0]]))
    b = puffs.forward(early, low, WIDE, threads=1).balance
    assert puffs.forward(early, none, WIDE, threads=1).balance.lost == 0
    share = (1 + 2 * np.cos(0.1 * np.pi) * np.exp(-((1.2 * np.pi) ** 2) / 2)) / 100
    assert b.airborne / b.emitted == pytest.approx(np.exp(-0.01 * 3600 * share), rel=1e-4)


def test_rates_are_looked_at() -> None:
    with pytest.raises(ValueError, match=r"loss has shape \(3,\), wanted \(4,\)"):
        replace(steady(2.0), loss=np.zeros(3))
    with pytest.raises(ValueError, match="deposition is missing or negative"):
        replace(steady(2.0), deposition=np.full(4, np.nan))
    with pytest.raises(ValueError, match="sigma_v has shape"):
        replace(steady(2.0), sigma_v=np.zeros((5, 1, 1)))


def test_measured_turbulence_widens_the_plume() -> None:
    """Twice the similarity's sigma_v, in the hours in which it is known: lower and wider there."""
    calm = steady(3.0)
    sv = 2 * calm.turbulence[..., 4]
    sv[3:] = np.nan
    wide = replace(calm, sigma_v=sv)
    assert wide.turbulence[0, 0, 0, 4] == pytest.approx(2 * calm.turbulence[0, 0, 0, 4])
    assert wide.turbulence[3, 0, 0, 4] == calm.turbulence[3, 0, 0, 4]
    grid = Grid(0, -10e3, 500, 40, 40)
    plain, lower = (puffs.forward(one(), w, grid, threads=1).mesh for w in (calm, wide))
    assert lower[1].max() < 0.8 * plain[1].max()
    assert lower[1].sum() == pytest.approx(plain[1].sum(), rel=0.03)


def test_a_plume_rises_in_the_wind_of_its_hour() -> None:
    hot = replace(
        one(50.0), diameter=np.full(1, 4.0), velocity=np.full(1, 12.0), gas=np.full(1, 400.0)
    )
    grows = steady(2.0)
    u = grows.u.copy()
    u[1:] = 6.0
    assert effective_heights(hot, replace(grows, u=u), 0) == pytest.approx(
        effective_heights(hot, steady(4.0), 0)
    )


def test_contributions_sum_to_the_field() -> None:
    """Shares, series and lattice are parts of one whole: that of all sources together; and the mesh of all
    is the sum of the meshes of each."""
    sources, winds, _grid = region(6, 40, 4)
    sources = replace(sources, group=np.array([0, 1, 1, 2, 0, 2], np.int32))
    grid = disperse.cover(sources.x, sources.y)
    places = np.column_stack([sources.x + 1500.0, sources.y - 700.0])
    made = disperse.run(sources, winds, grid, places, lead=1, engine="numba", threads=1)
    assert made.mesh.shape == (3, grid.ny, grid.nx)
    assert made.series.shape == (3, 6, 3)
    assert made.shares.shape == (6, 6)
    assert made.series.sum(axis=2).mean(axis=0) == pytest.approx(made.shares.sum(axis=1))
    receptors = np.column_stack([places, np.full(6, disperse.BREATH)])
    whole = puffs.forward(replace(sources, group=None), winds, grid, receptors=receptors, threads=1)
    assert 1e6 * whole.stations[1:, :, 0].mean(axis=0) == pytest.approx(made.shares.sum(axis=1))
    of = np.zeros(made.mesh.shape)
    for k in range(6):
        rate = sources.at(0) * (np.arange(6) == k)
        of += disperse.run(
            replace(sources, rate=rate), winds, grid, places, lead=1, engine="numba", threads=1
        ).mesh
    assert of == pytest.approx(made.mesh, rel=1e-3, abs=1e-5 * float(made.mesh.max()))
    assert 0 < len(made.lattice) <= disperse.LATTICE
    assert made.near.shape == (len(made.lattice), 6)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = disperse.cover([0.0, 300e3], [0.0, 200e3])
    assert grid.size == 1000
    assert grid.nx * grid.ny <= disperse.CELLS
    near = disperse.cover([0.0, 60e3], [0.0, 40e3])
    assert (near.size, near.nx) == (500, 161)
    assert len(disperse.lattice(near, 100)) <= 100
    assert len(disperse.lattice(near, 3)) == 0
    monkeypatch.setattr(disperse, "SERIES", 8 * 4 * 2)
    with pytest.raises(disperse.TooLargeError):
        disperse.run(one(), steady(2.0), WIDE, np.zeros((3, 2)), engine="numba")
    few = disperse.run(one(), steady(2.0), WIDE, np.zeros((1, 2)), engine="numba", threads=1)
    assert len(few.lattice) == 0


def test_the_file_says_where_and_when() -> None:
    plane = Plane(117.0, 36.5)
    grid = disperse.cover(np.zeros(1), np.zeros(1), margin=3000.0)
    made = disperse.run(one(), steady(2.0), grid, np.zeros((0, 2)), engine="numba", threads=1)
    content = disperse.netcdf(made, plane, START, pollutant="SO2", about={"title": "a run"})
    assert content == disperse.netcdf(made, plane, START, pollutant="SO2", about={"title": "a run"})
    field = disperse.read(content)
    assert (field.values == made.mesh).all()
    assert field.cell(117.0, 36.5) == (6, 6)
    assert field.cell(118.0, 36.5) is None
    xarray = pytest.importorskip("xarray")
    import io

    with xarray.open_dataset(io.BytesIO(content), engine="scipy") as told:
        assert str(told.time.values[0])[:16] == "2026-11-20T04:00"
        assert told.attrs["Conventions"] == "CF-1.8"
        there = told.concentration.sel(latitude=36.5, longitude=117.0, method="nearest")
        assert there.values == pytest.approx(made.mesh[:, 6, 6])


def test_what_takes_sulfur_dioxide() -> None:
    """By day a field takes more than by night; the surface limits both."""
    about = loss.LOSSES["SO2"]
    assert about.surface is not None
    ustar, unstable = np.full((2, 1, 1), 0.4), np.array([[[-50.0]], [[50.0]]])
    day, night = loss.velocity(ustar, unstable, about.surface)
    assert 1 / about.surface[0] > day > night > 0
    assert night < 1 / about.surface[1]
    assert loss.LOSSES["CO"].scavenging is None
