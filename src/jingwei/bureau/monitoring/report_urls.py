"""Addresses of the reports; `urls` takes them in."""

from django.urls import path

from jingwei.bureau.monitoring import report_views

urlpatterns = [
    path("reports/amounts/", report_views.amounts_list, name="amounts"),
    path("reports/amounts.csv", report_views.amounts_csv, name="amounts_csv"),
    path("reports/amounts/<int:permit>/", report_views.permit_amounts, name="permit_amounts"),
    path("reports/totals/", report_views.totals_page, name="totals"),
    path("reports/totals.csv", report_views.totals_csv, name="totals_csv"),
    path("reports/tax/", report_views.tax_page, name="tax"),
    path("reports/tax.csv", report_views.tax_csv, name="tax_csv"),
]
