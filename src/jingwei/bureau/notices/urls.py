from django.urls import path

from jingwei.bureau.notices import views

app_name = "notices"
urlpatterns = [
    path("", views.listing, name="list"),
    path("bell/", views.bell, name="bell"),
    path("mark/", views.mark, name="mark"),
    path("settings/", views.preferences, name="settings"),
    path("outbox/", views.outbox, name="outbox"),
    path("outbox/again/", views.again, name="again"),
    path("outbox/robots/new/", views.channel, name="channel-new"),
    path("outbox/robots/<int:pk>/", views.channel, name="channel"),
    path("<int:pk>/", views.open_message, name="open"),
]
