from django.urls import path, re_path

from jingwei.bureau.evidencelog import public, views

DIGITS = r"(?P<digits>(?:x[0-9]{3}/){0,5}[0-9]{3})"

app_name = "evidencelog"
urlpatterns = [
    path("", views.overview, name="list"),
    path("checkpoint", views.checkpoint, name="checkpoint"),
    path("readings/", views.readings, name="readings"),
    path("<int:pk>/", views.entry, name="entry"),
    path("<int:pk>/proof", views.certificate, name="certificate"),
    path("public/", public.overview, name="public"),
    path("public/checkpoint", public.checkpoint, name="public-checkpoint"),
    re_path(rf"^public/checkpoints/{DIGITS}$", public.kept, name="public-kept"),
    re_path(rf"^public/checkpoints/{DIGITS}(?P<stamp>\.tsr)$", public.kept, name="public-stamp"),
    re_path(
        rf"^public/tile/(?P<level>[0-9]{{1,2}})/{DIGITS}(?P<width>\.p/[1-9][0-9]{{0,2}})?$",
        public.tile,
        name="public-tile",
    ),
    path("public/entries", public.listing, name="public-entries"),
    path("public/entries/<int:index>", public.entry, name="public-entry"),
    path("public/entries/<int:index>/proof", public.proof, name="public-proof"),
]
