"""Addresses of the reports; `urls` takes them in."""

from django.urls import path

from jingwei.bureau.monitoring import (
    mass_views,
    plan_views,
    quality_views,
    report_views,
    trigger_views,
)

urlpatterns = [
    path("reports/amounts/", report_views.amounts_list, name="amounts"),
    path("reports/amounts.csv", report_views.amounts_csv, name="amounts_csv"),
    path("reports/amounts/<int:permit>/", report_views.permit_amounts, name="permit_amounts"),
    path("reports/amounts/line/<int:amount>/", mass_views.amount, name="amount"),
    path("points/<str:mn>/<str:st>/masses/", mass_views.masses, name="masses"),
    path("points/<str:mn>/<str:st>/checks/", quality_views.point_checks, name="quality"),
    path("checks/<int:check>/withdraw/", quality_views.check_withdraw, name="check_withdraw"),
    path("checks/<int:check>/confirm/", quality_views.check_confirm, name="check_confirm"),
    path("reports/totals/", report_views.totals_page, name="totals"),
    path("reports/totals.csv", report_views.totals_csv, name="totals_csv"),
    path("reports/tax/", report_views.tax_page, name="tax"),
    path("reports/tax.csv", report_views.tax_csv, name="tax_csv"),
    path("triggers/", trigger_views.trigger_list, name="triggers"),
    path("triggers/new/", trigger_views.trigger_new, name="trigger_new"),
    path("triggers/rule/<str:code>/", trigger_views.trigger, name="trigger"),
    path("triggers/rule/<str:code>/try/", trigger_views.trigger_try, name="trigger_try"),
    path("triggers/rule/<str:code>/live/", trigger_views.trigger_live, name="trigger_live"),
    path("triggers/rule/<str:code>/end/", trigger_views.trigger_end, name="trigger_end"),
    path("proposals/", trigger_views.proposals, name="proposals"),
    path("proposals.csv", trigger_views.proposals_csv, name="proposals_csv"),
    path("proposals/<int:proposal>/", trigger_views.proposal, name="proposal"),
    path(
        "proposals/<int:proposal>/decline/", trigger_views.proposal_decline, name="proposal_decline"
    ),
    path("self-monitoring/", plan_views.plan_list, name="plans"),
    path("self-monitoring.csv", plan_views.plans_csv, name="plans_csv"),
    path(
        "self-monitoring/template.csv", plan_views.results_template_csv, name="results_template_csv"
    ),
    path("self-monitoring/<str:uscc>/", plan_views.self_monitoring, name="self_monitoring"),
    path("self-monitoring/<str:uscc>/import/", plan_views.results_import, name="results_import"),
]
