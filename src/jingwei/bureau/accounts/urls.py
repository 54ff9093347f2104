from django.urls import path

from jingwei.bureau.accounts import views

app_name = "accounts"
urlpatterns = [
    path("login/", views.login, name="login"),
    path("logout/", views.logout, name="logout"),
    path("profile/", views.profile, name="profile"),
    path("password/", views.password, name="password"),
    path("language/", views.language, name="language"),
    path("filters/", views.save_filter, name="save_filter"),
    path("filters/<int:pk>/drop/", views.drop_filter, name="drop_filter"),
]
