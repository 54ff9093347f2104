"""Lists whose filters people may keep, and which parameters of their URLs these are.

A room names its list in `ready()`, gives `shown(user, page)` to its template as `saved`, and
includes `accounts/saved_filters.html` there.
"""

from __future__ import annotations

from typing import Any

from django.http import QueryDict

from jingwei.bureau.accounts.models import SavedFilter
from jingwei.bureau.prepared import Prepared

KEEPABLE: dict[str, tuple[str, ...]] = {}  # URL name of the list: parameters, without the page

_of: Prepared[SavedFilter] = Prepared(
    lambda user, page: SavedFilter.objects.filter(user=user, page=page)
)


def keepable(page: str, *parameters: str) -> None:
    """Let people keep these parameters of a list."""
    KEEPABLE[page] = parameters


def shown(user: Any, page: str) -> dict[str, Any]:
    """What the list's template needs: its name, and the views of it that the user keeps."""
    return {"page": page, "rows": _of(user.pk, page)}


def kept(page: str, query: str) -> QueryDict:
    """Of a query what may be kept. Raises `KeyError` for a list of which nothing is."""
    posted, found = QueryDict(query[:5000]), QueryDict(mutable=True)
    for name in KEEPABLE[page]:
        if posted.get(name):
            found[name] = posted[name]
    return found
