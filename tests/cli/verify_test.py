#!/usr/bin/env python3
"""--verify and --on-existing: what a load wrote is looked for on the server; tables that hold rows are left alone."""

import gzip
import json
import time

import support

START = 1_700_000_000_000_000_000
SECOND = 1_000_000_000


def lines(count, hosts=4, start=START, step=SECOND, measurement="cpu", value=0):
    return "".join(f"{measurement},host=h{i % hosts} v={i + value}i {start + i // hosts * step}\n" for i in range(count))


class Verifying(support.Case):
    def verify(self, *arguments, status=0, **more):
        outcome = self.load(*arguments, "--verify", status=status, **more)
        outcome.verify = outcome.report["verify"]
        return outcome

    def assert_verify(self, outcome, **wanted):
        self.assertEqual({name: outcome.verify[name] for name in wanted}, wanted, str(outcome))

    def execute(self, sql):
        self.run_program("query", sql, "--to", self.server.dsn(self.db), status=0)


class Verify(Verifying):
    def test_all_there(self):
        self.file("a.line", lines(4000))
        outcome = self.verify("a.line")
        self.assert_verify(outcome, done=True, child_tables=4, rows=4000, repeated=0, missing=0, unexpected=0, others=0,
                           differences=[])
        self.assertIn("4,000 rows in 4 child tables, all there", outcome.out)

    def test_repeated_rows_count_once(self):
        # Every row three times, in another order, in two files; and some that become equal only in milliseconds.
        text = lines(1000).splitlines(keepends=True)
        self.file("a.line", "".join(text + text[::-1]))
        self.file("b.line", "".join(text))
        self.file("c.line", "".join(f"near,host=h v={i}i {START + i * 1000}\n" for i in range(3000)))
        outcome = self.verify("a.line", "b.line", "c.line", "--lanes", "3", "--batch-rows", "300",
                              "--allow-precision-loss", "--db-precision", "ms")
        self.assert_verify(outcome, rows=1003, repeated=2000 + 2997, missing=0, unexpected=0)

    def test_rejected_rows_are_not_missed(self):
        self.file("a.line", lines(100) + "cpu,host=h0 v=\"text\" 1700000500000000000\n" + "cpu,host=h0 v=1i 5\n")
        outcome = self.verify("a.line", status=1)
        self.assert_verify(outcome, rows=101, missing=0, unexpected=0)

    def test_rows_of_others_are_no_difference(self):
        self.file("before.line", lines(400, start=START + SECOND // 2))
        self.load("before.line")
        self.file("a.line", lines(400))
        outcome = self.verify("a.line")
        # Those of the last half second stand behind the last row of this load.
        self.assert_verify(outcome, rows=400, missing=0, unexpected=0, others=4 * 99)
        self.assertIn("396 rows of others", outcome.out)
        # The same once more: all keys are there before.
        outcome = self.verify("a.line")
        self.assert_verify(outcome, rows=400, missing=0, others=4 * 99)

    def test_lost_rows_are_listed(self):
        # What goes missing between the acknowledgement and the look: a proxy of SQL would do, but a delete while the
        # load waits for its pipe is as good.
        loaded = self.start_load("-", "--format", "line", "--verify", "--linger", "10ms", stdin=support.subprocess.PIPE)
        pipe = loaded.process.stdin
        pipe.write(lines(400).encode())
        pipe.flush()
        self.wait_for_count("cpu", 400)
        self.execute(f"delete from cpu where ts >= {(START + 10 * SECOND)} and ts <= {START + 12 * SECOND}"
                     .replace("ts", "_ts"))
        self.assertEqual(self.count("cpu"), 400 - 12)
        pipe.close()
        begun = time.monotonic()
        outcome = self.finish_load(loaded, status=4)
        outcome.verify = outcome.report["verify"]
        self.assertGreater(time.monotonic() - begun, 4, "a cluster that lags was given no time")
        self.assert_verify(outcome, done=True, rows=400, missing=12, unexpected=0, different_child_tables=4)
        one = outcome.verify["differences"][0]
        self.assertEqual((one["super_table"], one["written"], one["found"], one["missing"]), ("cpu", 100, 97, 3))
        self.assertEqual(one["first_missing"], [f"2023-11-14T22:13:{s}.000000000Z" for s in (30, 31, 32)])
        for part in ("12 of 400 rows are missing", "100 rows written, 97 found; 3 missing (2023-11-14T22:13:30"):
            self.assertIn(part, outcome.out)

    def wait_for_count(self, table, count):
        end = time.monotonic() + 60
        while True:
            outcome = self.run_program("query", f"select count(*) from `{table}`", "--to", self.server.dsn(self.db),
                                       "--format", "json")
            if outcome.status == 0 and json.loads(outcome.out)["count(*)"] == count:
                return
            self.assertLess(time.monotonic(), end, str(outcome))
            time.sleep(0.05)

    def test_a_table_that_went_away(self):
        loaded = self.start_load("-", "--format", "line", "--verify", "--linger", "10ms", stdin=support.subprocess.PIPE)
        loaded.process.stdin.write((lines(8) + lines(4, measurement="mem")).encode())
        loaded.process.stdin.flush()
        self.wait_for_count("mem", 4)
        self.wait_for_count("cpu", 8)
        self.execute("drop stable mem")
        loaded.process.stdin.close()
        outcome = self.finish_load(loaded, status=4)
        self.assertEqual(outcome.report["verify"]["missing"], 4)
        self.assertEqual({d["super_table"] for d in outcome.report["verify"]["differences"]}, {"mem"})

    def test_unexpected_rows_in_a_table_of_this_load(self):
        loaded = self.start_load("-", "--format", "line", "--verify", "--linger", "10ms", stdin=support.subprocess.PIPE)
        loaded.process.stdin.write(lines(400).encode())
        loaded.process.stdin.flush()
        self.wait_for_count("cpu", 400)
        child = self.query("select tbname from cpu limit 1")[0]["tbname"]
        self.execute(f"insert into `{child}` (_ts, v) values ({START + SECOND // 2}, 1)")
        loaded.process.stdin.close()
        outcome = self.finish_load(loaded, status=4)
        self.assertEqual({k: outcome.report["verify"][k] for k in ("missing", "unexpected")},
                         {"missing": 0, "unexpected": 1})

    def test_lag_is_waited_for(self):
        # The row comes back while the comparison waits.
        loaded = self.start_load("-", "--format", "line", "--verify", "--linger", "10ms", stdin=support.subprocess.PIPE)
        loaded.process.stdin.write(lines(400).encode())
        loaded.process.stdin.flush()
        self.wait_for_count("cpu", 400)
        child = self.query(f"select tbname from cpu where _ts = {START} and v = 0")[0]["tbname"]
        self.execute(f"delete from `{child}` where _ts = {START}")
        loaded.process.stdin.close()
        loaded.wait_for(lambda _, err: "verifying" in err)
        self.execute(f"insert into `{child}` (_ts, v) values ({START}, 0)")
        outcome = self.finish_load(loaded)
        self.assertEqual(outcome.report["verify"]["missing"], 0)

    def test_composite_keys(self):
        self.run_program("query", f"create database {self.db} precision 'ns'", "--to", self.server.dsn(), status=0)
        self.execute("create stable m (ts timestamp, k int composite key, v double) tags (site varchar(10))")
        self.execute("create stable t (ts timestamp, k varchar(20) composite key, v double) tags (site varchar(10))")
        rows = "".join(f"{START + i // 7 * SECOND},{i % 5 - 2},{i},s{i % 3}\n" for i in range(2000))
        different = len({(i // 7, i % 5, i % 3) for i in range(2000)})
        for table in ("m", "t"):
            self.file(f"{table}.csv", "ts,k,v,site\n" + rows)
            outcome = self.verify(f"{table}.csv", "--table", table, "--tags", "site", create=False)
            self.assert_verify(outcome, rows=different, missing=0, unexpected=0)
            self.assertEqual(self.count(table), different)

    def test_many_keys_in_little_memory(self):
        # Shuffled times do not fit into the share of the smallest memory: they go to a file.
        count = support.scaled(200_000)
        text = [f"cpu,host=h{i % 3} v={i}i {START + (i * 7_919 % count) * 1_234_567}\n" for i in range(count)]
        self.file("a.line", "".join(text))
        outcome = self.verify("a.line", "--memory", "16M")
        self.assert_verify(outcome, rows=count, repeated=0, missing=0)

    def test_refusals(self):
        self.file("a.line", lines(4))
        for arguments, part in (((), "--to null: keeps none"),
                                (("--write", "schemaless"), "--verify works with --write stmt")):
            outcome = self.run_program("load", "a.line", "--to", "null:", "--verify", *arguments, status=2)
            self.assertIn(part, outcome.err)

    def test_stopped_loads_are_not_verified(self):
        self.file("a.line", lines(40))
        self.file("b.line", "".join(f"cpu,host=n{i} v=1i {START}\n" for i in range(40)))
        outcome = self.verify("a.line", "b.line", "--max-child-tables", "10", status=3)
        self.assert_verify(outcome, done=False, why_not="the load stopped before its end")

    def test_server_restarts_while_verifying(self):
        folder = self.dir / "own"
        server = support.Sandbox(folder)
        self.addCleanup(server.stop)
        loaded = self.start_load("-", "--format", "line", "--verify", "--linger", "10ms", to=server.dsn("r"),
                                 stdin=support.subprocess.PIPE)
        loaded.process.stdin.write(lines(4000).encode())
        loaded.process.stdin.flush()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            outcome = self.run_program("query", "select count(*) from cpu", "--to", server.dsn("r"), "--format", "json")
            if outcome.status == 0 and json.loads(outcome.out)["count(*)"] == 4000:
                break
            time.sleep(0.05)
        port = server.port
        server.kill()
        loaded.process.stdin.close()
        loaded.wait_for(lambda _, err: "verifying" in err)
        server = support.Sandbox(folder, port=port)
        self.addCleanup(server.stop)
        outcome = self.finish_load(loaded)
        self.assertEqual({k: outcome.report["verify"][k] for k in ("rows", "missing")}, {"rows": 4000, "missing": 0})


class Resumed(Verifying):
    # Rows of all earlier runs are looked for, whatever their sources are compressed with.
    def stopped(self, name="a.line", pack=lambda data: data):
        text = lines(4000) + 'cpu,host=h0 v="text" 1700000500000000000\n' + lines(40, start=START + 10_000 * SECOND)
        self.file(name, pack(text.encode()))
        self.file("b.line", "".join(f"cpu,host=n{i} v=1i {START}\n" for i in range(40)))
        outcome = self.load(name, "b.line", "--max-child-tables", "10", "--journal", f"{self.db}.journal", status=3)
        self.assertEqual(outcome.total["rejected"], 1)
        self.assertGreater(outcome.total["written"], 4000)

    def test_rows_of_earlier_runs(self):
        for number, (name, pack) in enumerate((("a.line", bytes), ("a.line.gz", gzip.compress))):
            with self.subTest(name):
                self.db = f"resumed{number}"
                self.stopped(name, pack)
                outcome = self.verify(name, "b.line", "--resume", "--journal", f"{self.db}.journal", status=1)
                self.assert_verify(outcome, done=True, child_tables=44, rows=4080, repeated=0, missing=0, unexpected=0)
                self.assertNotIn("only_part", outcome.verify)

    def test_lost_rows_of_earlier_runs(self):
        self.stopped()
        self.execute(f"delete from cpu where _ts = {START + 10 * SECOND}")
        outcome = self.verify("a.line", "b.line", "--resume", "--journal", f"{self.db}.journal", status=4)
        self.assert_verify(outcome, rows=4080, missing=4, different_child_tables=4)

    def test_says_what_is_not_known(self):
        self.stopped()
        for path in self.dir.glob("penstock-rejects/*.reasons.jsonl"):
            path.unlink()
        outcome = self.verify("a.line", "b.line", "--resume", "--journal", f"{self.db}.journal", status=1)
        self.assertIn("the reject file of 'a.line' is gone", outcome.verify["only_part"])
        self.assertIn("not all is known of the rows of earlier runs", outcome.out)


class OnExisting(support.Case):
    FAIL = ("--on-existing", "fail-if-not-empty")

    def test_refused_before_the_first_row(self):
        self.file("a.line", lines(40))
        self.load("a.line")
        self.file("b.line", lines(40, measurement="mem") + lines(40, value=1000))
        for more in ((), ("--no-preflight",)):
            outcome = self.load("b.line", *self.FAIL, *more, status=2)
            self.one_message(outcome, "super table 'cpu' holds rows already", "fail-if-not-empty", "nothing was written")
            self.assertEqual(self.query_one("select max(v) from cpu"), 39)
            self.assertEqual([row["stable_name"] for row in self.query("show stables")], ["cpu"])
        self.load("b.line")
        self.assertEqual(self.query_one("select max(v) from cpu"), 1039)

    def test_empty_tables_are_welcome(self):
        self.file("a.line", lines(40))
        self.load("a.line")
        self.run_program("query", "delete from cpu", "--to", self.server.dsn(self.db), status=0)
        outcome = self.load("a.line", *self.FAIL)
        self.assert_rows(outcome, read=40, written=40)

    def test_new_tables_of_this_load_are_its_own(self):
        # The second file meets a table that the first one has filled.
        self.file("a.line", lines(40))
        self.file("b.line", lines(40, start=START + 100 * SECOND))
        outcome = self.load("a.line", "b.line", *self.FAIL)
        self.assert_rows(outcome, read=80, written=80)

    def test_met_later(self):
        self.file("a.line", lines(40, measurement="mem"))
        self.load("a.line")
        # No sample of the first 256 KiB shows it.
        self.file("b.line", lines(60_000) + lines(4, measurement="mem", value=1000))
        outcome = self.load("b.line", *self.FAIL, status=3)
        self.assertIn("super table 'mem' holds rows already", outcome.out)
        self.assertGreater(outcome.total["written"], 0)
        self.assertLess(outcome.total["written"], 60_004)
        self.assertEqual(self.count("cpu"), outcome.total["written"])
        self.assertEqual(self.query_one("select max(v) from mem"), 39)

    def test_csv_that_begins_anew(self):
        # The types of the sample prove too narrow: the second attempt meets what the first one made.
        rows = "".join(f"2024-01-01T00:{i // 60:02}:{i % 60:02}Z,{i},s1\n" for i in range(3000))
        self.file("a.csv", "time,v,site\n" + rows + "2024-01-01T02:00:00Z,1.5,s1\n")
        outcome = self.load("a.csv", "--tags", "site", *self.FAIL, "--verify")
        self.assert_rows(outcome, read=3001, written=3001)
        self.assertEqual(outcome.report["verify"]["missing"], 0)

    def test_refusals(self):
        self.file("a.line", lines(4))
        outcome = self.run_program("load", "a.line", "--to", self.server.dsn("x"), "--write", "schemaless", *self.FAIL,
                                   status=2)
        self.assertIn("--write stmt", outcome.err)
        outcome = self.run_program("load", "a.line", "--to", "null:", "--on-existing", "append", status=2)
        self.assertIn("--on-existing", outcome.err)


if __name__ == "__main__":
    support.main()
