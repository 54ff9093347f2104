"""Thousands in groups of three, as reports and bills write them (Django has none for Chinese)."""

DECIMAL_SEPARATOR = "."
THOUSAND_SEPARATOR = ","
NUMBER_GROUPING = 3
