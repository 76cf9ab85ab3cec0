#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Made-up raw lines in, the figures that must come of them out."""
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import goals
from results import Results, read_raw

MACHINE = {"kind": "machine", "kernel": "6.12", "processors": 2, "spin_us": 50, "versions": {"fio": "fio-3.33"}, "peer_packages": ["tcmu-runner 1.5.4"]}


def measured(backend, number, iops, workload="randread-4k-d1", user_ms=10.0, luns=1, lowest=0):
    return {"kind": "measured", "round": number, "backend": backend, "ours": backend == "file", "workload": workload, "luns": luns, "commands": 1000,
            "iops": iops, "mib_per_s": iops / 256, "lowest_lun_iops": lowest, "p50_us": 1, "p99_us": 2, "p999_us": 3,
            "user_ms": user_ms, "system_ms": 30.0, "voluntary_switches": 1500, "involuntary_switches": 500}


def backend(name):
    return {"kind": "backend", "backend": name, "ours": name == "file", "disk": "/sys/block/sda", "max_sectors_kb": "64", "luns": 1}


class ResultsTest(unittest.TestCase):
    def test_ratio_is_taken_within_a_round(self):
        # In the second round the machine was three times slower for both; medians of each alone would say 1.5.
        lines = [MACHINE, measured("file", 1, 3000), measured("tcmu-runner", 1, 1000), measured("file", 2, 1000), measured("tcmu-runner", 2, 333.3),
                 measured("file", 3, 1500), measured("tcmu-runner", 3, 500)]
        self.assertAlmostEqual(Results(lines).ratio("randread-4k-d1", "file", "tcmu-runner", "iops"), 3, places=2)

    def test_rounds_of_two_runs_do_not_mix(self):
        lines = [MACHINE, measured("file", 1, 200), measured("fileio", 1, 100), MACHINE, measured("file", 1, 30), measured("fileio", 1, 10)]
        self.assertEqual(Results(lines).ratio("randread-4k-d1", "file", "fileio", "iops"), 2.5)
        self.assertEqual(Results(lines).values("randread-4k-d1", "file", "iops"), [200, 30])

    def test_cost_is_for_a_command(self):
        results = Results([MACHINE, measured("file", 1, 1000)])
        self.assertEqual(results.median("randread-4k-d1", "file", "cpu_ms_per_1000"), 40)
        self.assertEqual(results.median("randread-4k-d1", "file", "switches"), 2)
        self.assertAlmostEqual(results.median("randread-4k-d1", "file", "cpu_ms_per_mib"), 0.04 * 256)

    def test_fairness_is_the_lowest_of_the_mean(self):
        results = Results([MACHINE, measured("file", 1, 1600, luns=16, lowest=80)])
        self.assertAlmostEqual(results.median("randread-4k-d1", "file", "fairness"), 0.8)

    def test_goal_is_judged(self):
        def verdict(iops):
            results = Results([MACHINE, measured("file", 1, iops), measured("tcmu-runner", 1, 1000)])
            return next(goal.met(value) for goal, _, value in goals.judged(results) if goal.figure == "iops")
        self.assertTrue(verdict(2500))
        self.assertFalse(verdict(2400))

    def test_what_was_not_measured_has_no_verdict(self):
        self.assertEqual(list(goals.judged(Results([MACHINE, measured("fileio", 1, 1)]))), [])

    def test_report_writes_its_files(self):
        lines = [MACHINE, measured("file", 1, 3000), {**measured("fileio", 1, 1000), "user_ms": 0.0},
                 {"kind": "counted", "backend": "file", "workload": "randread-4k-d1", "commands": 10, "system_calls": 25}, backend("file"), backend("fileio")]
        with tempfile.TemporaryDirectory() as folder:
            raw = pathlib.Path(folder) / "raw.jsonl"
            raw.write_text("".join(json.dumps(line) + "\n" for line in lines))
            self.assertEqual(len(read_raw([raw])), len(lines))
            printed = subprocess.run([sys.executable, "-B", pathlib.Path(__file__).with_name("report.py"), folder, raw], capture_output=True, text=True, check=True)
            self.assertRegex(printed.stdout, r"randread-4k-d1 +\| file / fileio +\| +3\.00")
            results = json.loads((pathlib.Path(folder) / "results.json").read_text())
            self.assertEqual(results["results"][0]["system_calls"], 2.5)
            self.assertIn("randread-4k-d1", (pathlib.Path(folder) / "chart.svg").read_text())


unittest.main()
