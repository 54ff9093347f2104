from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "jingwei.bureau.monitoring"
    label = "monitoring"
