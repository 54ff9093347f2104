from django.urls import path

from jingwei.bureau.console import organisation, views

app_name = "console"
urlpatterns = [
    path("", views.home, name="home"),
    path("home/side/", views.home_side, name="side"),
    path("organisation/", organisation.departments, name="organisation"),
    path("organisation/people/<int:pk>/", organisation.person, name="organisation-person"),
    path(
        "organisation/substitutions/", organisation.standing_in, name="organisation-substitutions"
    ),
    path(
        "organisation/substitutions/<int:pk>/end/",
        organisation.call_off,
        name="organisation-call-off",
    ),
    path("organisation/calendar/", organisation.calendar, name="organisation-calendar"),
    path("system/", views.system, name="system"),
    path("healthz", views.healthz, name="healthz"),
    path("i18n/<slug:language>.js", views.catalog, name="catalog"),
]
