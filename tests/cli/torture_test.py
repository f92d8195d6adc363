"""The short version of tools/torture: a few disturbances of each kind, and that the oracle sees what it should."""

import argparse
import concurrent.futures
import copy
import pathlib
import random
import sys
import tempfile
import unittest

import support

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from torture import campaign, inputs, oracle, proxy, world  # noqa: E402


class Torture(unittest.TestCase):
    """Cycles of each kind with fixed seeds. A cycle that fails says how to run it alone.

    All kinds run at the same time, from the start: most of a cycle is waiting.
    """

    # Kind: how many disturbances.
    COUNTS = {"kills": 8, "faults": 6, "failover": 4, "restarts": 4, "disks": 2, "clocks": 4, "rotations": 6}

    @classmethod
    def setUpClass(cls):
        work = tempfile.TemporaryDirectory(prefix="penstock-torture-test-")
        cls.addClassCleanup(work.cleanup)
        settings = world.Settings(support.OPTIONS.program, support.OPTIONS.generate, work.name, patience=90.0,
                                  sanitized=support.OPTIONS.sanitized)
        cls.house = campaign.House(settings, ["line_growing", "csv_gz", "json"])
        cls.addClassCleanup(cls.house.close)
        threads = concurrent.futures.ThreadPoolExecutor(len(cls.COUNTS))
        cls.running = {kind: threads.submit(campaign.run_kind, cls.house, kind, count, 1, 1, True, cls.reproduce,
                                            lambda *_: None) for kind, count in cls.COUNTS.items()}

    @classmethod
    def reproduce(cls, kind, seed):
        return (f"tools/torture --program {support.OPTIONS.program} --kind {kind} --seed {seed} --count 1 "
                f"--inputs {','.join(cls.house.scenarios)}")

    def torture(self, kind):
        tally = self.running[kind].result().as_json()
        if tally["cycles"] == 0 and "skipped" in tally:
            self.skipTest("; ".join(tally["skipped"]))
        self.assertEqual(tally["failed"], [])
        self.assertEqual((tally["rows"]["lost"], tally["rows"]["doubled"], tally["rows"]["different"], tally["hangs"]),
                         (0, 0, 0, 0))
        self.assertGreaterEqual(tally["disturbances"], self.COUNTS[kind])
        self.assertGreater(tally["rows"]["expected"], 0)

    def test_loaders_that_are_killed(self):
        self.torture("kills")

    def test_disks_that_are_full(self):
        self.torture("disks")

    def test_clocks_that_jump(self):
        self.torture("clocks")

    def test_logs_that_are_rotated(self):
        self.torture("rotations")

    def test_networks_that_fail(self):
        self.torture("faults")

    def test_endpoints_that_die_in_turn(self):
        self.torture("failover")

    def test_servers_that_are_killed(self):
        self.torture("restarts")


