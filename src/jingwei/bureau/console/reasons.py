"""Why the gateway refused a telegram or ended a connection, in words."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

REASONS = {
    "crc": _("Wrong check sum"),
    "format": _("Not a telegram of HJ 212"),
    "unknown_mn": _("MN not in the register"),
    "network": _("Not from an address of this device"),
    "disabled": _("Device disabled"),
    "password": _("Wrong password"),
    "no_key": _("Encrypted, and no key is registered"),
    "wrong_key": _("Encrypted, and no key opens it"),
    "st": _("System type not registered"),
    "rubbish": _("Bytes that are no telegram"),
    "half": _("Telegram that never ended"),
    "oversized": _("Longer than a telegram may be"),
    "flood": _("More telegrams than are taken of one device"),
    # only for connections
    "too_many": _("Too many connections"),
    "too_many_of_peer": _("Too many connections from this address"),
    "stopping": _("Gateway was stopping"),
    "refused": _("Too many refused telegrams"),
    "unread": _("Answers were not read"),
    "idle": _("Silent for too long"),
}


def label(reason: str) -> str:
    """The words for a reason; the reason itself where there are none."""
    return str(REASONS.get(reason, reason))
