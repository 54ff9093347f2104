from django.urls import path

from jingwei.bureau.campaigns import views

app_name = "campaigns"
urlpatterns = [
    path("", views.index, name="index"),
    path("new-list/", views.new, {"kind": "lists"}, name="new-list"),
    path("new-campaign/", views.new, {"kind": "campaigns"}, name="new-campaign"),
    path("template.xlsx", views.template, name="template"),
    path("four-steps/", views.four_steps, name="four-steps"),
    path("shares/", views.shares, name="shares"),
    path("shared/<str:token>/", views.shared, name="shared"),
    path("departments/<int:department>/", views.responsibility, name="responsibility"),
    path("<int:pk>/", views.programme, name="programme"),
    path("<int:pk>/enter/", views.enter, name="enter"),
    path("<int:pk>/export/", views.export, name="export"),
    path("<int:pk>/report/", views.report, name="report"),
    path("<int:pk>/act/<slug:what>/", views.act, name="act"),
    path("<int:pk>/write/<slug:what>/", views.write, name="write"),
]
