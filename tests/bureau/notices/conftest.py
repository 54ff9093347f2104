"""A small city whose people can be told things."""

from __future__ import annotations

from dataclasses import replace

import pytest

import world as worlds


@pytest.fixture
def world(db: None, data: object, settings) -> worlds.World:
    settings.ENV = replace(
        settings.ENV,
        mail="smtp://127.0.0.1:1",
        mail_from="jingwei@bureau.example",
        webhook_hosts=("http://127.0.0.1:1",),
    )
    made = worlds.build()
    for name, user in made.users.items():
        user.email = f"{name}@example.org"
        user.save()
    return made
