from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "jingwei.bureau.accounts"
    label = "accounts"
