"""What several tests of the codec use."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[1] / "data" / "hj212"

HEAD = "QN=20240601085857223;ST=32;CN=2051;PW=123456;MN=010000A8900016F000169DC0;Flag=5;"


def rows() -> list[dict[str, Any]]:
    with (DATA / "telegrams.jsonl").open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def vectors() -> dict[str, Any]:
    return json.loads((DATA / "sm4_vectors.json").read_text(encoding="utf-8"))
