"""The flows, one file each."""

from __future__ import annotations

from jingwei.bureau.cases.flow import Flow
from jingwei.bureau.cases.flows.order import ORDER

FLOWS: dict[str, Flow] = {flow.name: flow for flow in (ORDER,)}
