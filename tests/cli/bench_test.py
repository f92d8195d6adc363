"""`penstock bench`: what it measures adds up, what it writes into is its own, and nothing of it stays."""

import contextlib
import gzip
import json
import signal

import support

MARK = "penstock_bench_mark"


def scale(count):
    """Smaller for programs that are ten times slower."""
    return count // 5 if support.OPTIONS.sanitized else count


class Bench(support.Case):
    def bench(self, *arguments, status=0, **more):
        outcome = self.run_program("bench", *arguments, "--report", "report.json", status=status, **more)
        path = self.dir / "report.json"
        if path.exists():
            outcome.report = json.loads(path.read_text())
            path.unlink()
        return outcome

    def refused(self, *arguments, said, status=2, **more):
        outcome = self.run_program("bench", *arguments, status=status, **more)
        for part in said if isinstance(said, tuple) else (said,):
            self.assertIn(part, outcome.err, str(outcome))
        self.assertEqual(outcome.out, "", str(outcome))
        return outcome

    def databases(self, server=None):
        rows = self.query("SHOW DATABASES", to=(server or self.server).dsn())
        return sorted(row["name"] for row in rows if not row["name"].endswith("_schema"))


class Parse(Bench):
    needs_server = False

    def check_report(self, report, rows, rejected=0):
        """Rates and sums follow from the rows, bytes and seconds that stand beside them."""
        self.assertEqual(report["rows"], rows)
        self.assertEqual(report["rejected"], rejected)
        self.assertEqual([stage["stage"] for stage in report["stages"]],
                         ["read", "parse", "schema", "gather", "build", "frame"])
        total = 0
        for stage in report["stages"]:
            self.assertEqual(len(stage["rounds"]), report["rounds"])
            self.assertTrue(min(stage["rounds"]) <= stage["seconds"] <= max(stage["rounds"]) or stage["seconds"] < 1e-8)
            total += stage["seconds"]
        self.assertAlmostEqual(report["all_stages"]["seconds"], total, delta=1e-6)
        for one in [*report["stages"], report["all_stages"], *report["pipeline"]]:
            self.assertAlmostEqual(one["ns_per_row"] * rows, one["seconds"] * 1e9, delta=one["seconds"] * 1e3)
            self.assertAlmostEqual(one["rows_per_second"] * one["seconds"], rows, delta=rows / 1e6)
            self.assertAlmostEqual(one["bytes_per_second"] * one["seconds"], report["bytes"],
                                   delta=report["bytes"] / 1e6)
        for pipeline in report["pipeline"]:
            self.assertEqual(pipeline["read"], rows)
            self.assertEqual(pipeline["written"] + pipeline["rejected"] + pipeline["left_out"], rows)
            self.assertEqual(pipeline["rejected"], rejected)
            self.assertEqual(len(pipeline["rounds"]), report["rounds"])
            cores = min(pipeline["threads"], report["cpus"])
            self.assertAlmostEqual(pipeline["share_of_stages"], total / cores / pipeline["seconds"], delta=1e-6)
        self.assertEqual(report["pipeline"][0]["speed_up"], 1)
        for pipeline in report["pipeline"]:
            self.assertGreater(pipeline["unshared_speed_up"], 0.1)
            self.assertLess(pipeline["unshared_speed_up"], 3 * pipeline["threads"])

    def test_generated_rows(self):
        rows = scale(50_000)
        for flags, in_text in (((), "TSBS cpu-only in 100 child tables"),
                               (("--case", "iot"), "TSBS iot in "),
                               (("--columns", "7"), "rows of 7 BIGINT columns in 100 child tables")):
            with self.subTest(flags=flags):
                outcome = self.bench("parse", "--rows", rows, "--child-tables", "100", "--rounds", "2", "--threads",
                                     "2", *flags)
                self.check_report(outcome.report, rows)
                self.assertIn(in_text, outcome.out)
                self.assertEqual([one["threads"] for one in outcome.report["pipeline"]], [1, 2])
                self.assertGreater(outcome.report["memcpy_bytes_per_second"], 1e6)
                self.assertGreater(outcome.report["sent_bytes"], rows * 8 * 2)
                for word in ("memcpy", "frame", "sum of the stages", "times one thread",
                             "threads that only add numbers"):
                    self.assertIn(word, outcome.out)

    def test_files_of_all_kinds(self):
        rows = scale(20_000)
        for kind, name in (("line", "a.line"), ("csv", "a.csv"), ("json", "a.json"), ("telnet", "a.telnet")):
            with self.subTest(kind):
                path, truth = self.generated(name, "--format", kind, "--rows", rows, "--hosts", 50)
                outcome = self.bench("parse", path, "--rounds", "1", "--threads", "1",
                                     *(("--tags", "hostname") if kind == "csv" else ()))
                self.check_report(outcome.report, rows)
                self.assertEqual(len(outcome.report["pipeline"]), 1)
                self.assertEqual(outcome.report["bytes"], path.stat().st_size)

    def test_compressed_files_count_their_text(self):
        path, _ = self.generated("a.line", "--rows", 5_000)
        (self.dir / "a.line.gz").write_bytes(gzip.compress(path.read_bytes()))
        outcome = self.bench("parse", "a.line.gz", path, "--rounds", "1")
        self.check_report(outcome.report, 10_000)
        self.assertEqual(outcome.report["bytes"], 2 * path.stat().st_size)

    def test_rejected_rows_are_counted(self):
        path, truth = self.generated("a.line", "--rows", 5_000, "--bad", "0.1")
        outcome = self.bench("parse", path, "--rounds", "1", status=1)
        self.check_report(outcome.report, 5_000, rejected=truth["bad"])
        self.assertIn("rejected", outcome.out)

    def test_rows_bound_what_is_read(self):
        path, _ = self.generated("a.line", "--rows", 5_000)
        outcome = self.bench("parse", path, "--rounds", "1", "--rows", "1k")
        self.assertEqual(outcome.report["pipeline"][0]["written"], 1_000)

    def test_json_stands_alone(self):
        outcome = self.run_program("bench", "parse", "--rows", "2000", "--rounds", "1", "--json", status=0)
        self.assertEqual(json.loads(outcome.out)["rows"], 2_000)

    def test_wrong_flags(self):
        self.refused("parse", "--rowz", "5", said=("--rowz is no flag of bench parse", "did you mean --rows?",
                                                   "Try: penstock bench parse --help"))
        self.refused("parse", "--rows", "many", said="--rows many: give a number, 500k or 10M")
        self.refused("parse", "--rows", "0", said="--rows 0")
        self.refused("parse", "--case", "devops", said="--case")
        self.refused("parse", "--columns", "5000", said="--columns 5000: at most 500")
        self.refused("parse", "--child-tables", "0", said="--child-tables 0")
        self.refused("parse", "--rounds", "0", said="--rounds")
        self.refused("parse", "--memory", "1M", said="--memory 1M: at least 16M")
        self.refused("parse", "--batch-rows", "0", said="--batch-rows 0")
        self.refused("parse", "--format", "csv", said="--format csv: generated rows are line protocol")
        self.refused("parse", "-", said="a pipe cannot give")
        self.refused("parse", "nowhere.line", said="nowhere.line")
        self.refused("parze", said="bench")
        self.refused(said="bench")
        self.refused("parse", self.file("empty.line", ""), said="there is no row to measure")

    def test_help_and_settings(self):
        out = self.run_program("bench", "parse", "--help", status=0).out
        for flag in ("--rows", "--threads", "--case", "--json", "--config"):
            self.assertIn(flag, out)
        self.assertIn("write", self.run_program("bench", "--help", status=0).out)
        self.assertIn("bench", self.run_program("--help", status=0).out)
        config = self.file("c.toml", "threads = 1\n[bench.parse]\nrows = 3000\nrounds = 1\n[bench.write]\nsweep = true\n")
        outcome = self.bench("parse", "--config", config)
        self.check_report(outcome.report, 3_000)
        self.assertEqual(len(outcome.report["pipeline"]), 1)
        outcome = self.bench("parse", "--rows", "4000", env={"PENSTOCK_ROUNDS": "1", "PENSTOCK_CONFIG": config})
        self.check_report(outcome.report, 4_000)
        wrong = self.file("w.toml", "[bench.parse]\nrowz = 3000\n")
        self.refused("parse", "--config", wrong, said=("w.toml:2", "'rowz' is no flag of bench parse", "rows"))

    def test_interrupted(self):
        running = self.start("bench", "parse", "--rows", scale(200_000), "--rounds", "1000")
        running.wait_for(lambda out, err: running.process.poll() is None and self.cpu_seconds(running) > 0.3)
        running.signal(signal.SIGINT)
        outcome = running.finish()
        self.assertEqual(outcome.status, 130, str(outcome))
        self.assertIn("interrupted", outcome.err)

    @staticmethod
    def cpu_seconds(running):
        with open(f"/proc/{running.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / 100


class Write(Bench):
    def check_lines(self, report, rows=None):
        """Every row is accounted for in each run."""
        self.assertTrue(report["lines"])
        for line in report["lines"]:
            self.assertNotIn("wrong", line)
            self.assertEqual(len(line["runs"]), report["rounds"], line)
            for run in line["runs"]:
                self.assertNotIn("error", run)
                self.assertEqual(run["read"], run["written"] + run["rejected"] + run["left_out"] + run["not_done"])
                self.assertEqual(run["counted"], run["written"] - run["merged"])
                self.assertEqual(run["not_done"], 0)
                self.assertGreater(run["seconds"], 0)
                self.assertGreater(run["requests"], 0)
                self.assertLessEqual(run["p50_ms"], run["p99_ms"])
                self.assertLessEqual(run["p99_ms"], run["max_ms"] * 1.04)
                if rows is not None:
                    self.assertEqual(run["written"], rows)
                if run["rows_per_table"] is not None:
                    self.assertGreaterEqual(run["rows_per_table"], 1)
            rates = sorted(run["written"] / run["seconds"] for run in line["runs"])
            self.assertGreaterEqual(line["rows_per_second"], rates[0] * 0.999)
            self.assertLessEqual(line["rows_per_second"], rates[-1] * 1.001)
            self.assertAlmostEqual(line["ratio"], line["rows_per_second"] / report["lines"][0]["rows_per_second"],
                                   delta=1e-6 * max(1, line["ratio"]))

    def test_every_path_of_a_websocket_target(self):
        rows = scale(10_000)
        outcome = self.bench("write", "--to", self.server.dsn(), "--rows", rows, "--child-tables", "50", "--rounds",
                             "2", "--database", self.db)
        self.check_lines(outcome.report, rows)
        self.assertEqual([line["path"] for line in outcome.report["lines"]],
                         ["stmt", "schemaless", "sql", "rest-schemaless", "rest-sql"])
        self.assertEqual([line["transport"] for line in outcome.report["lines"]], ["ws", "ws", "ws", "rest", "rest"])
        for name in ("stmt over ws", "schemaless over rest", "sql over rest", "CPU ns", "ratio"):
            self.assertIn(name, outcome.out)
        self.assertEqual(outcome.err.count("M rows/s"), 10, "a line for each run")
        self.assertNotIn(self.db, self.databases())

    def test_every_path_of_a_rest_target(self):
        outcome = self.bench("write", "--to", self.server.dsn().replace("ws:", "http:"), "--rows", "2000", "--rounds",
                             "1", "--child-tables", "20", "--database", self.db, "-q")
        self.check_lines(outcome.report, 2_000)
        self.assertEqual([line["path"] for line in outcome.report["lines"]], ["rest-schemaless", "rest-sql"])
        self.assertEqual(outcome.err, "")

    def test_every_path_of_a_native_target(self):
        if support.OPTIONS.standin is None:
            self.skipTest("no stand-in for the native library")
        dsn = f"taos://127.0.0.1:6030/?library={support.OPTIONS.standin}"
        env = {"PENSTOCK_STANDIN_DIRECTORY": self.dir / "native"}
        outcome = self.bench("write", "--to", dsn, "--rows", "1000", "--rounds", "1", "--child-tables", "20",
                             "--case", "iot", env=env)
        self.check_lines(outcome.report, 1_000)
        self.assertEqual([(line["path"], line["transport"]) for line in outcome.report["lines"]],
                         [("stmt", "native"), ("schemaless", "native"), ("sql", "native")])
        left = self.run_program("query", "SHOW DATABASES", "--to", dsn, env=env, status=0)
        self.assertNotIn("penstock_bench", left.out)

    def test_an_embedded_sandbox_and_null(self):
        outcome = self.bench("write", "--to", "sandbox:store", "--to", "null:", "--paths", "stmt", "--rows", "2000",
                             "--rounds", "1", "--child-tables", "20", "--case", "iot")
        self.check_lines(outcome.report, 2_000)
        self.assertEqual([line["path"] for line in outcome.report["lines"]], ["stmt", "null"])

    def test_settings_side_by_side(self):
        rows = scale(10_000)
        outcome = self.bench("write", "--to", self.server.dsn(), "--rows", rows, "--child-tables", "10", "--rounds",
                             "1", "--paths", "stmt,schemaless", "--lanes", "1,2", "--batch-rows", "100,1000",
                             "--rows-per-table", "load,5", "--columns", "3", "--database", self.db)
        self.check_lines(outcome.report, rows)
        lines = outcome.report["lines"]
        self.assertEqual(len([line for line in lines if line["path"] == "stmt"]), 8)
        self.assertEqual(len([line for line in lines if line["path"] == "schemaless"]), 4)
        for line in lines:
            for run in line["runs"]:
                self.assertGreaterEqual(run["requests"] * line["batch_rows"], rows)
        short = [line for line in lines if line["window"] == "5" and line["batch_rows"] == 1000]
        long = [line for line in lines if line["window"] == "load" and line["batch_rows"] == 1000
                and line["path"] == "stmt"]
        for a, b in zip(short, long):
            self.assertLess(a["runs"][0]["rows_per_table"], b["runs"][0]["rows_per_table"])
        self.assertIn("best: penstock load SOURCE --to ws://127.0.0.1", outcome.out)
        self.assertIn("best", outcome.report["targets"][0])

    def test_sweep_recommends_flags_that_load_takes(self):
        outcome = self.bench("write", "--to", self.server.dsn(), "--rows", "3000", "--child-tables", "10", "--sweep",
                             "--lanes", "1", "--batch-rows", "500", "--rows-per-table", "10", "--database", self.db)
        self.check_lines(outcome.report, 3_000)
        # What load does without flags comes first.
        first = outcome.report["lines"][0]
        self.assertEqual((first["path"], first["batch_rows"], first["window"], first["ratio"]),
                         ("stmt", 20_000, "load", 1))
        self.assertEqual(len(outcome.report["lines"]), 8)
        best = outcome.report["targets"][0]["best"]
        self.assertIn(best, outcome.out)
        flags = outcome.report["targets"][0]["best_flags"].split()
        path, _ = self.generated("a.line", "--rows", 100)
        self.load(path, *flags, to="null:")

    def test_duration_bounds_a_run(self):
        outcome = self.bench("write", "--to", self.server.dsn(), "--duration", "300ms", "--child-tables", "20",
                             "--rounds", "1", "--paths", "stmt,rest-schemaless", "--database", self.db)
        self.check_lines(outcome.report)
        for line in outcome.report["lines"]:
            self.assertGreater(line["runs"][0]["written"], 0)
            self.assertLess(line["runs"][0]["seconds"], 60)

    def test_more_rows_than_are_kept_as_text(self):
        with self.discarding() as server:
            outcome = self.bench("write", "--to", server, "--rows", "310k", "--child-tables", "7", "--rounds",
                                 "1", "--paths", "stmt", "--columns", "1", timeout=300)
            self.check_lines(outcome.report, 310_000)

    @contextlib.contextmanager
    def discarding(self):
        """The address of a sandbox that keeps no rows."""
        running = self.start("sandbox", "--listen", "127.0.0.1:0", "--discard")
        running.wait_for(lambda out, _: "no database for production" in out)
        out = running.so_far()[0]
        self.assertIn("throws all rows away", out)
        yield f"ws://127.0.0.1:{int(out.split('listens on 127.0.0.1:')[1].split()[0])}/"
        running.signal(signal.SIGTERM)
        self.assertEqual(running.finish().status, 0)

    def test_repeated_rows_have_keys_of_their_own(self):
        rows = 2_000
        outcome = self.bench("write", "--to", self.server.dsn(), "--rows", rows, "--child-tables", "7", "--rounds",
                             "1", "--paths", "stmt", "--columns", "2", "--database", self.db, "--keep-data")
        self.check_lines(outcome.report, rows)
        self.assertEqual(self.count("bench"), rows)
        self.assertEqual(self.query_one("select count(*) from (select distinct tbname from bench)"), 7)

    def test_files(self):
        path, _ = self.generated("a.line", "--rows", 3_000, "--duplicates", "0.2", "--hosts", "10")
        outcome = self.bench("write", path, "--to", self.server.dsn(), "--rounds", "1", "--database", self.db,
                             "--paths", "stmt,schemaless")
        # Equal keys overwrite one another in the database, whichever way they came.
        counted = {line["runs"][0]["counted"] for line in outcome.report["lines"]}
        self.assertEqual(len(counted), 1)
        for line in outcome.report["lines"]:
            self.assertNotIn("wrong", line)
            self.assertEqual(line["runs"][0]["written"], 3_000)

    def test_csv_cannot_be_forwarded(self):
        path, _ = self.generated("a.csv", "--format", "csv", "--rows", 500)
        outcome = self.bench("write", path, "--tags", "hostname", "--to", self.server.dsn(), "--rounds", "1",
                             "--database", self.db)
        left_out = {line["path"] for line in outcome.report["lines"] if "left_out" in line}
        self.assertEqual(left_out, {"schemaless", "rest-schemaless"})
        self.assertIn("forwards line protocol, telnet and JSON only", outcome.out)

    def test_rejected_rows(self):
        path, _ = self.generated("a.line", "--rows", 1_000, "--bad", "0.05")
        outcome = self.bench("write", path, "--to", self.server.dsn(), "--rounds", "1", "--paths", "stmt",
                             "--database", self.db, status=1)
        run = outcome.report["lines"][0]["runs"][0]
        self.assertGreater(run["rejected"], 0)
        self.assertEqual(run["written"] + run["rejected"], 1_000)
        self.assertIn("rows rejected", outcome.out)

    def test_a_database_of_others_is_left_alone(self):
        self.query(f"create database {self.db}", to=self.server.dsn())
        self.query(f"create table {self.db}.t (ts timestamp, v int)", to=self.server.dsn())
        self.refused("write", "--to", self.server.dsn(), "--rows", "100", "--database", self.db, "-q",
                     said=(f"127.0.0.1:{self.server.port}", f"'{self.db}' exists and was not made by penstock bench",
                           "--database"))
        self.assertEqual(len(self.query("show tables")), 1)

    def test_its_own_database_is_taken_again_and_kept_when_asked(self):
        for rows in (300, 200):
            self.bench("write", "--to", self.server.dsn(), "--rows", rows, "--rounds", "1", "--paths", "stmt",
                       "--child-tables", "10", "--database", self.db, "--keep-data")
            self.assertEqual(self.count("cpu"), rows)
            self.assertIn(MARK, [row["table_name"] for row in self.query("show tables")])
        self.bench("write", "--to", self.server.dsn(), "--rows", "100", "--rounds", "1", "--paths", "stmt",
                   "--database", self.db)
        self.assertNotIn(self.db, self.databases())

    def test_interrupted(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(number):
                running = self.start("bench", "write", "--to", self.server.dsn(), "--rounds", "100", "--child-tables",
                                     "10", "--duration", "200ms", "--database", self.db)
                running.wait_for(lambda out, err: "[2/" in err)
                running.signal(number)
                outcome = running.finish()
                self.assertEqual(outcome.status, status, str(outcome))
                self.assertIn("interrupted; the scratch database is dropped", outcome.err)
                self.assertIn("stmt over ws", outcome.out)
                self.assertNotIn(self.db, self.databases())

    def test_no_server_and_wrong_password(self):
        outcome = self.refused("write", "--to", "ws://127.0.0.1:1", "--rows", "100", status=3, said="127.0.0.1:1")
        self.assertLess(outcome.seconds, 30)
        outcome = self.refused("write", "--to", self.server.dsn(user="root:wrong@"), "--rows", "100",
                               said=f"127.0.0.1:{self.server.port}")
        self.assertNotIn("wrong@", outcome.err)
        self.refused("write", "--to", self.server.dsn(), "--rows", "100", env={"PENSTOCK_PASSWORD": "wrong"},
                     said=f"127.0.0.1:{self.server.port}")
        self.assertNotIn("penstock_bench", self.databases())

    def test_a_server_that_dies(self):
        server = support.Sandbox(self.dir / "store")
        self.addCleanup(server.stop)
        running = self.start("bench", "write", "--to", server.dsn(), "--child-tables", "10",
                             "--duration", "200ms", "--paths", "stmt", "--retry-for", "1s", "--rounds", "3")
        running.wait_for(lambda out, err: "[1/" in err)
        server.kill()
        outcome = running.finish()
        self.assertEqual(outcome.status, 3, str(outcome))
        self.assertIn("the scratch database is left", outcome.err)
        self.assertIn("DROP DATABASE `penstock_bench`", outcome.err)
        self.assertIn(f"127.0.0.1:{server.port}", outcome.err)

    def test_wrong_flags(self):
        to = ("write", "--to", self.server.dsn(), "--rows", "100")
        self.refused("write", said="--to")
        self.refused("write", "--to", self.server.dsn("mine"), "--rows", "10", said=("--database", "leave 'mine' out"))
        self.refused("write", "--to", "nowhere", said="nowhere")
        self.refused(*to, "--lanez", "2", said=("--lanez is no flag of bench write", "did you mean --lanes?"))
        self.refused(*to, "--lanes", "0", said="--lanes 0")
        self.refused(*to, "--lanes", "many", said="--lanes")
        self.refused(*to, "--batch-rows", "10,0", said="--batch-rows 0")
        self.refused(*to, "--rows-per-table", "100000", said="--rows-per-table 100000: numbers from 1 to 32767")
        self.refused(*to, "--rows-per-table", "some", said="--rows-per-table some")
        self.refused(*to, "--paths", "stmt,odbc", said="--paths")
        self.refused(*to, "--duration", "0", said="--duration 0")
        self.refused(*to, "--database", "a-b", said="--database a-b: a name of at most 64 small letters")
        self.refused(*to, "--paths", "stmt", "--password-file", "nowhere", said="nowhere")
        self.refused("write", "--to", self.server.dsn().replace("ws:", "http:"), "--rows", "10", "--paths", "stmt",
                     said="has none of these ways")
        self.assertNotIn("penstock_bench", self.databases())


if __name__ == "__main__":
    support.main()
