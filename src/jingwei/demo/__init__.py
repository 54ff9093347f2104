"""The demo city: Beijing's districts and air as measured, fictional enterprises, replayed monitors.

Nothing in the product needs this package; only the command line and the set-up import it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jingwei.demo.loader import Progress


def load(progress: Progress | None = None) -> None:
    """Load the demo city where it is not yet loaded; see `jingwei.demo.loader.load`."""
    from jingwei.demo import loader

    loader.load(progress)
