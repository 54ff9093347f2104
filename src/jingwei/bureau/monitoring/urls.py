from django.urls import path

from jingwei.bureau.monitoring import (
    bulletin_views,
    device_views,
    mark_views,
    report_urls,
    views,
)

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
    path("bulletin/", bulletin_views.page, name="bulletin"),
    path("bulletin.csv", bulletin_views.page_csv, name="bulletin_csv"),
    path("marks/", mark_views.marks, name="marks"),
    path("marks/new/", mark_views.mark_new, name="mark_new"),
    path("marks/<int:pk>/withdraw/", mark_views.mark_withdraw, name="mark_withdraw"),
    path("furnaces/", mark_views.furnace_list, name="furnaces"),
    path("furnaces/<int:pk>/", mark_views.furnace, name="furnace"),
    path("inquiries/<int:pk>/answer/", mark_views.inquiry_answer, name="inquiry_answer"),
    *report_urls.urlpatterns,
    path("devices/", device_views.devices, name="devices"),
    path("devices.csv", device_views.devices_csv, name="devices_csv"),
    path("devices/unknown/", device_views.strangers, name="strangers"),
    path("devices/unknown/<str:mn>/", device_views.adopt, name="adopt"),
    path("devices/<str:mn>/", device_views.device, name="device"),
    path("devices/<str:mn>/card/", device_views.device_card, name="device_card"),
    path("devices/<str:mn>/form/", device_views.device_form, name="device_form"),
    path("devices/<str:mn>/commands/", device_views.device_commands, name="device_commands"),
    path("devices/<str:mn>/ask/", device_views.device_ask, name="device_ask"),
    path("devices/<str:mn>/settings/", device_views.device_settings, name="device_settings"),
    path("commands/<int:pk>/cancel/", device_views.device_cancel, name="device_cancel"),
]
