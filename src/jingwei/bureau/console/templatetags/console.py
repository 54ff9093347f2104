"""Filters of the console's own pages."""

from django import template

from jingwei.bureau.console import reasons

register = template.Library()
register.filter("reason", reasons.label)
