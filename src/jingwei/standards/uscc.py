"""Unified social credit code (统一社会信用代码), GB 32100-2015."""

from __future__ import annotations

# The characters of the code in the order of their values (GB 32100-2015, table 1): no I, O, S, V, Z.
CHARACTERS = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def check_character(body: str) -> str:
    """Check character for the first 17 characters of a code.

    GB 32100-2015, 5.5: 31 - (sum of character values x 3^(i-1) mod 31), 0 for 31. Raises
    `ValueError` for a character that the code does not use.
    """
    total = sum(CHARACTERS.index(c) * pow(3, i, 31) for i, c in enumerate(body))
    return CHARACTERS[(31 - total % 31) % 31]
