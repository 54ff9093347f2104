"""Amounts of money as Chinese documents write them."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

_DIGITS: Final = "零壹贰叁肆伍陆柒捌玖"
_UNITS: Final = ("", "拾", "佰", "仟")
_GROUPS: Final = ("", "万", "亿", "万亿")


def capital(amount: Decimal) -> str:
    """Yuan in the capital numerals of documents (《支付结算办法》 annex 1), fen at most.

    Raises ValueError below 0, from 10^16 on, and for parts of a fen.

    >>> capital(Decimal("240000")), capital(Decimal("100450.07"))
    ('贰拾肆万元整', '壹拾万零肆佰伍拾元零柒分')
    """
    fen = amount * 100
    if not 0 <= amount < 10**16 or fen != int(fen):
        raise ValueError(f"{amount}: wanted yuan and fen from 0 to 10^16")
    yuan, rest = divmod(int(fen), 100)
    jiao, fen_ = divmod(rest, 10)
    text = f"{_integer(yuan)}元" if yuan or not rest else ""
    if not rest:
        return text + "整"
    if jiao:
        text += f"{_DIGITS[jiao]}角"
    elif text:
        text += "零"
    return text + (f"{_DIGITS[fen_]}分" if fen_ else "整")


def _integer(number: int) -> str:
    if number == 0:
        return "零"
    text, gap, group = "", False, 0
    while number:
        number, four = divmod(number, 10_000)
        part = _four(four)
        if part:
            text = part + _GROUPS[group] + ("零" if gap and text else "") + text
        gap = four < 1000  # a zero stands between this group and the higher one
        group += 1
    return text


def _four(number: int) -> str:
    """Up to 9999, zeros inside as one 零, none at the ends."""
    text, zero = "", False
    for position in (3, 2, 1, 0):
        digit = number // 10**position % 10
        if digit:
            text += ("零" if zero and text else "") + _DIGITS[digit] + _UNITS[position]
        zero = digit == 0 and (zero or bool(text))
    return text
