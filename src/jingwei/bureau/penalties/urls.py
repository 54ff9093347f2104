app_name = "penalties"
urlpatterns: list[object] = []
