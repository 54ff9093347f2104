"""Money in the capital numerals of documents."""

from __future__ import annotations

from decimal import Decimal

import pytest

from jingwei.standards.money import capital


def test_capital_numerals():
    for amount, text in (
        ("0", "零元整"), ("0.05", "伍分"), ("240000", "贰拾肆万元整"), ("100000", "壹拾万元整"),
        ("1001001.10", "壹佰万壹仟零壹元壹角整"), ("10000", "壹万元整"),
        ("100450.07", "壹拾万零肆佰伍拾元零柒分"), ("120000000", "壹亿贰仟万元整"),
        ("1000000.00", "壹佰万元整"), ("10001", "壹万零壹元整"), ("16409.02", "壹万陆仟肆佰零玖元零贰分"),
    ):  # fmt: skip
        assert capital(Decimal(amount)) == text, amount
    for wrong in ("-1", "0.001", "1e16"):
        with pytest.raises(ValueError, match="wanted"):
            capital(Decimal(wrong))
