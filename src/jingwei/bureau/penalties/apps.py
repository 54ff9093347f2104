from django.apps import AppConfig


class PenaltiesConfig(AppConfig):
    name = "jingwei.bureau.penalties"
    label = "penalties"

    def ready(self) -> None:
        from jingwei.bureau.accounts.lists import keepable
        from jingwei.bureau.cases.flows import register
        from jingwei.bureau.penalties import fired
        from jingwei.bureau.penalties.flow import PENALTY
        from jingwei.bureau.registry import fired as rules

        register(PENALTY)
        rules.register(fired.counts)
        keepable("penalties:list", "q", "state", "offence", "region", "from", "to", "sort")
