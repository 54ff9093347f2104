from django.urls import path, re_path

from jingwei.bureau.inspections import draw_views, pool_views, views

NAME = r"(?P<name>[0-9A-Za-z-]{1,40})"

app_name = "inspections"
urlpatterns = [
    path("", views.listing, name="list"),
    path("export.csv", views.export, name="export"),
    path("export.xlsx", views.export_xlsx, name="export_xlsx"),
    path("new/", views.new, name="new"),
    path("plans/", views.plans, name="plans"),
    path("worker.js", views.worker, name="worker"),
    path("<int:pk>/spot/", views.spot, name="spot"),
    path("<int:pk>/state/", views.state, name="state"),
    path("<int:pk>/answers/", views.answers, name="answers"),
    path("<int:pk>/photos/", views.photos, name="photos"),
    path("<int:pk>/finish/", views.finish, name="finish"),
    path("<int:pk>/record/", views.record, name="record"),
    path("<int:pk>/record.json", views.record_json, name="record-json"),
    path("<int:pk>/signature/<int:number>/", views.signature, name="signature"),
    path("photo/<uuid:uid>/", views.photo, name="photo"),
    path("draws/<int:draw>/inspections/", views.from_draw, name="from-draw"),
    path("draws/", draw_views.listing, name="draws"),
    path("draws/new/", draw_views.new, name="draw-new"),
    path("draws/own/", draw_views.own, name="draws-own"),
    path("draws/<int:draw>/", draw_views.draw, name="draw"),
    path("draws/<int:draw>/<slug:act>/", draw_views.act, name="draw-act"),
    path("party/<str:token>/", draw_views.party, name="party"),
    path("pool/", pool_views.pool, name="pool"),
    path("pool/new/", pool_views.inspector, name="inspector-new"),
    path("pool/<int:inspector>/", pool_views.inspector, name="inspector"),
    path("grades/", pool_views.grades, name="grades"),
    path("public/", draw_views.public_list, name="public"),
    re_path(rf"^public/{NAME}/$", draw_views.public_draw, name="public-draw"),
    re_path(
        rf"^public/{NAME}/(?P<file>[a-z.]{{1,20}})$", draw_views.public_file, name="public-file"
    ),
]
