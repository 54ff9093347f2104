"""Who is logged in: read once a request, with the department that every page asks for."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend

from jingwei.bureau.accounts.models import User
from jingwei.bureau.prepared import Prepared

_by_id: Prepared[User] = Prepared(
    lambda pk: User.objects.select_related("department").filter(pk=pk)
)


class Backend(ModelBackend):
    def get_user(self, user_id: int) -> User | None:
        user = _by_id.first(user_id)
        return user if user and self.user_can_authenticate(user) else None
