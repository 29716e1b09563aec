# SPDX-License-Identifier: PostgreSQL
"""Reading from nodes: how long, beside nodes that only pack; bytes on the wire; memory of the reader.

Eight servers of their own, reached over TCP on loopback, and the bench's server as the reader.
"""
import os
import re
import secrets
import socket
import statistics
import subprocess
import tempfile
import time

from harness import Server, cpu_nsec, waited_nsec
from rows import SCALED

NODES = 8
GROUPS = 65536
MILLION = 1 << 20
ROUNDS = 7
MEGABYTE = 1 << 20
MERGE_NSEC = 150  # what the reader may take per group and node
# Between a packing and a reading, which take turns: long enough that they do not meet.
SLOT_SECS = 0.7
TIME = "2026-01-31 12:00:00+00"
WAKE_SECS = 4.0  # until all sessions wait for the first

SETTINGS = """
backstream.listen = ''
backstream.memory = '256MB'
shared_buffers = '16MB'
log_min_messages = warning
autovacuum = off
listen_addresses = '127.0.0.1'
port = {port}
hba_file = '{hba}'
"""


class Nodes:
    """Servers node_1 .. node_n of a reader, and its groups backbone_1, backbone_3 and so on."""

    def __init__(self, reader):
        self.reader = reader
        self.password = secrets.token_hex(16)
        self.servers = [self.start() for _ in range(NODES)]
        for i, node in enumerate(self.servers, 1):
            reader.sql(f"CREATE SERVER node_{i} FOREIGN DATA WRAPPER backstream "
                       f"OPTIONS (host '127.0.0.1', port '{node.port}', dbname 'postgres', node_timeout '60 s'); "
                       f"CREATE USER MAPPING FOR PUBLIC SERVER node_{i} "
                       f"OPTIONS (user 'postgres', password '{self.password}')")

    def start(self):
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            port = found.getsockname()[1]
        with tempfile.NamedTemporaryFile("w", prefix="backstream-bench-hba-", delete=False) as hba:
            hba.write("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        os.chmod(hba.name, 0o644)
        node = Server(tree=self.reader.tree, settings=SETTINGS.format(port=port, hba=hba.name), port=port)
        os.unlink(hba.name)
        node.sql(f"ALTER USER postgres PASSWORD '{self.password}'")
        return node

    def make(self, name, n, view):
        """A group of the first n nodes, in a schema of its name, and the view there."""
        members = ", ".join(f"node_{i}" for i in range(1, n + 1))
        self.reader.sql(f"CREATE SERVER {name} FOREIGN DATA WRAPPER backstream OPTIONS (nodes '{members}'); "
                        f"CREATE SCHEMA {name}; IMPORT FOREIGN SCHEMA backstream FROM SERVER {name} INTO {name}")
        self.reader.sql(view.replace("backstream.flow", f"{name}.flow").replace("VIEW v", f"VIEW {name}.v"))

    def fill(self, groups, own_keys):
        """Two records for each group of the traffic matrix on every node, keys in no order."""
        for number, node in enumerate(self.servers):
            first = number * groups if own_keys else 0
            node.sql("INSERT INTO backstream.flow (time_received, time_flow_end, exporter, src_as, dst_as, sampling_rate, "
                     f"bytes, packets) SELECT z, z, '192.0.2.{number + 1}', 1000 + k % 1024 * 311, 900 + k / 1024 * 353, "
                     "1000, 40 + i * 2654435761 % 1500000, 1 + i * 40503 % 1000 "
                     f"FROM generate_series(0::bigint, {2 * groups - 1}) i, LATERAL (SELECT {first} + i * 48271 % {groups} AS k, "
                     f"timestamptz '{TIME}' AS z) q")


def asked(node):
    """The arguments that partials() was last called with there, from its log."""
    with open(os.path.join(node.dir, "server.log")) as f:
        found = re.findall(r"backstream\.partials\(.*\n.*parameters: (.*)", f.read())
    return dict(re.findall(r"(\$\d) = ('[^']*')", found[-1]))


def packing(node):
    """The statement that packs what a reader has asked for, and gives it to nobody."""
    arguments = asked(node)
    call = ", ".join(arguments[f"${i}"] for i in range(1, 6))
    return f"SELECT sum(octet_length(p)) FROM (SELECT backstream.partials({call}) AS p) q"


def until(moment):
    return f"SELECT pg_sleep({moment!r} - extract(epoch FROM clock_timestamp()))"


def start_timed(server, statement, moments, end):
    """A session that runs a statement once, and again at each of these moments; it stays until the end."""
    script = f"{statement};\n"
    for moment in moments:
        script += f"{until(moment)};\n\\timing on\n{statement};\n\\timing off\n"
    process = subprocess.Popen(server.psql_command("-At"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    process.stdin.write(f"{script}{until(end)};\n")
    process.stdin.close()
    return process


def finish_timed(process):
    """Milliseconds, by psql's clock, of each time."""
    output = process.stdout.read()
    times = [float(x) for x in re.findall(r"^Time: ([\d.]+) ms", output, re.M)]
    if process.wait() != 0 or len(times) != ROUNDS:
        raise RuntimeError(f"a session of the bench ran {len(times)} times, not {ROUNDS}")
    return times


def sessions(servers, application):
    """The processes of those sessions; not that of who asks."""
    return [int(pid) for server in servers for [pid] in server.sql(
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() "
        f"AND application_name = '{application}'")]


def cpu_msec(pids):
    return sum(cpu_nsec(pid) for pid in pids) / 1e6


def sleep_until(moment):
    time.sleep(max(0, moment - time.time()))


def as_it_was_asked(nodes, used, statement, records):
    """The statements by which these nodes pack what this one reads."""
    for node in used:
        node.set("log_statement", "all")
    if nodes.reader.number(statement) != records:
        raise RuntimeError("not the records that nodes were given")
    statements = [packing(node) for node in used]
    for node in used:
        node.set("log_statement", "none")
    return statements


def read_beside_packing(nodes, n, report):
    """A merged window, and the same nodes packing their parts at once, in turns."""
    used = nodes.servers[:n]
    statement = f"SELECT sum(flows) FROM backbone_{n}.v WHERE time = '{TIME}'"
    pack = as_it_was_asked(nodes, used, statement, 2 * GROUPS * n)
    first = time.time() + WAKE_SECS
    end = first + 2 * ROUNDS * SLOT_SECS
    packers = [start_timed(node, one, [first + 2 * i * SLOT_SECS for i in range(ROUNDS)], end + 1)
               for node, one in zip(used, pack)]
    reader = start_timed(nodes.reader, statement, [first + (2 * i + 1) * SLOT_SECS for i in range(ROUNDS)], end + 1)
    time.sleep(WAKE_SECS / 4)
    packing_pids = sessions(used, "psql")
    [reader_pid] = sessions([nodes.reader], "psql")
    reading_pids = sessions(used, "backstream") + [reader_pid]
    if len(packing_pids) != n or len(reading_pids) != n + 1:
        raise RuntimeError(f"{len(packing_pids)} sessions pack and {len(reading_pids)} read")
    sleep_until(first - 0.2)
    before = cpu_msec(packing_pids), cpu_msec(reading_pids)
    waited = waited_nsec(reader_pid)
    sleep_until(end)
    packed_cpu, read_cpu = [(cpu_msec(pids) - then) / ROUNDS
                            for pids, then in zip((packing_pids, reading_pids), before)]
    waited = (waited_nsec(reader_pid) - waited) / ROUNDS / 1e6
    packed = [max(times) for times in zip(*[finish_timed(process) for process in packers])]
    read = finish_timed(reader)
    report.facts[f"backbone_{n}"] = {"packed_msec": packed, "read_msec": read,
                                     "packed_cpu_msec": packed_cpu, "read_cpu_msec": read_cpu,
                                     "reader_waited_msec": waited}
    what = f"a window of 65,536 groups merged from {n} node{'s' if n > 1 else ''}"
    for clock, alone, together in (("by the clock", statistics.median(packed), statistics.median(read)),
                                   ("CPU time of all", packed_cpu, read_cpu)):
        report.bar(f"{what}, {clock} (packed without a reader: {alone:.1f} ms)", together,
                   round(1.5 * alone + GROUPS * n * MERGE_NSEC / 1e6, 1), unit=" ms")
    report.note(f"{what}, the fastest of {ROUNDS} by the clock (packed: {min(packed):.1f} ms)", min(read), " ms")
    report.note(f"{what}: by the clock the session that reads was ready and had no CPU for", waited, " ms")


def bytes_on_the_wire(nodes, report):
    lines = nodes.reader.sql("EXPLAIN (ANALYZE, TIMING OFF, SUMMARY OFF) "
                             f"SELECT * FROM backbone_{NODES}.v WHERE time = '{TIME}'")
    found = re.findall(r"Node node_\d: groups=(\d+) bytes=(\d+)", "\n".join(line[0] for line in lines))
    if [int(groups) for groups, _ in found] != [GROUPS] * NODES:
        raise RuntimeError(f"EXPLAIN says {found}")
    report.bar("bytes on the wire per group of the traffic matrix",
               sum(int(size) for _, size in found) / (GROUPS * NODES), 64)


def reader_memory(nodes, report):
    """The most that the reading session has had, the shared memory that it touched included."""
    script = ("SELECT pg_backend_pid() AS pid \\gset\n\\setenv READER :pid\n"
              f"SELECT count(*), sum(flows) FROM million.v WHERE time = '{TIME}';\n"
              "\\! grep VmHWM /proc/$READER/status\n")
    output = nodes.reader.sql(script)
    if [int(x) for x in output[0]] != [MILLION, 2 * MILLION]:
        raise RuntimeError(f"a million groups are {output[0]}")
    peak = int(output[1][-1].split()[-2]) * 1024
    report.bar("memory of a session that reads a million groups from 8 nodes", peak / MEGABYTE, 512, unit=" MB")


def backbone(reader, report, quick):
    nodes = Nodes(reader)
    view = SCALED.replace("records", "flows").replace(" v AS", " v WITH (clock = 'data') AS")
    try:
        for n in (1, 3, NODES):
            nodes.make(f"backbone_{n}", n, view)
            nodes.fill(GROUPS, False)
            read_beside_packing(nodes, n, report)
            if n == NODES:
                bytes_on_the_wire(nodes, report)
            reader.sql(f"DROP SERVER backbone_{n} CASCADE")
        nodes.make("million", NODES, view)
        nodes.fill(MILLION // NODES, True)
        reader_memory(nodes, report)
        reader.sql("DROP SERVER million CASCADE")
    finally:
        for node in nodes.servers:
            node.stop()
