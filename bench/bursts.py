# SPDX-License-Identifier: PostgreSQL
"""Experiment 3 (docs/experiments.md) in full: an hour of bursts, 118,000 records each half minute, played as fast as
nothing is lost, into BackStream and by its backstream.forward into nfcapd.

Records are known by the burst that they are of: BackStream sees its export time, nfdump its flows' ends.  So for each
burst both say how many records and bytes are in which window, and what is in another one is there by the clock.
"""
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from harness import BUFFER_BYTES, PORT, SENDER_CPU, Traffic, pin, socket_state

BURST = 118000
BURSTS = 120
INTERVAL = 30
WINDOW = 300
# Ten seconds before a window: each tenth burst has flows of two.
START = datetime(2026, 1, 31, 11, 59, 50, tzinfo=timezone.utc)
NFCAPD_PORT = PORT + 3
# The hour's time beside ours: 1.2 M records/s on average, and down to 118,000.  A burst takes half of its interval.
SPEEDS = (300, 150, 100, 60, 30)

VIEWS = """CREATE CONTINUOUS VIEW by_end WITH (clock = 'data', lateness = '1 min', retain = '3 hours') AS
  SELECT tumble(time_flow_end, '5 min') AS time, time_export, count(*) AS n, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1, 2;
CREATE CONTINUOUS VIEW hasty WITH (clock = 'data', lateness = '0', retain = '3 hours') AS
  SELECT tumble(time_flow_end, '5 min') AS time, time_export, count(*) AS n, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1, 2;
CREATE CONTINUOUS VIEW by_arrival WITH (retain = '3 hours') AS
  SELECT tumble(time_received, '{seconds} s') AS time, time_export, count(*) AS n, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1, 2;"""

# Ends to ten seconds, arrival to the second.
SUM = r"""{ k = substr($1, 1, 18) "0|" substr($2, 1, 19); n[k]++; bytes[k] += $3 }
END { for (k in n) printf "%s|%d|%.0f\n", k, n[k], bytes[k] }"""


class Table(dict):
    """(burst, window) -> [records, bytes]"""

    def add(self, burst, window, records, volume):
        cell = self.setdefault((burst, window), [0, 0])
        cell[0] += records
        cell[1] += volume

    def by(self, part):
        sums = defaultdict(lambda: [0, 0])
        for key, cell in self.items():
            for i in (0, 1):
                sums[key[part]][i] += cell[i]
        return sums


@dataclass
class Played:
    speed: int
    seconds: int    # of a window by arrival
    began: int      # the first one
    totals: dict    # the generator's
    lost: int       # records that did not reach BackStream
    dropped: int    # datagrams that did not reach nfcapd


def differences(one, other):
    """Where two tables or sums differ: records of the one less those of the other, and bytes."""
    found = {key: [one.get(key, [0, 0])[i] - other.get(key, [0, 0])[i] for i in (0, 1)] for key in {*one, *other}}
    return {key: cell for key, cell in found.items() if cell != [0, 0]}


def floor(when, seconds):
    return int(when.timestamp()) // seconds * seconds


def of_view(server, view):
    table = Table()
    for window, burst, records, volume in server.sql(
            f"SELECT extract(epoch FROM time)::bigint, round(extract(epoch FROM time_export - '{START}') / {INTERVAL}) - 1, "
            f"n, bytes FROM {view}"):
        table.add(int(burst), int(window), int(records), int(volume))
    return table


def of_nfdump(directory, seconds):
    """By the end of flows, and by arrival."""
    by_end, by_arrival = Table(), Table()
    dump = subprocess.Popen(["nfdump", "-R", directory, "-N", "-q", "-o", "fmt:%te|%tr|%byt"], stdout=subprocess.PIPE,
                            env={**os.environ, "TZ": "UTC"})
    rows = subprocess.run(["mawk", "-F", " *[|] *", SUM], stdin=dump.stdout, capture_output=True, text=True, check=True)
    dump.stdout.close()
    if dump.wait() != 0:
        raise RuntimeError("nfdump failed")
    for line in rows.stdout.splitlines():
        ended, received, records, volume = line.split("|")
        ended, received = (datetime.fromisoformat(x).replace(tzinfo=timezone.utc) for x in (ended, received))
        burst = (ended - START) // timedelta(seconds=INTERVAL)
        by_end.add(burst, floor(ended, WINDOW), int(records), int(volume))
        by_arrival.add(burst, floor(received, seconds), int(records), int(volume))
    return by_end, by_arrival


