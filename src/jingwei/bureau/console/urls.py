from django.urls import path

from jingwei.bureau.console import views

app_name = "console"
urlpatterns = [
    path("", views.home, name="home"),
    path("home/side/", views.home_side, name="side"),
    path("system/", views.system, name="system"),
    path("healthz", views.healthz, name="healthz"),
    path("i18n/<slug:language>.js", views.catalog, name="catalog"),
]
