"""Texts of the tables of standards in the reader's language."""

from __future__ import annotations

from django import template

from jingwei.bureau.language import table_text

register = template.Library()
register.filter("table_text", table_text)
