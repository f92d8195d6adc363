"""Loads that are disturbed: servers that stop, signals, loaders that meet, limits on speed."""

import os
import re
import signal
import threading
import time
import unittest

import support
from support import T0_NS


class Outages(support.Case):
    needs_server = False

    def setUp(self):
        super().setUp()
        self.port = support.free_port()
        self.sandbox()

    def sandbox(self):
        self.server = support.Sandbox(self.dir / "sandbox", port=self.port)
        self.addCleanup(self.server.stop)

    def start_slow_load(self, *flags, rows=60_000, rate="20k/s"):
        """A load that takes about three seconds, caught when some of its rows are written."""
        self.path, self.truth = self.generated("cpu.line", "--hosts", 50, "--rows", rows)
        running = self.start_load(self.path, "--max-rate", rate, "--batch-rows", "1000", "--lanes", "2", *flags)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.1)
            self.assertIsNone(running.process.poll(), running.so_far())
            try:
                outcome = self.run_program("query", "select count(*) from cpu", "--to", self.server.dsn(self.db),
                                           "--format", "csv")
                if outcome.status == 0 and int(outcome.out.split()[1]) > 2000:
                    return running
            except (IndexError, ValueError):
                pass
        raise AssertionError("no rows arrive: " + "\n".join(running.so_far()))

    def assert_truth(self, table="cpu"):
        wanted = self.truth["tables"][table]
        sums = ", ".join(f"sum(`{name}`) as `{name}`" for name in wanted["columns"])
        row = self.query(f"select count(*) as n, {sums} from `{table}`")[0]
        self.assertEqual(row.pop("n"), wanted["distinct_keys"])
        self.assertEqual(row, {name: column["sum"] for name, column in wanted["columns"].items()})

    def test_a_server_that_stops_for_good(self):
        for write in ("stmt", "schemaless"):
            with self.subTest(write=write):
                self.db = "gone_" + write
                running = self.start_slow_load("--retry-for", "5s", "--write", write)
                self.server.kill()
                stopped = time.monotonic()
                done = self.finish_load(running, status=3, timeout=60)
                took = time.monotonic() - stopped
                self.assertGreater(took, 3.5)
                self.assertLess(took, 30 if support.OPTIONS.sanitized else 12)
                self.assertIn("stopped: ", done.out)
                self.assertIn(f"127.0.0.1:{self.port}", done.out)
                self.assertGreater(done.total["written"], 0)
                self.assertGreater(done.total["not_done"], 0)
                self.sandbox()
                # What was acknowledged is there; a request whose answer was lost may be there too.
                there = self.count("cpu")
                self.assertGreaterEqual(there, done.total["written"])
                self.assertLessEqual(there, done.total["written"] + done.total["not_done"])

    def test_a_server_that_comes_back(self):
        for write in ("stmt", "schemaless"):
            with self.subTest(write=write):
                self.db = "back_" + write
                running = self.start_slow_load("--retry-for", "60s", "--write", write)
                self.server.kill()
                time.sleep(1)
                self.sandbox()
                done = self.finish_load(running, timeout=120)
                self.assert_rows(done, read=60_000, written=60_000)
                self.assertGreater(done.report["requests"]["retries"] + done.report["requests"]["reconnects"], 0)
                self.assert_truth()

    def test_a_server_that_is_not_there_yet(self):
        self.server.stop()
        path = self.file("m.line", f"m,host=a v=1i {T0_NS}\n")
        running = self.start_load(path, "--wait")
        running.wait_for(lambda _, err: "waiting for the server" in err)
        self.sandbox()
        self.assert_rows(self.finish_load(running), read=1, written=1)

    def test_waiting_can_be_interrupted(self):
        self.server.stop()
        running = self.start("load", self.file("m.line", f"m v=1i {T0_NS}\n"), "--wait", "--to", self.server.dsn("db"))
        running.wait_for(lambda _, err: "waiting for the server" in err)
        running.signal(signal.SIGINT)
        self.assertEqual(running.finish(30).status, 130)

    def test_a_file_that_is_cut_while_it_is_read(self):
        for flags in ((), ("--no-mmap",)):
            with self.subTest(flags=flags):
                self.db = "cut" + "".join(flags).replace("-", "_")
                running = self.start_slow_load("--memory", "16M", "--threads", "1", *flags, rows=150_000)
                with open(self.path, "r+b") as file:
                    file.truncate(1 << 20)
                done = self.finish_load(running, status=3)
                self.assertIn("cpu.line", done.report["sources"][0]["error"])
                self.assertIn("truncated", done.report["sources"][0]["error"])
                self.assertEqual(done.total["not_done"], 0)
                self.assertLess(done.total["written"], 150_000)
                self.assertEqual(self.count("cpu"), done.total["written"])

    def test_no_room_for_the_rejects(self):
        # A limit on the size of files stands in for a full disk.
        path, _ = self.generated("cpu.line", "--hosts", 50, "--rows", 20_000, "--bad", 0.2)
        limited = ["bash", "-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "bash", support.OPTIONS.program]
        running = support.Running([*limited, "load", path, "--to", "null:", "--report", "report.json"], cwd=self.dir)
        done = self.finish_load(running, status=3, all_reasons=False)
        self.assertIn("cannot write the reject file", done.out)
        self.assertIn("--rejects", done.out)

    def test_signals_drain(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number.name):
                self.db = "drained_" + number.name.lower()
                # Standard input that does not end: the read part is small, so draining is quick.
                self.path, self.truth = self.generated("cpu.line", "--hosts", 50, "--rows", 20_000)
                with open(self.path, "rb") as file:
                    whole = file.read()
                read_end, write_end = os.pipe()
                feeder = threading.Thread(target=feed, args=(write_end, whole), daemon=True)
                with os.fdopen(read_end, "rb") as stdin:
                    running = self.start_load("-", "--format", "line", "--linger", "100ms", "--batch-rows", "1000",
                                              stdin=stdin)
                feeder.start()
                end = time.monotonic() + 60
                while self.run_program("query", "select count(*) from cpu", "--to", self.server.dsn(self.db)).status:
                    self.assertLess(time.monotonic(), end, running.so_far())
                running.signal(number)
                done = self.finish_load(running, status=status, timeout=30)
                os.close(write_end)
                self.assertIn("interrupted", done.report["outcome"])
                self.assertGreater(done.total["written"], 0)
                self.assertEqual(done.total["not_done"], 0)
                self.assertEqual(self.count("cpu"), done.total["written"])

    def test_a_second_signal_ends_at_once(self):
        running = self.start_slow_load(rate="2k/s")
        running.signal(signal.SIGINT)
        time.sleep(0.3)
        running.signal(signal.SIGINT)
        self.assertEqual(running.finish(20).status, 130)

    def test_the_sandbox_ends_on_signals(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=number.name):
                extra = support.Sandbox(self.dir / f"extra-{number.name}")
                self.assertEqual(extra.stop(number).status, 0)

    def test_two_sandboxes_on_one_port(self):
        outcome = self.run_program("sandbox", "other", "--listen", f"127.0.0.1:{self.port}", status=3, timeout=20)
        self.one_message(outcome, "in use", str(self.port))


def feed(descriptor, data):
    try:
        while data:
            data = data[os.write(descriptor, data):]
    except OSError:
        pass


class Meetings(support.Case):
    def test_two_loaders_widen_the_same_column_at_once(self):
        rows, files = 3000, {}
        for who in ("a", "b"):
            # Each file has texts that grow, and columns of its own.
            files[who] = self.file(f"{who}.line", "".join(
                f'm,who={who} s="{who * (1 + k // 10)}",only_{who}_{k // 500}={k}i {T0_NS + k * 10**6}\n'
                for k in range(rows)))
        self.load(self.file("seed.line", f'm,who=x s="x" {T0_NS}\n'))
        running = [self.start("load", files[who], "--to", self.server.dsn(self.db), "--batch-rows", "100",
                              "--linger", "10ms", "--report", f"{who}.json") for who in files]
        for one in running:
            outcome = one.finish()
            self.assertEqual(outcome.status, 0, str(outcome))
        self.assertEqual(self.count("m"), 2 * rows + 1)
        for who in files:
            self.assertEqual(self.query_one(f"select max(length(s)) from m where who='{who}'"), 300)
            for k in range(rows // 500):
                self.assertEqual(self.query_one(f"select sum(only_{who}_{k}) from m"),
                                 sum(range(500 * k, 500 * k + 500)))

    def test_two_loaders_make_the_same_tables_at_once(self):
        path, truth = self.generated("iot.line", "--case", "iot", "--hosts", 20, "--rows", 4000)
        self.load(self.file("none.line", ""), "--db-precision", "ns")
        running = [self.start("load", path, "--to", self.server.dsn(self.db), "--rejects", f"r{k}/") for k in range(2)]
        for one in running:
            outcome = one.finish()
            self.assertEqual(outcome.status, 0, str(outcome))
        for table, wanted in truth["tables"].items():
            self.assertEqual(self.count(table), wanted["distinct_keys"])

    def test_max_rate(self):
        path, _ = self.generated("cpu.line", "--hosts", 10, "--rows", 6000)
        size = path.stat().st_size
        for rate, seconds in (("3k/s", 2.0), (f"{size // 4000}kB/s", 1.0)):
            with self.subTest(rate=rate):
                done = self.load(path, "--max-rate", rate, "--batch-rows", "500", to="null:")
                self.assert_rows(done, read=6000, written=6000)
                self.assertGreater(done.total["seconds"], 0.5 * seconds)
                self.assertLess(done.total["seconds"], 4 * seconds + 2)

    def test_progress_is_told_on_standard_error(self):
        path, _ = self.generated("cpu.line", "--hosts", 10, "--rows", 14_000)
        done = self.load(path, "--max-rate", "2k/s", "--batch-rows", "500", "--lanes", "1", to="null:")
        self.assertRegex(done.err, r"\(\d+ %\)  [\d,]+ rows written  [\d.]+ k? ?rows/s")
        self.assertNotIn("\x1b", done.err)
        done = self.load(path, "--quiet", to="null:")
        self.assertEqual((done.out, done.err), ("", ""))

    def test_the_report_tells_what_the_issue_lists(self):
        path, truth = self.generated("cpu.line", "--hosts", 10, "--rows", 5000, "--bad", 0.002)
        done = self.load(path, "--lanes", "2", "--threads", "2", status=1)
        report = done.report
        self.assertLessEqual({"read", "written", "rejected", "not_done", "merged", "bytes", "seconds",
                              "rows_per_second"}, set(report["total"]))
        self.assertLessEqual({"count", "p50_ms", "p90_ms", "p99_ms", "max_ms", "retries"}, set(report["requests"]))
        self.assertLessEqual({"total", "sources", "requests", "stages", "limit", "settings", "version"}, set(report))
        self.assertEqual(report["total"]["bytes"], truth["bytes"])
        self.assertEqual((report["settings"]["lanes"], report["settings"]["threads"]), ("2", "2"))
        self.assertIn(report["limit"], [stage["name"] for stage in report["stages"]])
        for stage in report["stages"]:
            self.assertTrue(0 <= stage["busy"] <= 1, stage)
        percentiles = [report["requests"][name] for name in ("p50_ms", "p90_ms", "p99_ms", "max_ms")]
        self.assertEqual(percentiles, sorted(percentiles))
        self.assertGreater(percentiles[0], 0)
        # The text has the same numbers.
        total = report["total"]
        found = re.search(r"rows +([\d,]+) read = ([\d,]+) written \+ ([\d,]+) rejected \+ ([\d,]+) not done", done.out)
        self.assertEqual([int(n.replace(",", "")) for n in found.groups()],
                         [total[k] for k in ("read", "written", "rejected", "not_done")])
        self.assertIn("sandbox" if report["target"].startswith("sandbox") else "ws://", report["target"])

    def test_a_report_that_cannot_be_written(self):
        path = self.file("m.line", f"m v=1i {T0_NS}\n")
        outcome = self.run_program("load", path, "--to", "null:", "--report", "none/r.json", status=3)
        self.assertIn("none/r.json", outcome.err)


if __name__ == "__main__":
    support.main()
