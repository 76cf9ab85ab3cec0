#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints the tables of a benchmark and writes them, with JSON and a chart, into a folder.

usage: report.py FOLDER RAW-FILE...     several raw files of the same machine are taken for more rounds, or more loads
"""
import json
import pathlib
import statistics
import sys

import chart
import goals
from results import Results, read_raw

PEERS_OF = {"file": ("tcmu-runner", "fileio", "tgt"), "ram": ("tcmu-runner", "ramdisk"), "ublk": ("loop", "qemu-nbd"), "direct-disk": ("disk",)}


def number(value, digits=0):
    return "" if value is None else f"{value:.{digits}f}"


def table(head, rows):
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]

    def line(cells):
        return "| " + " | ".join(cell.ljust(width) if i < 2 else cell.rjust(width) for i, (cell, width) in enumerate(zip(cells, widths))) + " |"
    return [line(head), "|" + "|".join("-" * (width + 2) for width in widths) + "|", *map(line, rows), ""]


def figures(results):
    rows = []
    for workload in results.workloads:
        for backend in results.measured_backends(workload):
            def median(figure, digits=0, workload=workload, backend=backend):
                return number(results.median(workload, backend, figure), digits)
            iops = results.values(workload, backend, "iops")
            cpu = [median("user_ms_per_1000", 1), median("system_ms_per_1000", 1)]
            rows.append([workload, backend, median("iops"), f"{min(iops):.0f}..{max(iops):.0f}", median("mib_per_s", 1), median("p50_us"), median("p99_us"),
                         median("p999_us"), " + ".join(cpu) if cpu[0] else "", median("switches", 2), median("system_calls", 2), median("fairness", 2)])
    return table(["load", "backend", "IOPS", "range", "MiB/s", "p50 us", "p99 us", "p99.9 us", "user + system ms/1000", "switches", "calls", "lowest LUN"], rows)


def ratios(results):
    rows = []
    for workload in results.workloads:
        for ours, peers in PEERS_OF.items():
            for peer in peers:
                iops = results.ratio(workload, ours, peer, "iops")
                if iops is not None:
                    rows.append([workload, f"{ours} / {peer}", number(iops, 2), number(results.ratio(workload, ours, peer, "p99_us"), 2),
                                 number(results.ratio(workload, ours, peer, "cpu_ms_per_1000"), 2), number(results.ratio(workload, ours, peer, "user_ms_per_1000"), 2)])
    return table(["load", "ratio of", "IOPS", "p99", "CPU", "user CPU"], rows)


def verdicts(results):
    rows = []
    for goal, workload, value in goals.judged(results):
        against = f"{goal.ours} / {goal.peer}" if goal.peer else goal.ours
        rows.append([workload, against, goal.figure, goal.wanted(), number(value, 2), "met" if goal.met(value) else "MISSED"])
    return table(["load", "of", "figure", "wanted", "is", ""], rows)


def memory(results):
    rows = [[name, line["disk"].rpartition("/")[2], *(str(line.get(key, "")) for key in ("luns", "max_sectors_kb", "threads", "resident_kib", "anonymous_kib"))]
            for name, line in results.backends.items()]
    return table(["backend", "disk", "LUNs", "KiB a request", "threads", "resident KiB", "anonymous KiB"], rows)


def host_load(folder):
    try:
        lines = [line.split() for line in (folder / "host-load").read_text().splitlines()]
        loads = [float(line[1]) for line in lines]
        busy, idle = (int(lines[-1][i]) - int(lines[0][i]) for i in (2, 3))
        return f"Load of the host meanwhile: median {statistics.median(loads):.1f}, highest {max(loads):.1f}; its processors were {100 * busy / (busy + idle):.0f} % busy."
    except (OSError, IndexError, ZeroDivisionError):
        return "The load of the host is not known."


def main():
    folder, raw = pathlib.Path(sys.argv[1]), sys.argv[2:]
    results = Results(read_raw(raw))
    machine = results.machine
    text = [f"Linux {machine['kernel']}, {machine['processors']} emulated processors; {', '.join(machine['peer_packages'])}; {machine['versions']['fio']}; spin_us={machine['spin_us']}.",
            host_load(folder), "", "### Goals", ""] + verdicts(results)
    text += ["### Ratios", ""] + ratios(results) + ["### Figures", ""] + figures(results) + ["### Memory, with all LUNs", ""] + memory(results)
    (folder / "tables.md").write_text("\n".join(text))
    (folder / "results.json").write_text(json.dumps(results.as_json(), indent=1) + "\n")
    (folder / "chart.svg").write_text(chart.svg(results))
    print("\n".join(text))
    print(f"raw data, tables.md, results.json and chart.svg are in {folder}")


main()
