from django.urls import path

from jingwei.bureau.cases import gas_check, reports, views

app_name = "cases"
urlpatterns = [
    path("", views.listing, name="list"),
    path("export.csv", views.export, name="export"),
    path("export.xlsx", views.export_xlsx, name="export_xlsx"),
    path("statistics/", reports.statistics_page, name="statistics"),
    path("assessment/", reports.assessment, name="assessment"),
    path("public/", views.published, name="public"),
    path("public.csv", views.published_csv, name="public_csv"),
    path("public.xlsx", views.published_xlsx, name="public_xlsx"),
    path("open/", views.open_case, name="open"),
    path("gas-check/<int:pk>/", gas_check.gas_check, name="gas_check"),
    path("<int:pk>/", views.case, name="case"),
    path("<int:pk>/act/<slug:transition>/", views.act, name="act"),
    path("<int:pk>/check/", views.check, name="check"),
    path("<int:pk>/order/", views.order, name="order"),
    path("files/<int:pk>/", views.file, name="file"),
]
