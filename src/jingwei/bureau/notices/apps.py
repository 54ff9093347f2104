from django.apps import AppConfig


class NoticesConfig(AppConfig):
    name = "jingwei.bureau.notices"
    label = "notices"
