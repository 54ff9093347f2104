from django.apps import AppConfig


class AirConfig(AppConfig):
    name = "jingwei.bureau.air"
    label = "air"
