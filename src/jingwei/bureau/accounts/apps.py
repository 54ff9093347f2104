from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "jingwei.bureau.accounts"
    label = "accounts"

    def import_models(self) -> None:
        super().import_models()
        from jingwei.bureau.accounts import throttle  # noqa: F401  (holds a model)
