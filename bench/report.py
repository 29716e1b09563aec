# SPDX-License-Identifier: PostgreSQL
"""What the bench says in the end: the bars with PASS or MISS, a table, a file for machines."""
import json
import os
import statistics


def told(bar):
    value = bar["value"]
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}{bar['unit']}"
    return f"{value:.3g}{bar['unit']}"


class Report:
    def __init__(self):
        self.samples = {}  # row -> [ns per record by round, or None]
        self.titles = {}
        self.facts = {}
        self.bars = []
        self.parts = []  # (kind, what, ns per record) of code alone, from memory

    def sample(self, row, nsec):
        self.titles[row.name] = row.title
        self.samples.setdefault(row.name, []).append(nsec)

    def median(self, name):
        values = [x for x in self.samples.get(name, []) if x is not None]
        return statistics.median(values) if values else None

    def ratio(self, above, below):
        """Median of the ratios within each round, or None."""
        pairs = zip(self.samples.get(above, []), self.samples.get(below, []))
        ratios = [a / b for a, b in pairs if a is not None and b is not None]
        return statistics.median(ratios) if ratios else None

    def bar(self, what, value, limit, at_least=False, wanted=None, unit=""):
        """A figure that the issue sets a limit to; a value of None was not measured."""
        if value is None:
            verdict = "NOT MEASURED"
        else:
            verdict = "PASS" if (value >= limit if at_least else value <= limit) else "MISS"
        self.bars.append({"bar": what, "value": value, "limit": limit, "at_least": at_least,
                          "wanted": wanted, "unit": unit, "verdict": verdict})

    def note(self, what, value, unit=""):
        """A figure without a limit."""
        self.bars.append({"bar": what, "value": value, "unit": unit, "verdict": ""})

    def truth(self, what, holds):
        """Something that must hold, to the record; None: not measured."""
        verdict = "NOT MEASURED" if holds is None else "PASS" if holds else "MISS"
        self.bars.append({"bar": what, "value": holds, "verdict": verdict})

    def ratio_bars(self):
        self.bar("load / bare loop", self.ratio("load", "drain"), 1.8, wanted=1.2)
        self.bar("traffic matrix / by hand", self.ratio("matrix", "hand"), 1.6, wanted=1.2)
        self.bar("v9 / v5", self.ratio("matrix_v9", "matrix"), 1.4)
        self.bar("IPFIX / v5", self.ratio("matrix_ipfix", "matrix"), 1.4)
        self.bar("sixteen views / one (traffic matrix)", self.ratio("sixteen", "matrix"), 6)
        for name, n in (("views_4", 4), ("views_16", 16), ("views_64", 64)):
            if self.median(name) is not None:
                self.note(f"{n} views over the keys of the traffic matrix / one", self.ratio(name, "matrix"))

    def table(self):
        yield "| | ns per record | of each round |"
        yield "|--|--|--|"
        for name, samples in self.samples.items():
            median = self.median(name)
            each = ", ".join("lost" if x is None else f"{x:.1f}" for x in samples)
            yield f"| {self.titles[name]} | {'' if median is None else f'{median:.1f}'} | {each} |"

    def part_table(self):
        if not self.parts:
            return
        yield "| from memory | | ns per record |"
        yield "|--|--|--|"
        for kind, what, nsec in self.parts:
            yield f"| {kind} | {what} | {nsec:.1f} |"
        yield ""

    def bar_table(self):
        yield "| bar | limit | measured | |"
        yield "|--|--|--|--|"
        for bar in self.bars:
            limit = ""
            if "limit" in bar:
                limit = f"{'at least' if bar['at_least'] else 'at most'} {bar['limit']:g}{bar['unit']}"
                if bar["wanted"] is not None:
                    limit += f", wanted {bar['wanted']:g}"
            yield f"| {bar['bar']} | {limit} | {told(bar)} | {bar['verdict']} |"

    def write(self, path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        rows = {name: {"title": self.titles[name], "ns_per_record": self.median(name), "rounds": samples}
                for name, samples in self.samples.items()}
        with open(path, "w") as f:
            json.dump({"rows": rows, "parts": self.parts, "bars": self.bars, "facts": self.facts}, f, indent=1)
            f.write("\n")

    def missed(self):
        return [bar["bar"] for bar in self.bars if bar["verdict"] == "MISS"]
