from django.urls import path, re_path

from jingwei.bureau.registry import views

app_name = "registry"
urlpatterns = [
    path("", views.enterprises, name="list"),
    path("export.csv", views.export, name="export"),
    path("regions.geojson", views.regions, name="regions"),
    re_path(r"^(?P<uscc>[0-9A-Z]{1,18})/$", views.enterprise, name="enterprise"),
]
