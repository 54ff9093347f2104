from django.apps import AppConfig


class MonitoringConfig(AppConfig):
    name = "jingwei.bureau.monitoring"
    label = "monitoring"

    def ready(self) -> None:
        from jingwei.bureau.evidencelog.selectors import placed
        from jingwei.bureau.findings import episodes, sheets
        from jingwei.bureau.monitoring import fired, national
        from jingwei.bureau.monitoring.detection_views import sheet
        from jingwei.bureau.monitoring.services import refresh
        from jingwei.bureau.registry import services as registry
        from jingwei.bureau.registry.fired import register

        episodes.refreshers.append(refresh)
        register(fired.counts)
        registry.gave_way.append(national.gave_way)
        sheets.register(sheet)
        placed("proposal", "monitoring.OrderProposal", "trigger.view")
        placed("mark", "monitoring.Mark", "point.view")
        placed("inquiry", "monitoring.Inquiry", "point.view")
        placed("sample", "monitoring.Sample", "point.view")
        placed("basis", "monitoring.Basis", "point.view")
        placed("range", "monitoring.InstrumentRange", "point.view")
