"""tools/compare on small files: that it compares before it times. Takes the tool and a build with its programs."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

TOOL, BUILD = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])

# A rival as --rival wants it, which reads the file in its own way and then says what it is told to say.
RIVAL = """
import json, re, sys
path, column, rows_more, sum_more = sys.argv[3], sys.argv[4], int(sys.argv[1]), int(sys.argv[2])
lines = open(path).read().splitlines()
total = sum(int(value) for line in lines for value in re.findall(rf"[ ,]{column}=(\\d+)i", line))
print(json.dumps({"rows": len(lines) + rows_more, "sum": total + sum_more, "seconds": 1.0, "cpu_seconds": 1.0}))
"""


class Compare(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.place = pathlib.Path(cls.folder.name)
        (cls.place / "rival.py").write_text(RIVAL)

    def compare(self, *flags, only="line", install=False, **environment):
        command = [sys.executable, TOOL, "--build", BUILD, "--data", self.place / "data", "--size", "2M", "--rounds", "1",
                   "--only", only, *([] if install else ["--no-install"]), *flags]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              env={**os.environ, **environment})

    def rival(self, rows_more, sum_more):
        return "--rival", f"line=counterpart:{sys.executable} {self.place / 'rival.py'} {rows_more} {sum_more}"

    def test_times_what_read_the_same(self):
        figures = self.place / "figures.json"
        done = self.compare(*self.rival(0, 0), "--json", figures, only="limits,line")
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(figures.read_text())
        truth = json.loads((self.place / "data" / "cpu-only-2M.line.stats.json").read_text())
        self.assertEqual(told["files"]["line"]["rows"], truth["good"])
        self.assertAlmostEqual(told["files"]["line"]["bytes"] / 2e6, 1, delta=0.05)
        names = {one["name"]: one for one in told["results"]}
        for name in ("memcpy", "count of newlines", "penstock, text in memory", "penstock, file in page cache"):
            self.assertGreater(names[name]["bytes_per_second"], 0, name)
            self.assertIn(name, done.stdout)
        self.assertGreater(names["counterpart"]["penstock_is"], 1)  # it claims a second for 2 MB
        # Whoever was not timed is reported absent, with a reason.
        for language in ("Rust", "Go"):
            timed = any(name.endswith(f"({language})") for name in names)
            absent = [reason for name, reason in told["absent"].items() if name.endswith(f"({language})")]
            self.assertNotEqual(timed, bool(absent), language)
            self.assertTrue(all(absent))

    def test_two_threads(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one core")
        done = self.compare("--threads", "2", only="limits,line,json")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_every_format_and_load(self):
        done = self.compare(only="iot,telnet,json,csv,load")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.count("penstock, text in memory"), 4)
        self.assertIn("simdjson", done.stdout)

    def test_wrong_values_end_it_before_any_time(self):
        for more, what in (((0, 1), "sum of usage_user"), ((-1, 0), "rows")):
            done = self.compare(*self.rival(*more))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("counterpart read other values", done.stderr)
            self.assertIn(what, done.stderr)
            self.assertNotIn("GB/s", done.stdout)

    def test_failing_program(self):
        done = self.compare("--rival", f"line=broken:{sys.executable} -c 1/0")
        self.assertEqual(done.returncode, 1)
        self.assertIn("broken failed", done.stderr)
        self.assertIn("ZeroDivisionError", done.stderr)

    def test_missing_tools_are_no_error(self):
        done = self.compare("--rivals", self.place / "rivals", install=True, PATH=str(self.place))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("cargo is not installed", done.stdout)
        self.assertIn("go is not installed", done.stdout)

    def test_wrong_flags(self):
        for flags in (("--only", "lines"), ("--size", "many"), ("--rounds", "0"), ("--threads", "5000"),
                      ("--rival", "line=x"), ("--build", str(self.place))):
            self.assertEqual(self.compare(*flags).returncode, 2, flags)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
