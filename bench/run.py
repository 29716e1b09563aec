#!/usr/bin/env python3
# SPDX-License-Identifier: PostgreSQL
"""The bench: see README.md here.

    bench/run.py [--quick] [--rounds N] [--only ROW,...] [--no-special] [--rate N]

Called by make bench, which builds the tools before.  Prints progress, the bars, and a table; writes
build/bench.json.  Ends with 1 when something could not be measured or is wrong, with 0 otherwise: a bar
that is missed is told, and is no failure of the bench.
"""
import argparse
import os
import sys
import time

sys.dont_write_bytecode = True

import special
from harness import ROOT, Server, Traffic, run_yard
from report import Report, told
from rows import MATRIX, ROWS

RUN_SECONDS = 2.5
TRIES = 3
RATES = (3000000, 2000000, 1000000, 500000)


def say(text):
    print(text, flush=True)


def wrong_sums(server, totals):
    """Is the answer of view v other than what was sent?"""
    [row] = server.sql("SELECT sum(records), sum(bytes), sum(packets) FROM v")
    return [int(x) for x in row] != [totals["records"], totals["bytes"], totals["packets"]]


def counted_otherwise(server, records):
    """Views that were not offered each record, or left out some for other reasons than WHERE."""
    return server.sql("SELECT view, received, late, future, untimed, overflowed, errors, last_error "
                      f"FROM backstream.views WHERE received <> {records} "
                      f"OR records + filtered <> {records}")


def measure_view(server, row, rate):
    """CPU nanoseconds per record of the receiving process; None: records were lost."""
    server.use_views(row.views + ";")
    traffic = Traffic(rate=rate, count=int(rate * RUN_SECONDS), **row.traffic)
    before = server.cpu()
    totals = traffic.send()
    records = server.settle(traffic, totals["records"])
    spent = server.cpu() - before
    if records != totals["records"]:
        return None
    odd = counted_otherwise(server, records)
    if odd or (row.checked and wrong_sums(server, totals)):
        raise RuntimeError(f"{row.name}: the views do not say what was sent: {odd or 'sums differ'}")
    return spent / records


def measure_yard(row, rate):
    line, totals = run_yard(row.yard, rate=rate, count=int(rate * RUN_SECONDS), **row.traffic)
    if line["records"] != totals["records"]:
        return None
    if "flows" in line and [line["flows"], line["bytes"], line["packets"]] != [
            totals["records"], totals["bytes"], totals["packets"]]:
        raise RuntimeError(f"{row.name}: the yardstick's sums are not those sent")
    return line["cpu_ns_per_record"]


def measure(server, row, full_rate):
    """Nanoseconds, at full rate or, where that loses records, at half of it; and the rate."""
    rate = row.rate or full_rate
    for attempt in range(2 * TRIES):
        if attempt == TRIES:
            rate //= 2
        nsec = measure_yard(row, rate) if row.yard else measure_view(server, row, rate)
        if nsec is not None:
            return nsec, rate
    return None, rate


def find_rate(server):
    """The highest rate at which this machine, now, loses nothing with the traffic matrix."""
    matrix = next(row for row in ROWS if row.views == MATRIX)
    for rate in RATES:
        for _ in range(2):
            if measure_view(server, matrix, rate) is not None:
                return rate
    raise RuntimeError("records are lost even at the lowest rate")


def run_rounds(server, report, rows, rounds, rate):
    for number in range(rounds):
        for row in rows:
            nsec, at = measure(server, row, rate)
            report.sample(row, nsec)
            slower = "" if at == (row.rate or rate) else f" (at {at} records/s)"
            if slower:
                report.facts.setdefault("slower", []).append(row.name + slower)
            say(f"  round {number + 1}: {row.title}: {'lost' if nsec is None else f'{nsec:.1f} ns'}{slower}")


def run_special(server, report, job, quick):
    say(f"  {job.title} ...")
    known = len(report.bars)
    job.run(server, report, quick)
    for bar in report.bars[known:]:
        say(f"    {bar['bar']}: {told(bar)} {bar['verdict']}")


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--only", help="names of rows or special measurements")
    parser.add_argument("--no-special", action="store_true")
    parser.add_argument("--rate", type=int)
    return parser.parse_args()


def main():
    options = arguments()
    only = options.only.split(",") if options.only else None
    rows = [row for row in ROWS if (row.name in only if only else row.every_round or not options.quick)]
    rounds = options.rounds or (1 if options.quick else 3)
    report = Report()
    started = time.monotonic()

    say("building and starting a private server")
    server = Server()
    rate = options.rate or find_rate(server)
    report.facts["rate"] = rate
    report.facts["receive_buffer_bytes"] = server.number("SELECT receive_buffer_bytes FROM backstream.listeners")
    report.facts["rounds"] = rounds
    say(f"full rate {rate} records/s, receive buffer {report.facts['receive_buffer_bytes']} bytes, "
        f"{rounds} rounds; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    run_rounds(server, report, rows, rounds, rate)
    report.ratio_bars()
    for job in special.JOBS:
        if not options.no_special and (job.name in only if only else job.quick or not options.quick):
            run_special(server, report, job, options.quick)
    complaints = server.log_complaints()
    report.truth("no error in the server's log", not complaints)
    report.facts["seconds"] = round(time.monotonic() - started)
    report.write(os.path.join(ROOT, "build", "bench.json"))
    say("")
    for line in [*report.table(), "", *report.part_table(), *report.bar_table()]:
        say(line)
    for line in complaints[:10]:
        say(f"log: {line}")
    say(f"\n{report.facts['seconds']} s; missed: {', '.join(report.missed()) or 'none'}; build/bench.json")
    return 0


if __name__ == "__main__":
    sys.exit(main())