def play(server, speed, directory):
    """The hour, from its begin until both have taken all of it."""
    server.use_views(VIEWS.format(seconds=WINDOW // speed))
    collector = subprocess.Popen(["nfcapd", "-w", directory, "-b", "127.0.0.1", "-p", str(NFCAPD_PORT), "-t", "3600",
                                  "-B", str(BUFFER_BYTES)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                 preexec_fn=pin(SENDER_CPU))
    try:
        server.set("backstream.forward", f"127.0.0.1:{NFCAPD_PORT}")
        server.wait_for("SELECT count(*) FROM backstream.forwards WHERE state = 'open'", 1)
        # An hour by the clock on the wall begins with a window, as the exporters' does.
        seconds = WINDOW / speed
        time.sleep(seconds - time.time() % seconds)
        began = round(time.time() / seconds) * seconds
        traffic = Traffic(exporters=3, burst=BURST, burst_interval=INTERVAL, speed=speed, rate=2 * speed * BURST // INTERVAL,
                          count=BURST * BURSTS, start_time=int(START.timestamp()), linger=1000)
        totals = traffic.send()
        received = server.settle(traffic, totals["records"])
        server.sql("SELECT backstream.settle()")
        while socket_state(NFCAPD_PORT)[0] > 0:
            time.sleep(0.05)
        dropped = socket_state(NFCAPD_PORT)[1] + server.number("SELECT sum(dropped) FROM backstream.forwards")
    finally:
        collector.terminate()
        collector.wait()
        server.set("backstream.forward", "")
    _, lost, _ = server.received_from(traffic)
    if received + lost != totals["records"]:
        raise RuntimeError(f"received {received} and lost {lost} are not {totals['records']}")
    return Played(speed, WINDOW // speed, int(began), totals, lost, dropped)


def moved(one, other):
    """Records that are in another window: of each burst what one has more in some and less in others."""
    more, less = defaultdict(int), defaultdict(int)
    for (burst, _), (n, _) in differences(one, other).items():
        more[burst] += max(n, 0)
        less[burst] += max(-n, 0)
    return sum(min(n, less[burst]) for burst, n in more.items())


def odd_ones(found):
    """How many records differ, where none should; one for bytes alone."""
    return sum(abs(n) or 1 for n, _ in found.values())


def explain(server, played, directory):
    """What differs, by cause: records."""
    totals, lost, dropped = played.totals, played.lost, played.dropped
    by_end, hasty, by_arrival = (of_view(server, view) for view in ("by_end", "hasty", "by_arrival"))
    nf_end, nf_arrival = of_nfdump(directory, played.seconds)
    made = {window["start"]: [window["records"], window["bytes"]] for window in totals["windows_5min"]}
    late = {int(start): int(n) for start, n in server.sql(
        "SELECT extract(epoch FROM window_start)::bigint, late FROM backstream.windows('hasty') WHERE late > 0")}
    # By event time, what was made, less what was lost.
    missing = differences(made, by_end.by(1))
    odd = abs(sum(n for n, _ in missing.values()) - lost) if lost else odd_ones(missing)
    # Late, window by window.
    hurried = {window: n for window, (n, _) in differences(by_end.by(1), hasty.by(1)).items()}
    odd += sum(abs(hurried.get(w, 0) - late.get(w, 0)) for w in {*hurried, *late})
    # By arrival the same of each burst, whatever the window.
    odd += odd_ones(differences(by_arrival.by(0), by_end.by(0)))
    # Beside nfdump: by event time in each window; by arrival of each burst.
    if dropped:  # a datagram has up to 30 records
        missing = sum(n for n, _ in differences(by_end, nf_end).values())
        odd += max(0, missing - 30 * dropped, -missing)
    else:
        odd += odd_ones(differences(by_end, nf_end)) + odd_ones(differences(by_arrival.by(0), nf_arrival.by(0)))
    # What an operator has beside each other: windows by event time, files of five minutes by arrival.
    files = Table()
    for (burst, window), cell in nf_arrival.items():
        files.add(burst, int(START.timestamp()) + 10 + (window - played.began) * played.speed, *cell)
    return {"late": sum(late.values()), "clock, two sockets": moved(by_arrival, nf_arrival),
            "clock, end and arrival": moved(by_end, files), "unexplained": odd}


def bursts(server, report, quick):
    """The fastest speed at which nothing is lost, and what differs there."""
    for speed in SPEEDS:
        with tempfile.TemporaryDirectory(prefix="backstream-bursts-") as directory:
            played = play(server, speed, directory)
            rate = played.totals["records_per_sec"]
            report.facts.setdefault("bursts_tries", []).append(
                {"speed": speed, "records_per_sec": rate, "lost": played.lost, "dropped": played.dropped})
            if (played.lost or played.dropped) and speed != SPEEDS[-1]:
                continue
            found = explain(server, played, directory)
            break
    report.facts["bursts"] = {"speed": speed, "records": played.totals["records"], "records_per_sec": rate, **found}
    hour = f"hour of bursts, {speed} times as fast, into three views and nfcapd: "
    report.note(hour + "records/s", round(rate))
    report.truth(hour + "nothing lost on either side", not played.lost and not played.dropped)
    for cause in ("late", "clock, two sockets", "clock, end and arrival"):
        report.note(hour + f"records that differ, {cause}", found[cause])
    report.bar(hour + "records that differ without a cause", found["unexplained"], 0)
    alone = [tried["records_per_sec"] for tried in report.facts["bursts_tries"] if not tried["lost"]]
    report.note("hour of bursts, where BackStream lost nothing, whatever nfcapd did: records/s",
                round(max(alone)) if alone else None)
