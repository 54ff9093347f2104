from django.urls import path

from jingwei.bureau.findings import dispatch_pages, entry, report, views

app_name = "findings"
urlpatterns = [
    path("", views.listing, name="list"),
    path("export.csv", views.export, name="export"),
    path("export.xlsx", views.export_xlsx, name="export_xlsx"),
    path("alike/", views.alike, name="alike"),
    path("map.geojson", views.on_map, name="map"),
    path("new/", entry.choose, name="choose"),
    path("new/<slug:kind>/", entry.new, name="new"),
    path("imports/", entry.importing, name="imports"),
    path("imports/<int:pk>/", entry.imported, name="import"),
    path("imports/template-<slug:kind>.<slug:form>", entry.template, name="template"),
    path("rules/", dispatch_pages.rules, name="rules"),
    path("rules/<int:pk>/", dispatch_pages.rule, name="rule"),
    path("report/", report.report, name="report"),
    path("report/receipt/", report.standing, name="standing"),
    path("files/<int:pk>/", entry.file, name="file"),
    path("<int:pk>/", views.finding, name="finding"),
    path("<int:pk>/dismiss/", views.dismiss, name="dismiss"),
    path("<int:pk>/reopen/", views.reopen, name="reopen"),
    path("<int:pk>/grade/", views.grade, name="grade"),
    path("<int:pk>/merge/", views.merge, name="merge"),
    path("<int:pk>/unmerge/", views.unmerge, name="unmerge"),
    path("<int:pk>/split/", views.split, name="split"),
    path("<int:pk>/files/", entry.add_files, name="add_files"),
    path("<int:pk>/identity/", report.identity, name="identity"),
]
