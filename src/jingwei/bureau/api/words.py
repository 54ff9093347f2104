"""What the description of the interface says, for readers of the page in their own language.

The OpenAPI document itself is in English and comes from the docstrings; a test finds what is not
listed here.
"""

from __future__ import annotations

from django.utils.translation import gettext, gettext_noop

WORDS = frozenset({
    gettext_noop("Findings, latest first. from and to: local days that the episode touches."),
    gettext_noop(
        "File a finding. 201: it is new; 200: its reference was known. With the header"
        " Idempotency-Key the same request again gets the same answer."
    ),
    gettext_noop("One finding."),
    gettext_noop("File up to 500 findings, all or none."),
    gettext_noop('Cases, newest first. from and to: local days of opening; state may be "open".'),
    gettext_noop("One case."),
    gettext_noop(
        "Values over a limit, latest first; stands is false where a correction took it back."
    ),
    gettext_noop("Monitoring points, by MN and ST."),
    gettext_noop(
        "Observations as received, the latest reception of each, by factor and time. At most 5,000"
        " in one answer, and of a bounded period: 1 day real-time, 7 days minute, 93 days hour,"
        " 1,100 days day values."
    ),
    gettext_noop(
        "Send observations of registered devices, up to 2,000 entries: all or none. When the answer"
        " comes they are durable in the journal; the lake has them seconds later. The same entry"
        " again is stored once. With the header Idempotency-Key the same request again gets the"
        " same answer."
    ),
    gettext_noop("Day, YYYY-MM-DD"),
    gettext_noop("Part of title or enterprise"),
    gettext_noop("Part of title, number or enterprise"),
    gettext_noop("Page, from 1"),
    gettext_noop("Rows of a page"),
    gettext_noop("Periods that begin at this time or later"),
    gettext_noop("Periods that begin before this time"),
    gettext_noop("From this time on"),
    gettext_noop("Before this time; else now"),
    gettext_noop("Codes; none: all"),
    gettext_noop("Comes with next of the answer before"),
})  # fmt: skip


def told(text: str) -> str:
    """A text of the description in the reader's language."""
    line = " ".join(text.split())
    return gettext(line) if line in WORDS else line
