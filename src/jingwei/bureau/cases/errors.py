"""Why an act did not happen. The text of each is for the reader, in the reader's language."""

from __future__ import annotations

from typing import Any


class Refused(Exception):  # noqa: N818
    """The act is not possible for this user, in this state, or for a reason that a rule gives."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class Unknown(Refused):
    """No such act in this flow."""


class Stale(Refused):
    """Somebody acted on the case since the form was shown."""


class Gone(Stale):
    """The same, and that act took the case out of the user's jurisdiction."""


class Invalid(Refused):
    """The form has wrong values; `form` is bound and says which."""

    def __init__(self, form: Any) -> None:
        from django.utils.translation import gettext as _

        super().__init__(_("Please look at the marked fields."))
        self.form = form
