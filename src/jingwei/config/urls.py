"""Where each room hangs."""

from django.contrib import admin
from django.urls import include, path, re_path

from jingwei.bureau.accounts.views import admin_login
from jingwei.bureau.api.sensorthings_views import sensorthings

urlpatterns = [
    path("", include("jingwei.bureau.console.urls")),
    path("accounts/", include("jingwei.bureau.accounts.urls")),
    path("enterprises/", include("jingwei.bureau.registry.urls")),
    path("monitoring/", include("jingwei.bureau.monitoring.urls")),
    path("air/", include("jingwei.bureau.air.urls")),
    path("findings/", include("jingwei.bureau.findings.urls")),
    path("cases/", include("jingwei.bureau.cases.urls")),
    path("campaigns/", include("jingwei.bureau.campaigns.urls")),
    path("inspections/", include("jingwei.bureau.inspections.urls")),
    path("penalties/", include("jingwei.bureau.penalties.urls")),
    path("notices/", include("jingwei.bureau.notices.urls")),
    path("api/", include("jingwei.bureau.api.urls")),
    re_path(r"^v1\.1(?:/(?P<path>.*))?$", sensorthings, name="sensorthings"),
    path("evidence/", include("jingwei.bureau.evidencelog.urls")),
    path("admin/login/", admin_login, name="admin-login"),
    path("admin/", admin.site.urls),
]
handler400 = "jingwei.bureau.console.views.error_400"
handler403 = "jingwei.bureau.console.views.error_403"
handler404 = "jingwei.bureau.console.views.error_404"
handler500 = "jingwei.bureau.console.views.error_500"
