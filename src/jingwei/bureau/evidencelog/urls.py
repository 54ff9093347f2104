from django.urls import path

from jingwei.bureau.evidencelog import views

app_name = "evidencelog"
urlpatterns = [
    path("", views.overview, name="list"),
    path("checkpoint", views.checkpoint, name="checkpoint"),
    path("<int:pk>/", views.entry, name="entry"),
]
