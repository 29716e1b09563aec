# SPDX-License-Identifier: PostgreSQL
"""Measurements that are not nanoseconds per record: memory, reading, long and hard runs, pmacct."""
import os
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import Callable

from backbone import backbone
from bursts import bursts
from compare import PMACCT, children, compare
from harness import (BUILD, BUFFER_BYTES, PORT, RECEIVER_CPU, Traffic, cpu_nsec, interrupt, pin, socket_state)
from rows import MATRIX, file

READ_GROUPS = 65536
CLIENTS = 10
MEGABYTE = 1 << 20


@dataclass
class Job:
    name: str
    title: str
    run: Callable  # (server, report, quick)
    quick: bool


# ---- memory -------------------------------------------------------------------------------------

def power_of_two(n, least):
    size = least
    while size < n:
        size *= 2
    return size


def window_bytes(groups, row_bytes):
    """Memory of the groups of one window: the formula of README.md."""
    per_chunk = 65536 // row_bytes
    head = 128
    index = power_of_two(2 * groups, 16) * 8
    chunks = -(-groups // per_chunk)
    if chunks <= 1:
        return head + index + power_of_two(groups * row_bytes, 64)
    return head + index + chunks * 65536 + power_of_two(chunks, 8) * 8


def explained(server, view, what, part):
    """Of the rows of backstream.explain() about a part of the view."""
    return server.number(f"SELECT {what} FROM backstream.views v, backstream.explain(v.query) e "
                         f"WHERE v.view = '{view}'::regclass AND e.part = '{part}'")


def predicted_bytes(server, view):
    """What the formula says for the windows that a view holds now."""
    row_bytes = explained(server, view, "max(e.bytes)", "group")
    windows = server.sql(f"SELECT groups FROM backstream.windows('{view}'::regclass)")
    if not windows:
        return 0
    keys = explained(server, view, "count(*)", "key")
    panes = power_of_two(len(windows), 8) * 8 + len(windows) * 64
    if keys == 0:
        return panes + len(windows) * power_of_two(96 + row_bytes, 64)
    return panes + sum(window_bytes(int(groups), row_bytes) for [groups] in windows)


def memory_per_group(server, report, quick):
    groups = 65537
    server.use_views(MATRIX + ";")
    traffic = Traffic(rate=300000, count=groups, as_pairs=groups, addresses=256, keys="sequential")
    server.settle(traffic, traffic.send()["records"])
    [held, memory] = server.sql("SELECT groups, memory_bytes FROM backstream.views WHERE view = 'v'::regclass")[0]
    if int(held) != groups:
        raise RuntimeError(f"{held} groups, not {groups}")
    report.facts["memory_bytes_65537_groups"] = int(memory)
    report.bar("bytes per group of the traffic matrix, just after the table doubled", int(memory) / groups, 96)


# ---- reading ------------------------------------------------------------------------------------

def milliseconds(server, statement):
    """psql's own clock: until the last row has arrived."""
    result = subprocess.run(server.psql_command("-At"), input=f"\\timing on\n{statement};\n", text=True,
                            capture_output=True, check=True)
    return float(result.stdout.rsplit("Time: ", 1)[1].split()[0])


def reading(server, report, quick):
    view = MATRIX.replace(" v AS", " v WITH (clock = 'data') AS").replace("5 min", "1 min")
    server.use_views(view + ";")
    traffic = Traffic(rate=300000, count=READ_GROUPS, as_pairs=READ_GROUPS, addresses=256, keys="sequential",
                      start_time="2026-01-31T12:00:00", time_step="0.0005", duration=1)
    server.settle(traffic, traffic.send()["records"])
    later = Traffic(rate=1000, count=10, start_time="2026-01-31T12:10:00", duration=1)
    later.source = traffic.source
    later.command = [x for x in later.command if not x.startswith("--source-base")]
    later.command.append(f"--source-base={traffic.source}")
    later.send()
    server.wait_for("SELECT count(*) FROM backstream.windows('v'::regclass) WHERE state = 'closed' "
                    f"AND groups = {READ_GROUPS}")
    where = "WHERE time = '2026-01-31 12:00:00+00'"
    if server.number(f"SELECT count(*) FROM v {where}") != READ_GROUPS:
        raise RuntimeError("the closed window does not have the groups that were sent")
    fetched = [milliseconds(server, f"SELECT * FROM v {where}") for _ in range(7)]
    counted = [milliseconds(server, f"SELECT sum(bytes) FROM v {where}") for _ in range(7)]
    report.facts["read_rows_msec"] = fetched
    report.facts["read_sum_msec"] = counted
    report.bar("one closed window of 65,536 groups, all rows to psql", statistics.median(fetched), 60, unit=" ms")
    report.bar("the same, summed in the server", statistics.median(counted), 60, unit=" ms")


# ---- a provider ---------------------------------------------------------------------------------

def provider(server, report, quick):
    seconds = 10 if quick else 30
    server.use_views(file("provider.sql"))
    before, started = server.cpu_of_workers(), time.monotonic()
    senders = [Traffic(rate=150000, seconds=seconds, version=version, exporters=100, keys="zipf:1.1",
                       sampling=1000).start() for version in ("v9", "ipfix")]
    sent = [sender.finish()["records"] for sender in senders]
    received = [server.settle(sender, n) for sender, n in zip(senders, sent)]
    share = (server.cpu_of_workers() - before) / 1e9 / (time.monotonic() - started)
    report.bar(f"provider: 200 exporters, {sum(sent) / seconds / 1000:.0f} k records/s, six views: "
               "share of a core", share, 0.5)
    report.truth("provider: nothing lost", received == sent)
    views = server.sql("SELECT view, memory_bytes FROM backstream.views ORDER BY 1")
    # Sources of time are 32 bytes each, in a table at most half full.
    sources = power_of_two(2 * 200, 2) * 32
    worst = 0
    for view, memory in views:
        windowed = explained(server, view, "count(*)", "window")
        formula = predicted_bytes(server, view) + windowed * sources
        report.facts[f"provider_memory_{view}"] = {"bytes": int(memory), "formula": formula}
        worst = max(worst, abs(int(memory) - formula) / max(formula, 65536))
    report.facts["provider_memory_used"] = server.number("SELECT used FROM backstream.memory")
    report.bar("provider: memory beside the formula, of the view that is furthest off", 100 * worst, 5, unit=" %")


# ---- readers ------------------------------------------------------------------------------------

def readers(server, report, quick):
    """Ten clients read the matrix once a second while it is filled at 2 million records/s."""
    seconds, rate = (8 if quick else 30), 2000000
    server.use_views(MATRIX + ";")
    statement = "SELECT sum(records), sum(bytes) FROM v \\watch 1\n"
    clients = []
    for _ in range(CLIENTS):
        out = tempfile.TemporaryFile("w+")
        client = subprocess.Popen(server.psql_command("-At"), stdin=subprocess.PIPE, stdout=out,
                                  stderr=subprocess.PIPE, text=True)
        client.stdin.write(statement)
        client.stdin.close()  # it goes on until it is interrupted
        clients.append((client, out))
        time.sleep(1 / CLIENTS)
    before, started = server.cpu(), time.monotonic()
    traffic = Traffic(rate=rate, seconds=seconds)
    totals = traffic.send()
    received = server.settle(traffic, totals["records"])
    report.facts["readers_cpu_share"] = (server.cpu() - before) / 1e9 / (time.monotonic() - started)
    reads = 0
    for client, out in clients:
        interrupt(client)
        out.seek(0)
        reads += sum("|" in line for line in out)
        out.close()
    [row] = server.sql("SELECT sum(records), sum(bytes), sum(packets) FROM v")
    exact = [int(x or 0) for x in row] == [totals["records"], totals["bytes"], totals["packets"]]
    report.facts["readers"] = {"sent": totals["records"], "received": received, "reads": reads,
                               "records_per_sec": totals["records_per_sec"],
                               "sender_slipped_secs": totals["slipped_secs"]}
    report.truth(f"2 M records/s for {seconds} s ({totals['records_per_sec'] / 1e6:.2f} M/s sent), "
                 f"{CLIENTS} readers ({reads} reads): zero loss, exact totals", exact)


# ---- beyond capacity ----------------------------------------------------------------------------

def flood(server, report, quick):
    """A sender flat out against a small buffer: received + lost by sequence = sent."""
    server.use_views(file("sixteen.sql"))
    server.set("backstream.receive_buffer", "64kB")
    for version in ("v5", "ipfix"):
        traffic = Traffic(rate=0, seconds=2 if quick else 5, version=version, linger=1500)
        totals = traffic.send()
        time.sleep(0.5)
        records, lost, _ = server.received_from(traffic)
        report.facts[f"flood_{version}"] = {"sent": totals["records"], "received": records, "lost": lost}
        report.truth(f"flood of {version} at {totals['records'] / totals['elapsed_secs'] / 1e6:.1f} M/s: "
                     "received + lost = sent, and some were lost",
                     records + lost == totals["records"] and lost > 0)
    server.set("backstream.receive_buffer", f"{BUFFER_BYTES // 1024}kB")
    report.truth("flood: the receiver did not restart",
                 server.number("SELECT pid FROM backstream.receivers") == server.receiver)


# ---- pmacct -------------------------------------------------------------------------------------

def run_nfacctd(directory, rate, seconds):
    """(CPU nanoseconds per record of its processes, datagrams dropped, share of the packets counted)."""
    port = PORT + 2
    config = os.path.join(directory, "nfacctd.conf")
    with open(config, "w") as f:
        f.write(PMACCT.format(port=port, dir=directory, buffer=BUFFER_BYTES))
    with open(os.path.join(directory, "nfacctd.log"), "w") as log:
        daemon = subprocess.Popen(["nfacctd", "-f", config], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                  preexec_fn=pin(RECEIVER_CPU))
    time.sleep(2)
    pids = [daemon.pid, *children(daemon.pid)]
    before = sum(cpu_nsec(pid) for pid in pids)
    totals = Traffic(port=port, rate=rate, seconds=seconds).send()
    last, quiet, until = -1, 0, time.monotonic() + 60
    while quiet < 4 and time.monotonic() < until:  # until its plugin has taken what is queued, on a busy machine too
        now = sum(cpu_nsec(pid) for pid in pids)
        quiet = quiet + 1 if last >= 0 and now - last < 2000000 else 0
        last = now
        time.sleep(0.5)
    _, drops = socket_state(port)
    answer = subprocess.run(["pmacct", "-s", "-p", os.path.join(directory, "imt.pipe"), "-O", "csv"],
                            capture_output=True, text=True)
    packets = sum(int(line.split(",")[2]) for line in answer.stdout.splitlines()[1:] if line.count(",") >= 3)
    interrupt(daemon)
    return (now - before) / totals["records"], drops, packets / totals["packets"]


def pmacct(server, report, quick):
    """The same matrix by nfacctd, and by us at the same rate, turn about."""
    theirs, ours, rate, seconds = [], [], 200000, 3 if quick else 6
    for _ in range(1 if quick else 3):
        with tempfile.TemporaryDirectory(prefix="backstream-pmacct-") as directory:
            nsec, drops, counted = run_nfacctd(directory, rate, seconds)
        report.facts.setdefault("pmacct_rounds", []).append({"ns": nsec, "drops": drops, "counted": counted})
        if drops or counted < 0.98:  # its plugin still holds a buffer of records
            continue
        server.use_views(MATRIX + ";")
        traffic = Traffic(rate=rate, seconds=seconds)
        before = server.cpu()
        totals = traffic.send()
        if server.settle(traffic, totals["records"]) == totals["records"]:
            theirs.append(nsec)
            ours.append((server.cpu() - before) / totals["records"])
    if not theirs:
        report.bar("pmacct's nfacctd / ours at full rate", None, 25, at_least=True)
        return
    report.facts["pmacct"] = {"rate": rate, "nfacctd_ns": theirs, "ours_ns": ours}
    theirs_ns, ours_ns = statistics.median(theirs), statistics.median(ours)
    full = report.median("matrix")
    report.bar(f"pmacct's nfacctd at {rate // 1000} k/s ({theirs_ns:.0f} ns) / ours at full rate",
               None if full is None else theirs_ns / full, 25, at_least=True)
    # At such a rate most of what we take is being woken; the bare loop takes half as much.
    report.note(f"the same / ours at {rate // 1000} k/s ({ours_ns:.0f} ns)",
                statistics.median(a / b for a, b in zip(theirs, ours)))


# ---- live tails ---------------------------------------------------------------------------------

TAIL = """SET backstream.listen_for = '{seconds} s'; SET backstream.tail_buffer = '{buffer}';
SELECT {tail}, count(*), coalesce(sum(bytes), 0) FROM backstream.flow WHERE src_port % {tails} = {tail}"""


def start_tails(server, tails, seconds):
    clients = [subprocess.Popen(
        server.psql_command("-At", "-F", "\t", "-c", TAIL.format(seconds=seconds, tails=tails, tail=i, buffer="4MB")),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for i in range(tails)]
    if server.wait_for("SELECT count(*) FROM backstream.tails", tails) != tails:
        raise RuntimeError("some tail does not listen")
    time.sleep(0.3)
    return clients


def live_tails(server, report, quick):
    """Statements that read the stream, each another part of it: what a record costs more, and all are exact."""
    seconds, rate = (3 if quick else 8), 200000
    nsec = {}
    server.use_views("""CREATE CONTINUOUS VIEW v AS
        SELECT src_port % 100 AS part, count(*) AS records, sum(bytes) AS bytes FROM backstream.flow GROUP BY 1""")
    for tails in (0, 1, 100):
        known = {row[0]: row[1:] for row in server.sql("SELECT part, records, bytes FROM v")}
        clients = start_tails(server, tails, seconds + 3 + tails // 5)
        traffic = Traffic(rate=rate, seconds=seconds)
        before = server.cpu()
        sent = traffic.send()["records"]
        server.settle(traffic, sent)
        nsec[tails] = (server.cpu() - before) / sent
        answers = [client.communicate() for client in clients]
        if tails < 100:
            continue
        expected = {row[0]: [int(x) - int(y) for x, y in zip(row[1:], known.get(row[0], [0, 0]))]
                    for row in server.sql("SELECT part, records, bytes FROM v")}
        exact = all(not err and [int(x) for x in out.split("\t")[1:]] == expected[out.split("\t")[0]]
                    for out, err in answers)
        report.truth(f"100 live tails at {rate // 1000} k records/s: nothing dropped, all exact", exact)
    report.note("one live tail of everything: ns more per record", nsec[1] - nsec[0])
    report.note("each of 100 live tails with a condition: ns more per record", (nsec[100] - nsec[0]) / 100)


# ---- parts of the way, from memory ---------------------------------------------------------------

def lines_of(program, *arguments):
    result = subprocess.run([os.path.join(BUILD, program), *arguments], capture_output=True, text=True, check=True,
                            preexec_fn=pin(RECEIVER_CPU))
    return [line.split("\t") for line in result.stdout.splitlines() if line.count("\t") == 2]


def parts(server, report, quick):
    """A row per aggregate, per kind of expression, of keys and of windows, and views over the same keys."""
    rows = lines_of("bench_views") + lines_of("bench_expr", "20" if quick else "100") + lines_of("bench_windows")
    report.parts = [(kind, what, float(nsec)) for kind, what, nsec in rows]
    of_views = {(kind, int(what)): nsec for kind, what, nsec in report.parts if kind.startswith("views")}
    first = of_views["views alone", 1]
    report.bar("a second view over the same keys / the first, from memory",
               (of_views["views sharing", 2] - first) / first, 0.8)
    of_widths = {(kind, int(what)): nsec for kind, what, nsec in report.parts if kind.startswith("widths")}
    report.bar("hops of four widths over the same keys / one, from memory",
               of_widths["widths sharing", 4] / of_widths["widths alone", 1], 1.5)
    report.note("the same, each alone", of_widths["widths alone", 4] / of_widths["widths alone", 1])
    report.note("sixteen views over the same keys / one, from memory", of_views["views sharing", 16] / first)
    report.note("the same, each alone", of_views["views alone", 16] / first)
    windows = {what: nsec for kind, what, nsec in report.parts if kind == "windows"}
    for what, nsec in windows.items():
        if not what.startswith("tumbling"):
            report.note(f"{what} / tumbling, from memory", nsec / windows["tumbling, 10 s"])


JOBS = [
    Job("parts", "parts of the way, from memory", parts, True),
    Job("memory", "memory per group", memory_per_group, True),
    Job("reading", "reading a closed window", reading, True),
    Job("readers", "2 M records/s with ten readers", readers, True),
    Job("tails", "live tails", live_tails, True),
    Job("flood", "beyond capacity", flood, True),
    Job("pmacct", "pmacct beside it", pmacct, True),
    Job("compare", "nfdump and pmacct: the same question", compare, False),
    Job("provider", "a provider's profile", provider, True),
    Job("bursts", "an hour in bursts beside nfdump", bursts, False),
    Job("backbone", "reading from nodes", backbone, False),
]
