"""The flows of all rooms. Each is written in one file and registered in its room's `ready()`."""

from __future__ import annotations

from jingwei.bureau.cases.flow import Flow, FlowError

FLOWS: dict[str, Flow] = {}


def register(*flows: Flow) -> None:
    """Make flows known to the kernel; `FlowError` where another one has the name already."""
    for flow in flows:
        if FLOWS.setdefault(flow.name, flow) is not flow:
            raise FlowError(f"another flow is called {flow.name!r}")