class Instruments(unittest.TestCase):
    """What looks for lost rows finds them: else the cycles above could not fail."""

    TABLES = {"m": {"columns": [("_ts", "TIMESTAMP", 8, ""), ("v", "BIGINT", 8, "")],
                    "children": [("t1", "host", "a"), ("t2", "host", "b")],
                    "rows": {("t1", "1"): [(("v", 1),)], ("t1", "2"): [(("v", 2),)], ("t2", "1"): [(("v", None),)]}}}

    def change(self, changing):
        changed = copy.deepcopy(self.TABLES)
        changing(changed)
        found = oracle.compare(self.TABLES, changed)
        self.assertEqual(bool(found.notes), (found.lost, found.doubled, found.different) != (0, 0, 0))
        self.assertEqual(found.expected, 3)
        return found.lost, found.doubled, found.different

    def test_the_oracle_sees_every_difference(self):
        rows = lambda tables: tables["m"]["rows"]  # noqa: E731
        cases = {
            "same": (lambda t: None, (0, 0, 0)),
            "lost": (lambda t: rows(t).pop(("t1", "2")), (1, 0, 0)),
            "doubled under its key": (lambda t: rows(t)[("t1", "1")].append((("v", 1),)), (0, 1, 0)),
            "doubled under another time": (lambda t: rows(t).update({("t1", "3"): [(("v", 1),)]}), (0, 1, 0)),
            "moved to another child table": (lambda t: rows(t).update({("t2", "2"): rows(t).pop(("t1", "2"))}),
                                             (1, 1, 0)),
            "another value": (lambda t: rows(t).update({("t1", "1"): [(("v", 9),)]}), (0, 0, 1)),
            "a value that became null": (lambda t: rows(t).update({("t1", "1"): [(("v", None),)]}), (0, 0, 1)),
            "another tag": (lambda t: t["m"].update(children=[("t1", "host", "x"), ("t2", "host", "b")]), (0, 0, 1)),
            "a column less": (lambda t: t["m"]["columns"].pop(), (0, 0, 1)),
            "a table that is gone": (lambda t: t.pop("m"), (3, 0, 0)),
            "a table of no input": (lambda t: t.update(n=copy.deepcopy(t["m"])), (0, 3, 0)),
        }
        for name, (changing, wanted) in cases.items():
            with self.subTest(name):
                self.assertEqual(self.change(changing), wanted)

    def test_the_oracle_reads_what_the_server_has(self):
        with tempfile.TemporaryDirectory() as work:
            settings = world.Settings(support.OPTIONS.program, support.OPTIONS.generate, work)
            server = world.Server(settings, pathlib.Path(work) / "server")
            self.addCleanup(server.close)
            for sql in ("create database d precision 'ns' keep 36500",
                        "create table d.m (ts timestamp, v int) tags (h int)",
                        "insert into d.a using d.m tags (1) values (1700000000000000001, 1) (1700000000000000002, 2)",
                        "create table d.b using d.m tags (2)"):
                server.sql(sql)
            before = oracle.snapshot(server, "d")
            self.assertEqual(oracle.compare(before, before).expected, 2)
            for sql, wanted in (("delete from d.a where ts = 1700000000000000001", (1, 0, 0)),
                                ("insert into d.a values (1700000000000000001, 3)", (0, 0, 1)),
                                ("insert into d.b values (1700000000000000003, 3)", (0, 1, 1)),
                                ("alter table d.b set tag h = 5", (0, 1, 2))):
                with self.subTest(sql):
                    server.sql(sql)
                    found = oracle.compare(before, oracle.snapshot(server, "d"))
                    self.assertEqual((found.lost, found.doubled, found.different), wanted, found.notes)
            server.kill()
            server.start()
            self.assertEqual(len(oracle.snapshot(server, "d")["m"]["rows"]), 3)

    def test_a_program_that_hangs_is_found_and_ended(self):
        with tempfile.TemporaryDirectory() as work:
            settings = world.Settings("/bin/true", "/bin/true", work)
            run = world.Run(settings, ["sleep", "600"], work, "hangs")
            with self.assertRaises(world.Problem) as caught:
                run.finish(0.2)
            self.assertEqual(caught.exception.kind, "hang")
            self.assertTrue(run.ended())

    def test_a_ledger_that_does_not_add_up_is_found(self):
        tally = {"read": 10, "written": 8, "rejected": 2, "left_out": 0, "not_done": 0, "bytes": 100}

        def report(**more):
            changed = {**tally, **more}
            return {"total": changed, "sources": [{**changed, "name": "a"}],
                    "rejects": [{"count": changed["rejected"]}], "exit_status": 1}

        truth = argparse.Namespace(report=report())
        oracle.check_ledger(report(), truth)
        for name, wrong in (("a row less", report(written=7)), ("not all read", report(read=9, written=7)),
                            ("not done", report(written=7, not_done=1)),
                            ("a reason less", {**report(), "rejects": [{"count": 1}]}),
                            ("another source", {**report(), "sources": [{**tally, "name": "b"}]})):
            with self.subTest(name):
                with self.assertRaises(world.Problem):
                    oracle.check_ledger(wrong, truth)

    def test_frames_are_found_however_bytes_are_cut(self):
        rng = random.Random(7)
        stream, starts = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n", []
        for size in (0, 1, 125, 126, 300, 65535, 65536, 70000, 3):
            for masked in (0, 0x80):
                starts.append(len(stream))
                length = bytes([masked | size]) if size < 126 else (
                    bytes([masked | 126]) + size.to_bytes(2, "big") if size < 65536
                    else bytes([masked | 127]) + size.to_bytes(8, "big"))
                stream += b"\x82" + length + (b"mask" if masked else b"") + rng.randbytes(size)
        for largest in (1, 2, 7, 1000, len(stream)):
            with self.subTest(largest=largest):
                frames, found, at = proxy.Frames(), [], 0
                while at < len(stream):
                    step = rng.randint(1, largest)
                    found += [at + start for start in frames.starts(stream[at:at + step])]
                    at += step
                self.assertEqual(found, starts)

    def test_inputs_are_the_same_for_the_same_name(self):
        with tempfile.TemporaryDirectory() as work:
            seen = []
            for index in range(2):
                directory = pathlib.Path(work) / str(index)
                directory.mkdir()
                for make in (inputs.growing, inputs.objects, inputs.quoted):
                    for name in make(None, directory, random.Random("same")):
                        seen.append((directory / name).read_bytes())
            self.assertEqual(seen[:len(seen) // 2], seen[len(seen) // 2:])


if __name__ == "__main__":
    support.main()
