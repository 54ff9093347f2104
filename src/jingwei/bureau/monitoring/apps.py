from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "jingwei.bureau.monitoring"
    label = "monitoring"

    def ready(self) -> None:
        from jingwei.bureau.findings import episodes, sheets
        from jingwei.bureau.monitoring import fired
        from jingwei.bureau.monitoring.detection_views import sheet
        from jingwei.bureau.monitoring.services import refresh
        from jingwei.bureau.registry.fired import register

        episodes.refreshers.append(refresh)
        register(fired.counts)
        sheets.register(sheet)
