from django.urls import path

from jingwei.bureau.monitoring import report_urls, views

app_name = "monitoring"
urlpatterns = [
    path("", views.points, name="points"),
    path("points.csv", views.points_csv, name="points_csv"),
    path("map.geojson", views.map_points, name="map"),
    path("exceedances/", views.exceedances, name="exceedances"),
    path("exceedances.csv", views.exceedances_csv, name="exceedances_csv"),
    path("exceedances/<int:pk>/", views.exceedance, name="exceedance"),
    path("points/<str:mn>/<str:st>/", views.point, name="point"),
    path("points/<str:mn>/<str:st>/series.json", views.series, name="series"),
    path("points/<str:mn>/<str:st>/series.csv", views.series_csv, name="series_csv"),
    path("points/<str:mn>/<str:st>/value/", views.value, name="value"),
    *report_urls.urlpatterns,
]
