from django.urls import path, re_path

from jingwei.bureau.registry import permit_views, rule_views, views

app_name = "registry"
urlpatterns = [
    path("", views.enterprises, name="list"),
    path("export.csv", views.export, name="export"),
    path("regions.geojson", views.regions, name="regions"),
    path("permits/import/", permit_views.permits_import, name="permits_import"),
    path("permits/template.csv", permit_views.permits_template_csv, name="permits_template_csv"),
    path("permits/<int:pk>/", permit_views.permit, name="permit"),
    path("permits/<int:pk>/change/", permit_views.permit_change, name="permit_change"),
    path("permits/<int:pk>/take-back/", permit_views.take_back, name="take_back"),
    path("rules/", rule_views.rules, name="rules"),
    path("rules.csv", rule_views.rules_csv, name="rules_csv"),
    path("rules/texts/", rule_views.law_texts, name="law_texts"),
    path("rules/limits/", rule_views.standard_limits, name="limits"),
    path("rules/limits.csv", rule_views.standard_limits_csv, name="limits_csv"),
    path("rules/one/<str:code>/", rule_views.rule, name="rule"),
    re_path(r"^(?P<uscc>[0-9A-Z]{1,18})/$", views.enterprise, name="enterprise"),
    re_path(r"^(?P<uscc>[0-9A-Z]{1,18})/permits/new/$", permit_views.permit_new, name="permit_new"),
]
