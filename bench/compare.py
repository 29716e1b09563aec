# SPDX-License-Identifier: PostgreSQL
"""What docs/comparison.md says of nfdump and pmacct in numbers: the same records into each, the same question to each.

IPFIX at a rate that all of them take; then the ten pairs of AS with the most bytes.  Turn about, on one core for who
receives; CPU time of all of its processes, the server's or the daemon's.  Answers are compared.
"""
import os
import statistics
import subprocess
import tempfile
import time

from harness import BUFFER_BYTES, PORT, RECEIVER_CPU, Traffic, cpu_nsec, interrupt, pin, socket_state
from rows import MATRIX

COLLECTOR_PORT = PORT + 4
RATE = 100000
OPTIONS = {"version": "ipfix", "rate": RATE, "as_pairs": 45000, "keys": "zipf:1.1", "quantum": 1000}
TOP = "SELECT src_as, dst_as, sum(bytes) FROM v GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10;"


PMACCT = """daemonize: false
nfacctd_ip: 127.0.0.1
nfacctd_port: {port}
nfacctd_as: netflow
nfacctd_disable_checks: true
nfacctd_pipe_size: {buffer}
plugins: memory[m]
aggregate[m]: src_as, dst_as
imt_path[m]: {dir}/imt.pipe
imt_buckets[m]: 131071
imt_mem_pools_number[m]: 0
imt_mem_pools_size[m]: 1048576
plugin_pipe_size[m]: 67108864
plugin_buffer_size[m]: 65536
"""


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(x) for x in f.read().split()]


def timed(command, **options):
    began = time.monotonic()
    output = subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout
    return time.monotonic() - began, output


def quiet_cpu(pids):
    """CPU time of these, when they have done all that waits."""
    last, quiet, until = -1, 0, time.monotonic() + 60
    while quiet < 4 and time.monotonic() < until:
        now = sum(cpu_nsec(pid) for pid in pids)
        quiet = quiet + 1 if last >= 0 and now - last < 2000000 else 0
        last = now
        time.sleep(0.5)
    return last


def daemon(command, directory):
    with open(os.path.join(directory, "log"), "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, preexec_fn=pin(RECEIVER_CPU))
    time.sleep(2)
    return process, [process.pid, *children(process.pid)]


def collect(pids, records):
    """(CPU nanoseconds per record, datagrams dropped)"""
    before = quiet_cpu(pids)
    totals = Traffic(port=COLLECTOR_PORT, count=records, **OPTIONS).send()
    return (quiet_cpu(pids) - before) / totals["records"], socket_state(COLLECTOR_PORT)[1]


def of_nfdump(directory, records):
    process, pids = daemon(["nfcapd", "-w", directory, "-b", "127.0.0.1", "-p", str(COLLECTOR_PORT), "-t", "3600",
                            "-B", str(BUFFER_BYTES)], directory)
    nsec, drops = collect(pids, records)
    process.terminate()
    process.wait()
    os.remove(os.path.join(directory, "log"))
    disk = sum(os.path.getsize(os.path.join(directory, f)) for f in os.listdir(directory))
    seconds, output = timed(["nfdump", "-R", directory, "-N", "-q", "-A", "srcas,dstas", "-O", "bytes", "-n", "10",
                             "-o", "fmt:%sas|%das|%byt"], preexec_fn=pin(RECEIVER_CPU))
    return nsec, drops, disk, seconds, [int(line.split("|")[2]) for line in output.splitlines() if line.count("|") == 2]


def of_pmacct(directory, records):
    config = os.path.join(directory, "nfacctd.conf")
    with open(config, "w") as f:
        f.write(PMACCT.format(port=COLLECTOR_PORT, dir=directory, buffer=BUFFER_BYTES))
    process, pids = daemon(["nfacctd", "-f", config], directory)
    nsec, drops = collect(pids, records)
    seconds, output = timed(["pmacct", "-s", "-p", os.path.join(directory, "imt.pipe"), "-T", "bytes,10", "-O", "csv"],
                            preexec_fn=pin(RECEIVER_CPU))
    interrupt(process)
    lines = [line.split(",") for line in output.splitlines()[1:] if line.count(",") >= 3]
    return nsec, drops, 0, seconds, [int(line[3]) for line in lines]


def of_backstream(server, records):
    server.use_views(MATRIX + ";")
    traffic = Traffic(count=records, **OPTIONS)
    before = server.cpu_of_workers()
    totals = traffic.send()
    received = server.settle(traffic, totals["records"])
    nsec = (server.cpu_of_workers() - before) / totals["records"]
    seconds, output = timed(server.psql_command("-A", "-t", "-c", TOP))
    return nsec, totals["records"] - received, 0, seconds, [int(line.split("|")[2]) for line in output.splitlines()]


def compare(server, report, quick):
    found = {}
    for records in (500000,) if quick else (1000000, 4000000):
        for _ in range(1 if quick else 2):
            answers = {"BackStream": of_backstream(server, records)}
            for name, collector in (("nfdump", of_nfdump), ("pmacct", of_pmacct)):
                with tempfile.TemporaryDirectory(prefix="backstream-compare-") as directory:
                    answers[name] = collector(directory, records)
            for name, answer in answers.items():
                found.setdefault((name, records), []).append(answer)
            print({name: answer[:4] for name, answer in answers.items()}, flush=True)
            if not any(answer[1] for answer in answers.values()):
                ours, nfdump, pmacct = (sorted(answer[4]) for answer in answers.values())
                # nfacctd's plugin still holds a buffer of records.
                report.truth(f"{records} records: BackStream and nfdump have the same ten sums, pmacct within 2 %",
                             ours == nfdump and len(ours) == len(pmacct) == 10
                             and all(abs(a - b) < 0.02 * a for a, b in zip(ours, pmacct)))
    for (name, records), rounds in found.items():
        nsec, _, disk, seconds = (statistics.median(one[i] for one in rounds) for i in range(4))
        what = f"{name}, {records / 1e6:g} M records of IPFIX at {RATE // 1000} k/s"
        report.note(f"{what}: CPU", nsec, "ns per record")
        report.note(f"{what}: top ten of 45,000 pairs of AS", 1000 * seconds, "ms")
        if disk:
            report.note(f"{what}: on disk", disk / 1e6, "MB")
