"""Figures of the case kernel through HTTP; prints JSON.

    python bench/cases.py [--database postgresql://user@host/EMPTY] [--present 0 100000]
                          [--lifecycles 400] [--clients 8] [--workers 2] [--tick 300000]

For each number of cases present (add 1000000 for the goal of the design) the console is served as
in production (`jingwei web`, Granian) and clients run whole lifecycles: create (open a case from a
finding), assign (dispatch it to a district), resolve (sign for it, report), search (by two parts
of its text): five requests. Every act leaves its event and its entry for the evidence log, and
tells whose turn it is. `lifecycles_per_s` is of all clients together; `p50_ms` and `p95_ms` are of
a whole lifecycle; `server_cpu_ms` is what the web processes use for one (without a PostgreSQL
server), `client_cpu_ms` what this program does: they say what a machine without other work could
do. `unit_ms` is what a fixed piece of arithmetic takes at that moment: how much the cores give
while others work on them. The peer is DIGIT CCRS's published run of create, assign, resolve, search: 37/s
falling to 6.3/s at a million, on 16 cores.

`tick`: one turn of the clock over as many open cases, with none due and with 100 due.
Cases that are present have two events and their evidence entries, as if they had been dispatched;
their titles repeat after 20,000.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

PORT = 8799
PASSWORD = "bench-password"
DISTRICTS = 8
BLOCK = 20_000  # cases that are made one by one
SUBJECTS = ("超标排放", "扬尘污染", "异味扰民", "数据异常", "污水直排", "露天焚烧")


def city() -> None:
    """A city centre, districts, a dispatcher and an officer of each district."""
    from jingwei.bureau.accounts.models import Department, Jurisdiction, User
    from jingwei.bureau.registry.models import Region

    top = Region.objects.create(code="990000", name="测试市", name_en="Test")
    centre = Department.objects.create(code="city", name="指挥中心", kind="city")
    Jurisdiction.objects.create(department=centre, area="")
    people = [("dispatcher", "dispatcher", centre)]
    for n in range(DISTRICTS):
        region = Region.objects.create(
            code=f"9901{n:02}", name=f"{n}区", name_en=f"D{n}", parent=top
        )
        office = Department.objects.create(code=f"d{n}", name=f"{n}区中心", kind="district")
        Jurisdiction.objects.create(department=office, area=region.code)
        people.append((f"district{n}", "district", office))
    for name, role, department in people:
        user = User(username=name, role=role, department=department, first_name=name)
        user.set_password(PASSWORD)
        user.save()


def findings(first: int, count: int, state: str) -> list[Any]:
    from django.utils import timezone

    from jingwei.bureau.findings.models import Finding

    now = timezone.now()
    rows = [
        Finding(
            kind="patrol", episode=f"bench/{n}", state=state, region_id=f"9901{n % DISTRICTS:02}",
            title=f"第{n}号{SUBJECTS[n % len(SUBJECTS)]}", longitude=116, latitude=40, began=now,
            ended=now,
        )
        for n in range(first, first + count)
    ]  # fmt: skip
    return Finding.objects.bulk_create(rows, batch_size=500)


def present(count: int, *, due_in: timedelta = timedelta(days=5)) -> None:
    """Cases under way, with what their acts left behind: a block of them as the program makes them,
    the rest its copies, made by the database."""
    from django.db import connection

    block = min(count, BLOCK)
    if not block:
        return
    made = _block(block, due_in)
    copies, rest = divmod(count - block, block)
    for k in range(1, copies + 1):
        _copy(made, block, k)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model, _, _ in made:
                table = model._meta.db_table
                cursor.execute(
                    f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}"
                )
            cursor.execute("ANALYZE")
    if rest:
        present(rest, due_in=due_in)


Made = list[tuple[Any, int, int]]  # table, first id, ids


def _copy(made: Made, block: int, k: int) -> None:
    """The block once more, `k` blocks on."""
    from django.db import connection, transaction

    shifts = {model: size * k for model, _, size in made}
    uid = "gen_random_uuid()" if connection.vendor == "postgresql" else "lower(hex(randomblob(16)))"
    with transaction.atomic(), connection.cursor() as cursor:
        for model, first, size in made:
            columns, values = [], []
            for field in model._meta.concrete_fields:
                name = f'"{field.column}"'
                columns.append(name)
                target = field.related_model
                if field.primary_key:
                    values.append(f"{name} + {size * k}")
                elif target in shifts:
                    values.append(f"{name} + {shifts[target]}")
                elif name == '"index"':
                    values.append(f"{name} + {size * k}")
                elif name == '"uid"':
                    values.append(uid)
                elif name in ('"key"', '"episode"'):
                    values.append(f"{name} || '/{k}'")
                else:
                    values.append(name)
            table = model._meta.db_table
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) SELECT {', '.join(values)}"
                f" FROM {table} WHERE id >= {first} AND id < {first + size}"
            )
            if table == "cases_case":
                cursor.execute(
                    f"INSERT INTO cases_casetext (rowid, words) SELECT rowid + {size * k}, words"
                    f" FROM cases_casetext WHERE rowid >= {first} AND rowid < {first + size}"
                )


def _block(count: int, due_in: timedelta) -> Made:
    from django.db import connection, transaction
    from django.utils import timezone

    from jingwei.bureau.accounts.models import Department
    from jingwei.bureau.cases import search
    from jingwei.bureau.cases.models import Case, CaseEvent
    from jingwei.bureau.evidencelog.models import EvidenceEntry
    from jingwei.bureau.findings.models import Finding

    offices = {d.code: d for d in Department.objects.all()}
    content = json.dumps({"content": {"x": "0" * 500}})
    now = timezone.now()
    known = Case.objects.count()
    with transaction.atomic():
        taken = findings(10**9 + known, count, "in_case")
        cases = Case.objects.bulk_create(
            [
                Case(
                    flow="handling", state="dispatched", version=2, matter="patrol",
                    title=f"第{n}号{SUBJECTS[n % len(SUBJECTS)]}案件", text="请到现场核实。",
                    region_id=f"9901{n % DISTRICTS:02}", department=offices[f"d{n % DISTRICTS}"],
                    opened=now, issued=now, due=now + due_in, level_since=now,
                    level_due=now + due_in, escalate_at=now + due_in, clock=now + due_in,
                )
                for n in range(known, known + count)
            ],
            batch_size=500,
        )  # fmt: skip
        joined = Case.findings.through.objects.bulk_create(
            [
                Case.findings.through(case_id=c.pk, finding_id=f.pk)
                for c, f in zip(cases, taken, strict=True)
            ],
            batch_size=1000,
        )
        entries = EvidenceEntry.objects.bulk_create(
            [
                EvidenceEntry(
                    kind="case_event", subject=f"case:{c.pk}", content=content,
                    index=2 * (known + i) + seq,
                )
                for i, c in enumerate(cases)
                for seq in (0, 1)
            ],
            batch_size=500,
        )  # fmt: skip
        events = CaseEvent.objects.bulk_create(
            [
                CaseEvent(
                    case=c, seq=seq + 1, transition=("open", "dispatch")[seq],
                    target=("triage", "dispatched")[seq], at=now, salt="0" * 32,
                    evidence=entries[2 * i + seq], changes={"state": "dispatched"},
                    key=f"bench:{c.pk}:{seq}",
                )
                for i, c in enumerate(cases)
                for seq in (0, 1)
            ],
            batch_size=500,
        )  # fmt: skip
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO cases_casetext (rowid, words) VALUES (%s, %s)",
                [(c.pk, search.text_of(c)) for c in cases],
            )
    rows = (
        (Finding, taken), (Case, cases), (Case.findings.through, joined), (EvidenceEntry, entries),
        (CaseEvent, events),
    )  # fmt: skip
    return [(model, of[0].pk, len(of)) for model, of in rows]


class Client:
    """One logged-in person on one connection."""

    def __init__(self, name: str) -> None:
        self.http = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60)
        self.cookies: dict[str, str] = {}
        self.get("/accounts/login/")
        status, where = self.post("/accounts/login/", {"username": name, "password": PASSWORD})
        assert status == 302, (name, status, where)

    def _send(self, method: str, path: str, body: str = "") -> tuple[int, str]:
        headers = {"Cookie": "; ".join(f"{k}={v}" for k, v in self.cookies.items())}
        if method == "POST":
            headers |= {
                "Content-Type": "application/x-www-form-urlencoded",
                "X-CSRFToken": self.cookies.get("csrftoken", ""),
            }
        self.http.request(method, path, body, headers)
        answer = self.http.getresponse()
        self.body = answer.read()
        for header, value in answer.getheaders():
            if header.lower() == "set-cookie":
                self.cookies |= {k: m.value for k, m in SimpleCookie(value).items()}
        # "Done" is shown and cleared on the next page, which nobody opens here: without this the
        # messages of all acts would pile up in the session.
        self.cookies.pop("messages", None)
        return answer.status, answer.getheader("Location") or ""

    def get(self, path: str) -> int:
        return self._send("GET", path)[0]

    def post(self, path: str, data: dict[str, Any]) -> tuple[int, str]:
        return self._send("POST", path, urlencode(data))


def lifecycle(city_desk: Client, officer: Client, finding: int, office: int, tag: str) -> None:
    """Create, assign, resolve, search."""
    status, where = city_desk.post(
        f"/cases/open/?flow=handling&finding={finding}",
        {"title": f"压测{tag}案", "text": "请核实并报送。", "token": tag},
    )
    assert status == 302, (status, city_desk.body[:2000])
    act = f"{where}act/"
    for who, name, version, data in (
        (city_desk, "dispatch", 1, {"department": office, "days": 10}),
        (officer, "sign", 2, {}),
        (
            officer,
            "nothing",
            3,
            {"text": "现场核实未见异常。", "verdict": "other", "cause_code": "none"},
        ),
    ):
        status, _where = who.post(f"{act}{name}/", {"version": version, **data})
        assert status == 302, (name, status, who.body[:2000])
    assert city_desk.get(f"/cases/?q={quote(f'压测{tag}案')}") == 200
    assert where.encode() in city_desk.body, "the search does not find it"


def processor_time(root: int) -> float:
    """Seconds of processor time that a process and its descendants have used."""
    ticks, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                rest = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # gone
            parents[int(entry.name)] = int(rest[1])
            ticks[int(entry.name)] = int(rest[11]) + int(rest[12])
    family, grown = {root}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        family |= more
        grown = bool(more)
    return sum(ticks.get(pid, 0) for pid in family) / os.sysconf("SC_CLK_TCK")


def arithmetic() -> float:
    """Seconds of processor time for a million additions."""
    began, value = time.process_time(), 0
    for n in range(1_000_000):
        value += n
    return time.process_time() - began


def run(total: int, clients: int, series: str, server: int) -> dict[str, float]:
    """Lifecycles by several clients at once."""
    from jingwei.bureau.accounts.models import Department

    offices = {d.code: d.pk for d in Department.objects.filter(kind="district")}
    pool = findings(int(series) * 10**6, total + clients, "new")
    desks = [Client("dispatcher") for _ in range(clients)]
    officers = [Client(f"district{n % DISTRICTS}") for n in range(clients)]
    times: list[float] = []
    errors: list[BaseException] = []
    lock = threading.Lock()

    def one(desk: int, finding: Any, tag: str) -> None:
        n = desk % DISTRICTS
        lifecycle(desks[desk], officers[desk], finding.pk, offices[f"d{n}"], tag)

    # Each client's finding lies in the district of its officer or not: the lead may be any.
    for desk in range(clients):
        one(desk, pool.pop(), f"{series}w{desk}x")
    unit = arithmetic()
    own, used, began = time.process_time(), processor_time(server), time.perf_counter()

    def work(desk: int) -> None:
        try:
            while True:
                with lock:
                    if not pool:
                        return
                    finding = pool.pop()
                start = time.perf_counter()
                one(desk, finding, f"{series}n{finding.pk}x")
                with lock:
                    times.append(time.perf_counter() - start)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    took, used = time.perf_counter() - began, processor_time(server) - used
    own = time.process_time() - own
    unit = (unit + arithmetic()) / 2
    cuts = statistics.quantiles(times, n=20)
    return {
        "lifecycles_per_s": round(total / took, 1),
        "requests_per_s": round(5 * total / took, 1),
        "server_cpu_ms": round(used / total * 1000, 1),
        "client_cpu_ms": round(own / total * 1000, 1),
        "unit_ms": round(unit * 1000, 1),
        "load": round(os.getloadavg()[0], 1),
        "p50_ms": round(statistics.median(times) * 1000, 1),
        "p95_ms": round(cuts[18] * 1000, 1),
        "longest_ms": round(max(times) * 1000, 1),
    }


def clock(count: int) -> dict[str, float]:
    """One turn of the clock over `count` open cases."""
    from django.utils import timezone

    from jingwei.bureau.cases import tasks
    from jingwei.bureau.cases.models import Case

    present(max(count - Case.objects.exclude(escalate_at=None).count(), 0))
    now = timezone.now()
    quiet = []
    for _ in range(5):
        start = time.perf_counter()
        tasks.tick(now)
        quiet.append(time.perf_counter() - start)
    chosen = list(Case.objects.filter(state="dispatched").values_list("pk", flat=True)[:100])
    early = now - timedelta(hours=1)
    Case.objects.filter(pk__in=chosen).update(
        due=now + timedelta(days=9), level_due=early, escalate_at=early
    )
    start = time.perf_counter()
    tasks.tick(now)
    return {
        "open": Case.objects.exclude(escalate_at=None).count(),
        "none_due_ms": round(statistics.median(quiet) * 1000, 2),
        "hundred_due_ms": round((time.perf_counter() - start) * 1000, 1),
    }


def serve(workers: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from jingwei.cli import main; main()", "web"],
        env={**os.environ, "JINGWEI_WEB_WORKERS": str(workers)},
        stdout=subprocess.DEVNULL,
    )
    for _ in range(300):
        try:
            http.client.HTTPConnection("127.0.0.1", PORT, timeout=1).request("GET", "/healthz")
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the web server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", default="")
    parser.add_argument("--present", type=int, nargs="+", default=[0, 100_000])
    parser.add_argument("--lifecycles", type=int, default=400)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--tick", type=int, default=300_000)
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="jingwei-bench-cases-")
    os.environ.update(
        JINGWEI_DATA=folder,
        JINGWEI_DATABASE=args.database,
        JINGWEI_PROFILE="production",
        JINGWEI_HTTP=f"127.0.0.1:{PORT}",
        DJANGO_SETTINGS_MODULE="jingwei.config.settings",
    )
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    call_command("collectstatic", verbosity=0, interactive=False)
    server = None
    report: dict[str, Any] = {
        "database": connection.vendor,
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "clients": args.clients,
        "web_workers": args.workers,
        "requests_a_lifecycle": 5,
        "lifecycles": {},
    }
    try:
        city()
        server = serve(args.workers)
        from jingwei.bureau.cases.models import Case

        for number, wanted in enumerate(sorted(args.present), start=1):
            present(max(wanted - Case.objects.count(), 0))
            report["lifecycles"][wanted] = run(
                args.lifecycles, args.clients, str(number), server.pid
            )
        if args.tick:
            report["tick"] = clock(args.tick)
    finally:
        if server is not None:
            server.terminate()
            server.wait(30)
        connection.close()
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
