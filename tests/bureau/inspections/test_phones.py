"""Two phones with bad connections: whatever is lost on the way, nothing is lost or doubled."""

from __future__ import annotations

from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jingwei.bureau.inspections import services
from jingwei.bureau.inspections.models import Answer

from .conftest import NOW
from .test_inspections import case, team

__all__ = ["case", "team"]

ITEMS = ("G01", "G02", "G03")
ACTS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(ITEMS),
        st.sampled_from(("yes", "no", "na")),
        st.sampled_from(("answered", "request lost", "answer lost")),
    ),
    max_size=14,
)


def server() -> dict[str, tuple[str, int]]:
    return {a.item: (a.value, a.version) for a in Answer.objects.all()}


class Phone:
    """What `store.js` and `queue.js` keep: value, base and whether it was confirmed, by item."""

    def __init__(self, user, case_id: int) -> None:
        self.user, self.case_id = user, case_id
        self.rows: dict[str, dict] = {}

    def write(self, item: str, value: str) -> None:
        row = self.rows.setdefault(item, {"item": item, "note": "", "base": 0})
        row |= {"value": value, "waits": True}

    def waiting(self) -> list[dict]:
        return [row for row in self.rows.values() if row["waits"]]

    def send(self, fate: str = "answered") -> None:
        rows = [dict(row) for row in self.waiting()]
        if not rows or fate == "request lost":
            return
        before = server()
        said = services.keep_answers(self.user, self.case_id, rows, now=NOW)
        after = server()
        assert sorted(said["kept"] + said["conflicts"]) == sorted(row["item"] for row in rows)
        for row in rows:
            code = row["item"]
            if code in said["conflicts"]:
                assert after[code] == before[code]  # the other's answer stands
            else:
                assert after[code][0] == row["value"]
                new = before.get(code, ("", 0))
                changed = new[0] != row["value"]
                assert after[code][1] == new[1] + changed  # once, however often it is sent
        if fate == "answer lost":
            return
        for row in rows:
            mine = self.rows[row["item"]]
            mine["base"] = after[row["item"]][1]
            # A conflict is shown; the person of this phone insists on the own answer.
            mine["waits"] = row["item"] in said["conflicts"]


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(acts=ACTS)
def test_nothing_is_lost_and_nothing_doubled(case, team, acts) -> None:
    mark = transaction.savepoint()
    try:
        phones = [Phone(i.user, case.pk) for i in team]
        written = set()
        for number, item, value, fate in acts:
            phones[number].write(item, value)
            phones[number].send(fate)
            written.add(item)
        for phone in phones:  # the connection is back
            waiting = phone.waiting()
            for _ in range(2):
                phone.send()
            assert not phone.waiting()
            there = server()
            assert all(there[row["item"]][0] == row["value"] for row in waiting)
        assert set(server()) == written
        assert Answer.objects.count() == len(written)
    finally:
        transaction.savepoint_rollback(mark)
