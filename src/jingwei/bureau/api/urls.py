from django.urls import path, re_path

from jingwei.bureau.api import views
from jingwei.bureau.api.interface import api

app_name = "api"

_patterns, _app, _namespace = api.urls
for _pattern in _patterns:
    # No session opens these: each operation demands a token of its scope (`interface.Scope`).
    _pattern.callback.access = None  # type: ignore[union-attr]

urlpatterns = [
    path("docs/", views.docs, name="docs"),
    path("openapi.json", views.openapi, name="openapi"),
    path("tokens/", views.tokens, name="tokens"),
    path("tokens/<int:pk>/revoke/", views.revoke, name="revoke"),
    path("v1/", (_patterns, _app, _namespace)),
    re_path(r"^v1/.+$", views.missing, name="missing"),
]
