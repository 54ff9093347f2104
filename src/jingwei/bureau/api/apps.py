from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "jingwei.bureau.api"
    label = "api"
