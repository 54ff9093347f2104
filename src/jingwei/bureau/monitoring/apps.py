from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "jingwei.bureau.monitoring"
    label = "monitoring"

    def ready(self) -> None:
        from jingwei.bureau.findings import episodes
        from jingwei.bureau.monitoring.services import refresh

        episodes.refreshers.append(refresh)
