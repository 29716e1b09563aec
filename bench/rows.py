# SPDX-License-Identifier: PostgreSQL
"""The rows of the bench: which views, which traffic, beside which yardstick.

All keys are shuffled (bs-generate never cycles in one order); totals are compared after each run.
"""
import os
from dataclasses import dataclass, field

HERE = os.path.dirname(os.path.abspath(__file__))

LOAD = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_flow_end, '10 s') AS time,
         count(*) AS records, sum(packets) AS packets, sum(bytes) AS bytes
    FROM backstream.flow GROUP BY 1"""
MATRIX = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as,
         sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS records
    FROM backstream.flow GROUP BY 1, 2, 3"""
SCALED = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_flow_end, '5 min') AS time, src_as, dst_as,
         sum(scaled(bytes, sampling_rate)) AS bytes,
         sum(scaled(bytes, sampling_rate)) * 8 / 300.0 AS bps,
         sum(packets) AS packets, count(*) AS records
    FROM backstream.flow GROUP BY 1, 2, 3"""
PAIRS = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_flow_end, '5 min') AS time, src_addr, dst_addr,
         sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS records
    FROM backstream.flow GROUP BY 1, 2, 3"""
TENTH = MATRIX.replace("GROUP BY", "WHERE packets <= 6 GROUP BY")
# width_bucket() is no operation of the engine: PostgreSQL computes it, record by record.
COMPUTED = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_flow_end, '5 min') AS time, width_bucket(bytes::float8, 0, 96000, 64) AS size,
         sum(bytes) AS bytes, sum(packets) AS packets, count(*) AS records
    FROM backstream.flow GROUP BY 1, 2"""

# By PostgreSQL's functions, or by ours called as such: a state is made for each batch and group, and merged.
NUMERIC = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_flow_end, '5 min') AS time, proto, stddev(bytes) AS deviation
    FROM backstream.flow GROUP BY 1, 2"""
SKETCHES = """CREATE CONTINUOUS VIEW v AS
  SELECT tumble(time_received, '1 min') AS time, %s AS sketch FROM backstream.flow GROUP BY 1"""


def same_keys(n):
    """Views over the keys of the traffic matrix: widths, aggregates, and every fourth with a filter."""
    widths = ("10 s", "1 min", "5 min")
    states = ("sum(bytes) AS bytes, sum(packets) AS packets", "count(*) AS records", "max(bytes) AS largest")
    return ";\n".join(
        f"""CREATE CONTINUOUS VIEW v{i or ''} AS
  SELECT tumble(time_flow_end, '{widths[i % 3]}') AS time, src_as, dst_as, {states[i // 3 % 3]}
    FROM backstream.flow {'WHERE packets > 4' if i % 4 == 3 else ''} GROUP BY 1, 2, 3""" for i in range(n))


def file(name):
    with open(os.path.join(HERE, name)) as f:
        return f.read()


@dataclass
class Row:
    name: str
    title: str
    views: str = ""      # SQL; empty: a yardstick
    yard: str = ""       # its program
    rate: int = 0        # records/s; 0: the full rate of this run
    traffic: dict = field(default_factory=dict)
    checked: bool = True  # the view v has sums of all records
    every_round: bool = True  # of a quick run


V9 = {"version": "v9"}
IPFIX = {"version": "ipfix"}
ONE = {"records_per_datagram": 1}
MILLION = {"addresses": 1000000, "as_pairs": 45000}
LOW = 300000

# The order is that of a round: what is compared stands together.
ROWS = [
    Row("drain", "bare loop, v5", yard="yard_drain"),
    Row("load", "load, v5", LOAD),
    Row("hand", "traffic matrix by hand, v5", yard="yard_matrix"),
    Row("matrix", "traffic matrix, 45,000 groups, v5", MATRIX),
    Row("drain_v9", "bare loop, v9", yard="yard_drain", traffic=V9),
    Row("matrix_v9", "traffic matrix, v9", MATRIX, traffic=V9),
    Row("drain_ipfix", "bare loop, IPFIX", yard="yard_drain", traffic=IPFIX),
    Row("matrix_ipfix", "traffic matrix, IPFIX", MATRIX, traffic=IPFIX),
    # All that one core can do at 3 M/s.
    Row("sixteen", "sixteen views, v5, 1.5 M/s", file("sixteen.sql"), rate=1500000, checked=False),
    Row("views_4", "4 views over the keys of the traffic matrix, v5", same_keys(4), checked=False, every_round=False),
    Row("views_16", "16 such views, v5, 1 M/s", same_keys(16), rate=1000000, checked=False, every_round=False),
    Row("views_64", "64 such views, v5, 300 k/s", same_keys(64), rate=300000, checked=False, every_round=False),
    Row("scaled", "traffic matrix of the case studies (scaled), v5", SCALED, checked=False, every_round=False),
    Row("zipf", "traffic matrix, Zipf 1.1, v5", MATRIX, traffic={"keys": "zipf:1.1"}, every_round=False),
    Row("tenth", "traffic matrix, filter keeps 9.4 %, v5", TENTH, checked=False, every_round=False),
    Row("pairs", "address pairs, 65,536 groups, v5", PAIRS, every_round=False),
    Row("million", "address pairs, 1,000,000 groups, v5", PAIRS, traffic=MILLION, every_round=False),
    Row("computed", "one computed column, v5, 1 M/s", COMPUTED, rate=1000000, every_round=False),
    Row("numeric", "stddev(bigint) by PostgreSQL, v5, 500 k/s", NUMERIC, rate=500000, checked=False,
        every_round=False),
    Row("approx_count", "approx_count_distinct(src_addr), v5, 500 k/s", SKETCHES % "approx_count_distinct(src_addr)",
        rate=500000, checked=False, every_round=False),
    Row("approx_percentile", "approx_percentile(0.95, bytes), v5, 500 k/s",
        SKETCHES % "approx_percentile(0.95, bytes)", rate=500000, checked=False, every_round=False),
    Row("approx_top_k", "approx_top_k(dst_addr, 10, bytes), v5, 500 k/s", SKETCHES % "approx_top_k(dst_addr, 10, bytes)",
        rate=500000, checked=False, every_round=False),
    Row("drain_one", "bare loop, one record per datagram, 300 k/s", yard="yard_drain", rate=LOW, traffic=ONE,
        every_round=False),
    Row("one", "traffic matrix, one record per datagram, 300 k/s", MATRIX, rate=LOW, traffic=ONE,
        every_round=False),
    Row("drain_300k", "bare loop, v5, 300 k/s", yard="yard_drain", rate=LOW),
    Row("matrix_300k", "traffic matrix, v5, 300 k/s", MATRIX, rate=LOW),
    Row("drain_30k", "bare loop, v5, 30 k/s", yard="yard_drain", rate=LOW // 10, every_round=False),
    Row("matrix_30k", "traffic matrix, v5, 30 k/s", MATRIX, rate=LOW // 10, every_round=False),
]
