"""perf_gate_test.py PERF_GATE COUNT_TESTS: the gate sees what grew, whatever the figure, and says so to count-tests."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

COUNT = sys.argv.pop(2)
GATE = sys.argv.pop(1)

# A program with two inputs, and a valgrind that counts what FOUND says.
PROGRAM = """#!/bin/sh
case $1 in
  list) printf 'a\\nb\\n' ;;
  write) echo text >"$3" ;;
  load) echo "$FOUND" ;;
esac
"""
VALGRIND = """#!/bin/sh
for argument; do
  case $argument in --callgrind-out-file=*) echo "totals: $INSTRUCTIONS" >"${argument#*=}" ;; esac
done
"""
WAS = {"message_bytes": 10, "allocations": 1000, "allocated_bytes": 100000, "instructions": 1000000}


@unittest.skipUnless(" avx2 " in pathlib.Path("/proc/cpuinfo").read_text(), "the gate skips machines without AVX2")
class PerfGate(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.top = pathlib.Path(folder.name)
        for name, text in (("program", PROGRAM), ("valgrind", VALGRIND)):
            (self.top / name).write_text(text)
            (self.top / name).chmod(0o755)
        self.expected = self.top / "expected.json"
        self.expected.write_text(json.dumps({"a": WAS, "b": WAS}))

    def gate(self, *flags, **changed):
        found = WAS | changed
        environment = os.environ | {"PATH": f"{self.top}:{os.environ['PATH']}",
                                    "INSTRUCTIONS": str(found["instructions"]), "FOUND": json.dumps(found)}
        return subprocess.run([GATE, "--program", self.top / "program", "--expected", self.expected, "--build-dir",
                               self.top / "build", *flags], capture_output=True, text=True, check=False, env=environment)

    def count(self):
        done = subprocess.run([COUNT, self.top / "build"], capture_output=True, text=True, check=False)
        return done.stdout.splitlines()[-1]

    def test_passes_what_is_as_it_was(self):
        done = self.gate(instructions=1_099_999, allocations=1001)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(self.count(), "2 passed, 0 failed, 0 skipped")

    def test_fails_what_grew(self):
        for figure in ("instructions", "allocations", "allocated_bytes"):
            done = self.gate("a", **{figure: WAS[figure] * 111 // 100})
            self.assertEqual(done.returncode, 1, figure)
            self.assertIn(f"FAILED: a: {figure} {WAS[figure] * 111 // 100} instead of {WAS[figure]} ", done.stdout)
            self.assertIn("(+11.0 %)", done.stdout)
            self.assertEqual(self.count(), "0 passed, 1 failed, 0 skipped")

    def test_fails_other_work(self):
        done = self.gate(message_bytes=9)
        self.assertEqual(done.returncode, 1)
        self.assertIn("does other work", done.stdout)

    def test_asks_to_keep_what_fell(self):
        done = self.gate(instructions=800_000)
        self.assertEqual(done.returncode, 0)
        self.assertIn("(-20.0 %): well done; keep it with tools/perf-gate --renew", done.stdout)

    def test_renews(self):
        self.assertEqual(self.gate("--renew", "b", instructions=2_000_000).returncode, 0)
        self.assertEqual(json.loads(self.expected.read_text()), {"a": WAS, "b": WAS | {"instructions": 2_000_000}})

    def test_refuses_counts_of_nothing_and_unknown_inputs(self):
        self.assertIn("counted nothing", self.gate(instructions=0).stderr)
        self.assertEqual(self.gate("c").returncode, 2)
        self.expected.write_text(json.dumps({"a": WAS}))
        self.assertIn("b: not in expected.json", self.gate().stdout)


if __name__ == "__main__":
    unittest.main()
