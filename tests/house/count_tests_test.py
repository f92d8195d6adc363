"""count_tests_test.py COUNT_TESTS: the sum of test results misses no failure."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

COUNT = sys.argv.pop(1)

PASS = '<testcase name="{}" status="run"/>'
FAIL = '<testcase name="{}" status="fail"><failure message="Failed"/></testcase>'
SKIP = '<testcase name="{}" status="notrun"><skipped message="SKIP_RETURN_CODE=77"/></testcase>'
ABSENT = '<testcase name="{}" status="notrun"><skipped message="Unable to find executable"/></testcase>'

CASE = '<testcase name="a" status="run" result="completed" classname="S"/>'
CASE_FAILED = '<testcase name="b" status="run" classname="S"><failure message="x"/></testcase>'
CASE_SKIPPED = '<testcase name="c" status="run" result="skipped" classname="S"><skipped message="no"/></testcase>'
CASE_DISABLED = '<testcase name="d" status="notrun" result="suppressed" classname="S"/>'


class CountTests(unittest.TestCase):
    def count(self, *tests, flags=(), **programs):
        with tempfile.TemporaryDirectory() as top:
            results = pathlib.Path(top, "test-results")
            results.mkdir()
            if tests:
                pathlib.Path(top, "ctest.xml").write_text(f"<testsuite>{''.join(tests)}</testsuite>")
            for name, cases in programs.items():
                (results / f"{name}.xml").write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
            done = subprocess.run([COUNT, *flags, top], capture_output=True, text=True, check=False)
            return done.stdout.splitlines()[-1], done.returncode

    def test_adds_cases_and_other_tests(self):
        self.assertEqual(self.count(PASS.format("base"), PASS.format("layering"), base=CASE + CASE + CASE_SKIPPED + CASE_DISABLED),
                         ("3 passed, 0 failed, 2 skipped", 0))

    def test_counts_failed_cases(self):
        self.assertEqual(self.count(PASS.format("layering"), FAIL.format("base"), base=CASE + CASE_FAILED + CASE_FAILED),
                         ("2 passed, 2 failed, 0 skipped", 1))

    def test_counts_programs_that_crash_or_were_not_built(self):
        self.assertEqual(self.count(FAIL.format("base"), PASS.format("layering")), ("1 passed, 1 failed, 0 skipped", 1))
        self.assertEqual(self.count(FAIL.format("base"), base=CASE), ("1 passed, 1 failed, 0 skipped", 1))
        self.assertEqual(self.count(ABSENT.format("base"), PASS.format("x")), ("1 passed, 1 failed, 0 skipped", 1))
        self.assertEqual(self.count(FAIL.format("base"), base=CASE + "<testcase"), ("0 passed, 1 failed, 0 skipped", 1))

    def test_counts_what_has_no_file(self):
        self.assertEqual(self.count(PASS.format("x"), flags=("--failed", "2")), ("1 passed, 2 failed, 0 skipped", 1))
        self.assertEqual(self.count(), ("0 passed, 1 failed, 0 skipped", 1))

    def test_skips_are_no_passes(self):
        self.assertEqual(self.count(SKIP.format("readme")), ("0 passed, 0 failed, 1 skipped", 1))


if __name__ == "__main__":
    unittest.main()
