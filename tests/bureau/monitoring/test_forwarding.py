"""The page of the forwarding, from what the process says."""

from __future__ import annotations

import pytest
from django.urls import reverse

from jingwei.telemetry import health
from jingwei.telemetry.places import NAME, Places

from .conftest import make_user

TARGET = {
    "address": "hj212://10.1.2.3:9212", "mn": ["36*"], "cn": ["2051"], "connected": True,
    "problem": "", "sent": 41, "skipped": 1, "aside": 2, "waiting": 7, "behind": 3723.4,
    "last": "2026-11-20T04:00:00+00:00", "why": {"unanswered": 2, "no_key": 1},
}  # fmt: skip


@pytest.fixture
def told(db, data):
    health.beat(data / "run", "forward", targets={"province": TARGET}, errors={})
    return data


def test_the_page_tells_how_far_each_platform_is(told, client, dispatcher):
    client.force_login(dispatcher)
    text = client.get(reverse("monitoring:forwarding")).content.decode()
    for part in ("hj212://10.1.2.3:9212", "36*", "41", "1:02:03", "未应答 2", "无密钥 1", "已连接"):
        assert part in text, part


def test_what_was_set_aside_is_sent_again_on_request(told, client, dispatcher):
    places = Places(told / NAME)
    places.save("province", {1: 2}, 41, 1, [(n, "MN 2051", "unanswered") for n in (5, 6)])
    client.force_login(make_user("district", "110108"))
    address = reverse("monitoring:forwarding_again", args=["province"])
    assert client.post(address).status_code == 403
    client.force_login(dispatcher)
    assert client.post(reverse("monitoring:forwarding_again", args=["x"])).status_code == 404
    answer = client.post(address, follow=True)
    assert "将重新发送 2 条报文" in answer.content.decode()
    assert places.asked("province") == [5, 6]
    places.close()


def test_without_a_target_the_page_says_how_to_name_one(db, data, client, dispatcher):
    client.force_login(dispatcher)
    assert "JINGWEI_FORWARD" in client.get(reverse("monitoring:forwarding")).content.decode()


def test_a_process_that_says_nothing_more_counts_as_stopped(told, client, dispatcher):
    import json

    path = told / "run" / "forward.json"
    beat = json.loads(path.read_text()) | {"time": "2026-01-01T00:00:00+00:00"}
    path.write_text(json.dumps(beat))
    client.force_login(dispatcher)
    assert "state-offline" in client.get(reverse("monitoring:forwarding")).content.decode()
