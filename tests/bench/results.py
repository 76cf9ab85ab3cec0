# SPDX-License-Identifier: Apache-2.0
"""Raw lines of guest/measure.py, put together: for each load and backend the median of its rounds, spread, and ratios.

A ratio is taken within each round, where both stood next to each other, and the median of the rounds' ratios counts: so a
machine that was busy for a while weighs on both sides.
"""
import json
import statistics

PER_COMMAND = {"user_ms": "user_ms_per_1000", "system_ms": "system_ms_per_1000"}
PLAIN = ("iops", "mib_per_s", "p50_us", "p99_us", "p999_us", "lowest_lun_iops")


def read_raw(paths):
    lines = []
    for path in paths:
        with open(path) as file:
            lines += [json.loads(line) for line in file]
    return lines


def with_rates(line):
    """A measured line with what belongs to a command, not to the run."""
    rates = dict(line)
    if "user_ms" in line:
        for key, name in PER_COMMAND.items():
            rates[name] = 1000 * line[key] / line["commands"]
        rates["cpu_ms_per_1000"] = rates["user_ms_per_1000"] + rates["system_ms_per_1000"]
        rates["cpu_ms_per_mib"] = rates["cpu_ms_per_1000"] * line["iops"] / line["mib_per_s"] / 1000
        rates["switches"] = (line["voluntary_switches"] + line["involuntary_switches"]) / line["commands"]
    if line.get("luns", 1) > 1:
        rates["fairness"] = line["lowest_lun_iops"] * line["luns"] / line["iops"]
    return rates


class Results:
    def __init__(self, lines):
        self.machine = next(line for line in lines if line["kind"] == "machine")
        self.backends = {line["backend"]: line for line in lines if line["kind"] == "backend"}
        self.workloads = list(dict.fromkeys(line["workload"] for line in lines if line["kind"] == "measured"))
        self._rounds = {}       # (workload, backend) -> {(file's machine line, round): rates}
        self._calls = {}
        part = 0
        for line in lines:
            if line["kind"] == "machine":
                part += 1
            elif line["kind"] == "measured":
                self._rounds.setdefault((line["workload"], line["backend"]), {})[part, line["round"]] = with_rates(line)
            elif line["kind"] == "counted":
                self._calls[line["workload"], line["backend"]] = line["system_calls"] / max(line["commands"], 1)

    def measured_backends(self, workload):
        order = list(self.backends) or sorted({backend for _, backend in self._rounds})
        return [backend for backend in order if (workload, backend) in self._rounds]

    def values(self, workload, backend, figure):
        return [rates[figure] for rates in self._rounds.get((workload, backend), {}).values() if figure in rates]

    def median(self, workload, backend, figure):
        """None: not measured."""
        if figure == "system_calls":
            return self._calls.get((workload, backend))
        values = self.values(workload, backend, figure)
        return statistics.median(values) if values else None

    def ratio(self, workload, ours, peer, figure):
        """None: one of them has no such figure."""
        a = self._rounds.get((workload, ours), {})
        b = self._rounds.get((workload, peer), {})
        ratios = [a[key][figure] / b[key][figure] for key in a if key in b and b[key].get(figure) and figure in a[key]]
        return statistics.median(ratios) if ratios else None

    def as_json(self):
        table = []
        figures = PLAIN + tuple(PER_COMMAND.values()) + ("cpu_ms_per_1000", "cpu_ms_per_mib", "switches", "system_calls", "fairness")
        for workload in self.workloads:
            for backend in self.measured_backends(workload):
                row = {"workload": workload, "backend": backend, "rounds": len(self._rounds[workload, backend])}
                row.update({figure: self.median(workload, backend, figure) for figure in figures})
                iops = self.values(workload, backend, "iops")
                row["lowest_iops"], row["highest_iops"] = min(iops), max(iops)
                table.append(row)
        return {"machine": self.machine, "backends": self.backends, "results": table}
