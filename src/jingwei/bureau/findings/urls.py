from django.urls import path

from jingwei.bureau.findings import views

app_name = "findings"
urlpatterns = [
    path("", views.listing, name="list"),
    path("export.csv", views.export, name="export"),
    path("map.geojson", views.on_map, name="map"),
    path("<int:pk>/", views.finding, name="finding"),
    path("<int:pk>/dismiss/", views.dismiss, name="dismiss"),
    path("<int:pk>/reopen/", views.reopen, name="reopen"),
]
