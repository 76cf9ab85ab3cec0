#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""In the guest of tests/bench/run: makes the disks, puts the loads on them in rounds, and writes down what came of each.

usage: measure.py OUTPUT-FILE ROUNDS SECONDS SPIN-US BACKEND,... WORKLOAD,...

A line of OUTPUT-FILE is a JSON object. `kind` is
  machine   where this ran
  backend   a backend: its disk, the memory of its process at the end
  counted   a load on a backend for which only system calls were counted; this comes first and warms everything up
  measured  a load on a backend in one round
"""
import json
import os
import pathlib
import subprocess
import sys
import time

import backends
import process_cost
import workloads

PERCENTILES = {"p50_us": "50.000000", "p99_us": "99.000000", "p999_us": "99.900000"}


def fio(workload, disks, seconds):
    """Runs it; the jobs of its report, one for each disk."""
    report = "/run/fio.json"
    command = ["fio", "--ioengine=libaio", "--direct=1", "--thread", "--time_based", f"--runtime={int(seconds * 1000)}ms", "--norandommap",
               "--percentile_list=50:99:99.9", "--disk_util=0", f"--rw={workload.rw}", f"--bs={workload.block_size}",
               f"--iodepth={workload.depth}", "--rwmixread=70", "--output-format=json", f"--output={report}"]
    for index, disk in enumerate(disks):
        command += [f"--name=lun{index}", f"--filename={disk}"]
    backends.run(*command)
    jobs = json.loads(pathlib.Path(report).read_text())["jobs"]
    for job in jobs:
        if job["error"] != 0:
            raise RuntimeError(f"fio: error {job['error']} on {disks}")
    return jobs


def figures(jobs):
    """Of all LUNs together; percentiles are those of the slowest LUN, of reads and writes the higher."""
    sides = [job[side] for job in jobs for side in ("read", "write") if job[side]["total_ios"] > 0]
    commands = sum(side["total_ios"] for side in sides)
    result = {
        "commands": commands,
        "iops": sum(side["iops"] for side in sides),
        "mib_per_s": sum(side["bw_bytes"] for side in sides) / (1 << 20),
        "lowest_lun_iops": min(job["read"]["iops"] + job["write"]["iops"] for job in jobs),
    }
    for key, percentile in PERCENTILES.items():
        result[key] = max(side["clat_ns"]["percentile"][percentile] for side in sides) / 1000
    return result


class Measurement:
    def __init__(self, output, names, luns):
        self.output = output
        self.backends = backends.set_up(names, luns)
        self.system_calls = process_cost.SystemCalls()

    def write(self, kind, **fields):
        self.output.write(json.dumps({"kind": kind, **fields}) + "\n")
        self.output.flush()

    def able(self, workload):
        """The backends that have what the load asks for."""
        for name, backend in self.backends.items():
            disks = backend.disks.get(workload.fabric, [])
            if len(disks) >= workload.luns:
                yield name, backend, disks[:workload.luns]

    def count(self, workload):
        for name, backend, disks in self.able(workload):
            if backend.pid:
                self.system_calls.begin(backend.pid)
            result = figures(fio(workload, disks, 0.5))
            if backend.pid:
                calls = self.system_calls.end()
                self.write("counted", backend=name, workload=workload.name, commands=result["commands"], system_calls=calls)

    def measure(self, workload, number, seconds):
        for name, backend, disks in self.able(workload):
            began = time.monotonic()
            before = process_cost.cost(backend.pid) if backend.pid else None
            result = figures(fio(workload, disks, seconds))
            if backend.pid:
                result.update(vars(process_cost.cost(backend.pid) - before))
            load = float(pathlib.Path("/proc/loadavg").read_text().split()[0])
            self.write("measured", round=number, backend=name, ours=backend.ours, workload=workload.name, luns=workload.luns, began=round(began, 2),
                       took=round(time.monotonic() - began, 2), guest_load=load, **result)


def machine():
    version = {program: subprocess.run([program, "--version"], capture_output=True, text=True).stdout.split("\n")[0]
               for program in ("lunkitd", "fio", "qemu-nbd")}
    packages = subprocess.run(["dpkg-query", "-W", "tcmu-runner", "tgt"], capture_output=True, text=True).stdout.split("\n")
    return {"kernel": os.uname().release, "processors": os.cpu_count(), "versions": version, "peer_packages": [p for p in packages if p]}


def main():
    path, rounds, seconds, spin_us = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])
    names, loads = sys.argv[5].split(","), sys.argv[6].split(",")
    backends.Lunkitd.spin_us = spin_us
    chosen = [workload for workload in workloads.ALL if workload.name in loads]
    began = time.monotonic()
    backends.prepare()
    with open(path, "w") as output:
        measurement = Measurement(output, names, max(workload.luns for workload in chosen))
        measurement.write("machine", spin_us=spin_us, **machine())
        print(f"disks are made: {time.monotonic() - began:.0f} s", flush=True)
        for workload in chosen:
            measurement.count(workload)
        print(f"system calls are counted: {time.monotonic() - began:.0f} s", flush=True)
        for number in range(1, rounds + 1):
            for workload in chosen:
                measurement.measure(workload, number, seconds)
            print(f"round {number} of {rounds}: {time.monotonic() - began:.0f} s", flush=True)
        for name, backend in measurement.backends.items():
            memory = process_cost.memory_kib(backend.pid) if backend.pid else {}
            measurement.write("backend", backend=name, ours=backend.ours, **backend.facts(), **memory)


try:
    main()
finally:
    backends.take_away()
