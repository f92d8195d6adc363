"""Loads over TDengine's own client library (taos://), by the stand-in for it: the same tables, outages, resuming."""

import re
import signal
import time
import urllib.request

import support
from support import T0_NS


class Native(support.Case):
    def setUp(self):
        super().setUp()
        self.data = self.dir / "native"
        self.env = {"PENSTOCK_STANDIN_DIRECTORY": self.data}

    def dsn(self, database="", hosts="127.0.0.1:6030", options=""):
        return f"taos://{hosts}/{database}?library={support.OPTIONS.standin}{options}"

    def start(self, *arguments, env=None, **more):
        return super().start(*arguments, env={**self.env, **(env or {})}, **more)

    def load_natively(self, *arguments, to=None, **more):
        return self.load(*arguments, "--create-database", to=to or self.dsn(self.db), **more)

    def lines(self, count, hosts=7, name="a.line"):
        return self.file(name, "".join(
            f'cpu,host=h{i % hosts},region=r{i % 3} a={i}i,b={i}.5,note="row {i}",ok={"tf"[i % 2]} {T0_NS + i * 1_000_000}\n'
            for i in range(count)))

    def assert_loaded(self, rows):
        total = self.query("select count(*) as n, sum(a) as s from cpu", self.dsn(self.db))[0]
        self.assertEqual(total, {"n": rows, "s": rows * (rows - 1) // 2})

    def test_the_tables_are_those_of_a_load_over_websocket(self):
        csv = self.file("b.csv", "time,host,region,usage,note\n" + "".join(
            f"2024-01-01 00:{i // 60 % 60:02}:{i % 60:02},h{i % 5},eu,{i}.25,\"a, {i}\"\n" for i in range(500)))
        cases = {
            "short_runs": (self.lines(3000, hosts=900, name="s.line"),),
            "long_runs": (self.lines(3000, name="l.line"),),
            "schemaless": (self.lines(3000, name="f.line"), "--write", "schemaless"),
            "csv": (csv, "--tags", "host,region"),
            "lanes": (self.lines(5000, hosts=40, name="m.line"), "--lanes", "3", "--batch-rows", "200"),
        }
        for name, arguments in cases.items():
            with self.subTest(name):
                self.db = name
                natively = self.load_natively(*arguments)
                over_websocket = self.load(*arguments)
                self.assertEqual(natively.total["written"], over_websocket.total["written"])
                self.assertEqual(self.tables(self.dsn(name)), self.tables())

    def test_refused_rows_cost_only_themselves(self):
        path = self.file("bad.line", f"cpu,host=a v=1i {T0_NS}\ncpu,host=a v=2i -9000000000000000000\nbroken\n"
                                     f'cpu,host=b v="text" {T0_NS}\ncpu,host=b v=4i {T0_NS + 1}\n')
        for write in ("stmt", "schemaless"):
            with self.subTest(write):
                self.db = "refused_" + write
                done = self.load_natively(path, "--write", write, "--keep", "20000", status=1)
                self.assert_rows(done, read=5, written=2, rejected=3)
                self.assertEqual(self.query_one("select sum(v) from cpu", self.dsn(self.db)), 5)

    def test_failures_that_pass_cost_no_row(self):
        path = self.lines(4000)
        cases = {
            "exec": "taos_stmt2_exec:0x8000000B:3",
            "lost_answers": "taos_stmt2_exec:after:0x80000018:2",
            "bind": "taos_stmt2_bind_param:0x80000019:2",
            "prepare": "taos_stmt2_prepare:0x80000020:2",
            "init": "taos_stmt2_init:0x80000213:1",
            "busy": "taos_stmt2_exec:0x80000917:4",
            "old_schema": "taos_stmt2_exec:0x80000125:2",
            "schemaless": "taos_schemaless_insert_raw_ttl_with_reqid_tbname_key:0x8000000B:3",
        }
        for name, failure in cases.items():
            with self.subTest(name):
                self.db = name
                # What comes before the first row is not repeated.
                self.run_program("query", f"create database {name} keep 36500 precision 'ns'", "--to", self.dsn(),
                                 status=0)
                self.run_program("query", f"create stable {name}.cpu (_ts timestamp, a bigint) tags (host nchar(8))",
                                 "--to", self.dsn(), status=0)
                flags = ("--write", "schemaless") if name == "schemaless" else ("--batch-rows", "500")
                done = self.load(path, *flags, "--retry-for", "30s", to=self.dsn(name),
                                 env={"PENSTOCK_STANDIN_FAIL": failure})
                self.assert_rows(done, read=4000, written=4000)
                requests = done.report["requests"]
                self.assertGreater(requests["retries"] + requests["reconnects"], 0, str(done))
                self.assert_loaded(4000)

    def test_a_server_that_is_not_there(self):
        path = self.lines(10)
        done = self.run_program("load", path, "--to", self.dsn(self.db), env={"PENSTOCK_STANDIN_REFUSE": "6030"}, status=3)
        self.assertIn("127.0.0.1:6030", done.err + done.out)
        self.assertLess(done.seconds, 10)
        # The other endpoint is.
        done = self.load_natively(path, to=self.dsn(self.db, "127.0.0.1:6031,127.0.0.1:6030"),
                                  env={"PENSTOCK_STANDIN_REFUSE": "6031"})
        self.assert_rows(done, read=10, written=10)

    def test_a_server_that_hangs(self):
        path = self.lines(100)
        self.load_natively(path)
        done = self.load(path, "--request-timeout", "500ms", "--retry-for", "1s", to=self.dsn(self.db),
                         env={"PENSTOCK_STANDIN_DELAY": "taos_stmt2_exec:4000"}, status=3)
        self.assertIn("did not answer", done.err + done.out)
        self.assertLess(done.seconds, 30)

    def test_what_cannot_work_is_said_at_once(self):
        path = self.lines(10)
        cases = {
            "password": (f"taos://root:wrong@127.0.0.1:6030/x?library={support.OPTIONS.standin}", "wrong user or password"),
            "database": (self.dsn("missing"), "--create-database"),
            "library": ("taos://127.0.0.1:6030/x?library=/nowhere/libtaos.so", "/nowhere/libtaos.so"),
            "old": (f"taos://127.0.0.1:6030/x?library={support.OPTIONS.standin_old}", "taos_stmt2_"),
            "rest": ("http://127.0.0.1:6041/x", "REST"),
        }
        for name, (to, part) in cases.items():
            with self.subTest(name):
                create = ("--create-database",) if name == "old" else ()
                done = self.run_program("load", path, "--to", to, *create)
                self.assertIn(done.status, (2, 3) if name == "old" else (2,), str(done))
                self.assertIn(part, done.err + done.out)
                self.assertNotIn("wrong@", done.err + done.out)

    def test_a_killed_load_goes_on(self):
        path = self.lines(20_000)
        state = {"XDG_STATE_HOME": self.dir / "state"}
        running = self.start_load(path, "--create-database", "--max-rate", "8k/s", "--batch-rows", "500", to=self.dsn(self.db),
                                  env=state)
        time.sleep(1.8)  # any moment will do
        running.signal(signal.SIGKILL)
        running.finish()
        done = self.load(path, "--resume", "--batch-rows", "500", to=self.dsn(self.db), env=state)
        self.assertLessEqual(done.total["written"], 20_000)
        self.assert_loaded(20_000)

    def test_an_interrupt_drains(self):
        path = self.lines(20_000)
        running = self.start_load(path, "--create-database", "--max-rate", "5k/s", "--batch-rows", "500",
                                  to=self.dsn(self.db))
        time.sleep(1.5)  # any moment will do
        running.signal(signal.SIGINT)
        done = self.finish_load(running, status=130)
        there = self.query_one("select count(*) from cpu", self.dsn(self.db)) if done.total["written"] else 0
        self.assertEqual(there, done.total["written"])

    def test_a_tail_writes_natively(self):
        path = self.lines(100)
        running = self.start("tail", path, "--format", "line", "--to", self.dsn(self.db), "--create-database",
                             "--log-format", "json", "--metrics-listen", "0", env={"XDG_STATE_HOME": self.dir / "state"})
        running.wait_for(lambda _, err: '"code":"tail.started"' in err)
        with open(path, "a") as file:
            for i in range(100, 200):
                file.write(f"cpu,host=h1,region=r1 a={i}i {T0_NS + i * 1_000_000}\n")
        port = re.search(r"127\.0\.0\.1:(\d+)/metrics", running.so_far()[1]).group(1)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                if re.search(r"^penstock_rows_written_total\S* 200$", answer.read().decode(), re.MULTILINE):
                    break
            time.sleep(0.05)
        running.signal(signal.SIGTERM)
        outcome = running.finish()
        self.assertEqual(outcome.status, 0, str(outcome))
        self.assert_loaded(200)

    def test_queries_print_all_types(self):
        self.run_program("query", "create database t keep 36500", "--to", self.dsn(), status=0)
        to = self.dsn("t", options="&timezone=Asia/Shanghai")
        self.run_program("query", "create table t (ts timestamp, d decimal(10,2), n nchar(4), b varbinary(4), u bigint unsigned)",
                         "--to", to, status=0)
        self.run_program("query", "insert into t values (1700000000000, -1.50, '北京', '\\x00FF', 18446744073709551615)",
                         "--to", to, status=0)
        row = self.query("select d, n, u from t", to)[0]
        self.assertEqual((str(row["d"]), row["n"], row["u"]), ("-1.50", "北京", 18446744073709551615))
        refused = self.run_program("query", "select nope from t", "--to", to)
        self.assertNotEqual(refused.status, 0)
        self.assertIn("0x2602", refused.err)


if __name__ == "__main__":
    support.main()
