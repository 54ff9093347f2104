"""Who is logged in: read once a request, with the department that every page asks for."""

from __future__ import annotations

from django.contrib.auth.backends import ModelBackend

from jingwei.bureau.accounts.models import User


class Backend(ModelBackend):
    def get_user(self, user_id: int) -> User | None:
        user = User.objects.select_related("department").filter(pk=user_id).first()
        return user if user and self.user_can_authenticate(user) else None
