from django.urls import path

from jingwei.bureau.penalties import views

app_name = "penalties"
urlpatterns = [
    path("", views.listing, name="list"),
    path("export.csv", views.export, name="export"),
    path("export.xlsx", views.export_xlsx, name="export_xlsx"),
    path("public/", views.published, name="public"),
    path("public/export.csv", views.published_export, name="public_export"),
    path("public/export.xlsx", views.published_export_xlsx, name="public_export_xlsx"),
    path("<int:pk>/compute/", views.compute, name="compute"),
    path("<int:pk>/notice/", views.notice, name="notice"),
    path("<int:pk>/decision/", views.decision, name="decision"),
]
