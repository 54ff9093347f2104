"""A trained forecast as bytes and back: plain JSON, compressed; nothing in it is executed."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from jingwei.analysis.air.boundary import Floats, floats
from jingwei.analysis.air.forecast.cases import Climate
from jingwei.analysis.air.forecast.model import (
    Extra,
    Fitted,
    Model,
    Spread,
    Weather,
    _Line,
    _Mean,
    _Trees,
)

FORMAT = 1


def dump(models: Mapping[str, Model]) -> bytes:
    """Models by name; the same models give the same bytes. What hands in weather or other fields is not kept: `load`
    is told it again. Raises ValueError for a plug-in learner's model, which only it can keep."""
    found = {
        name: {
            "pollutant": m.pollutant,
            "stations": list(m.stations),
            "climate": _array(m.climate.terms),
            "members": [_fitted(one) for one in m.members],
            "centres": _array(m.spread.centres),
            "misses": _array(m.spread.misses),
            "past_weather": m.past_weather,
            "names": list(m.names),
            "courses": {
                "shape": list(m.courses.shape),
                "base64": base64.b64encode(m.courses.astype("<u2").tobytes()).decode(),
            },
            "drawn": m.drawn,
        }
        for name, m in models.items()
    }
    text = json.dumps({"format": FORMAT, "models": found}, sort_keys=True, allow_nan=True)
    return gzip.compress(text.encode(), 6, mtime=0)


def load(
    data: bytes,
    weather: Mapping[str, Weather] | None = None,
    further: Mapping[str, Extra] | None = None,
) -> dict[str, Model]:
    """The models of `dump`; `weather`, `further`: what hands in the weather's forecast and further
    ones such as the dispersion field, by model. Raises ValueError where the bytes are something
    else."""
    try:
        given = json.loads(gzip.decompress(data))
        if given["format"] != FORMAT:
            raise ValueError(f"forecast: format {given['format']}, wanted {FORMAT}")
        return {
            name: Model(
                pollutant=m["pollutant"],
                stations=tuple(m["stations"]),
                climate=Climate(floats(_back(m["climate"]))),
                members=tuple(_member(one) for one in m["members"]),
                spread=Spread(floats(_back(m["centres"])), floats(_back(m["misses"]))),
                weather=(weather or {}).get(name),
                further=(further or {}).get(name),
                past_weather=bool(m["past_weather"]),
                names=tuple(m["names"]),
                # Models kept before there were courses have none: their index is told without them.
                **(
                    {"courses": _courses(m["courses"]), "drawn": m["drawn"]}
                    if "courses" in m
                    else {}
                ),
            )
            for name, m in given["models"].items()
        }
    except (OSError, EOFError, KeyError, TypeError) as error:
        raise ValueError(f"forecast: these bytes are no kept model ({error})") from error


def _array(values: Floats) -> dict[str, Any]:
    return {
        "shape": list(values.shape),
        "type": str(values.dtype),
        "values": values.ravel().tolist(),
    }


def _back(given: dict[str, Any]) -> Any:
    return np.array(given["values"], given["type"]).reshape(given["shape"])


def _courses(given: dict[str, Any]) -> Any:
    data = base64.b64decode(given["base64"], validate=True)
    return np.frombuffer(data, "<u2").astype(np.uint16).reshape(given["shape"])


def _fitted(one: Fitted) -> dict[str, Any]:
    if isinstance(one, _Trees):
        return {"kind": "trees", "text": one.booster.model_to_string(), "threads": one.threads}
    if isinstance(one, _Line):
        return {
            "kind": "line", "lead": one.lead, "fades": list(one.fades), "weights": _array(one.weights),
            **{k: _array(getattr(one, k)) for k in ("middle", "mean", "size")},
        }  # fmt: skip
    if isinstance(one, _Mean):
        return {"kind": "mean", "members": [_fitted(m) for m in one.members]}
    raise ValueError(f"forecast: a model of {type(one).__name__} cannot be kept")


def _member(given: dict[str, Any]) -> Fitted:
    if given["kind"] == "trees":
        try:
            import lightgbm
        except (ImportError, OSError) as error:
            raise ValueError(
                f"the forecast needs LightGBM: install jingwei[air] ({error})"
            ) from error
        return _Trees(lightgbm.Booster(model_str=given["text"]), given["threads"])
    if given["kind"] == "line":
        return _Line(
            _back(given["middle"]), _back(given["mean"]), _back(given["size"]), given["lead"],
            tuple(given["fades"]), floats(_back(given["weights"])),
        )  # fmt: skip
    if given["kind"] == "mean":
        return _Mean(tuple(_member(m) for m in given["members"]))
    raise ValueError(f"forecast: a kept model of {given['kind']!r} is not known")
