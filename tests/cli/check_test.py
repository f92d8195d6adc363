#!/usr/bin/env python3
"""`check`: what a load would make of the sources, of one line, and of the target."""

import json

import support

T0_NS = 1704067200000000000
T0_MS = 1704067200000

CSV = ("time,host,region,usage,note\n"
       "2024-01-01 00:00:00,h1,eu,1.5,\"a, b\"\n"
       "2024-01-01 00:00:02,h2,eu,2.5,\n"
       "oops,h1,eu,3.5,x\n"
       "2024-01-01 00:00:01,h1,us,NA,\"two\nlines\"\n"
       "2023-12-31 23:00:00,h1,eu,4.5,late\n")


class Sources(support.Case):
    needs_server = False

    def check(self, *arguments, status=0):
        return json.loads(self.run_program("check", *arguments, "--json", status=status).out)

    def test_everything_of_a_csv(self):
        path = self.file("b.csv", CSV)
        found = self.check(path, "--tags", "host,region", status=1)
        source = found["sources"][0]
        self.assertEqual((source["format"], source["rows"], source["rejected"], source["left_out"]), ("csv", 5, 1, 0))
        self.assertTrue(source["why"])
        columns = {column["name"]: column for column in source["columns"]}
        self.assertEqual(columns["time"]["becomes"], "the timestamp `time`")
        self.assertEqual((columns["host"]["becomes"], columns["host"]["type"]), ("tag `host`", "NCHAR(4)"))
        self.assertEqual((columns["usage"]["becomes"], columns["usage"]["type"]), ("column `usage`", "DOUBLE"))
        self.assertTrue(all(column["evidence"] for column in columns.values()))
        table = found["tables"][0]
        self.assertEqual((table["name"], table["rows"], table["out_of_order"], table["exists"]), ("b", 4, 1, False))
        self.assertEqual((table["first"], table["last"]), ("2023-12-31T23:00:00.000Z", "2024-01-01T00:00:02.000Z"))
        self.assertIn("CREATE STABLE", table["ddl"])
        self.assertEqual(found["child_tables"], 3)
        reject = found["rejects"][0]
        self.assertEqual((reject["count"], reject["first"]), (1, f"{path}:4:1"))
        self.assertEqual(reject["examples"], [{"place": f"{path}:4:1", "record": "oops,h1,eu,3.5,x"}])
        self.assertEqual(found["exit_status"], 1)
        text = self.run_program("check", path, "--tags", "host,region", status=1).out
        for part in ("csv, 5 rows, 1 rejected", "tag `host` NCHAR(4)", "child tables  3", "oops,h1,eu,3.5,x", "an assumption"):
            self.assertIn(part, text)
        self.assertFalse((self.dir / "penstock-rejects").exists())

    def test_the_estimate(self):
        path = self.file("m.line", "".join(f"m v={k}i {T0_NS + k}\n" for k in range(1000)))
        found = self.check(path, "--rate", "10/s")
        self.assertEqual(found["estimate"], {"rate": "10/s", "rate_given": True, "seconds": 100.0})
        found = self.check(path, "--rate", "1kB/s")
        self.assertAlmostEqual(found["estimate"]["seconds"], path.stat().st_size / 1000, places=6)
        found = self.check(path, "--since", "2024-01-01T00:00:00.0000005Z", "--rate", "10/s")
        self.assertEqual((found["sources"][0]["left_out"], found["estimate"]["seconds"]), (500, 50.0))
        done = self.run_program("check", path, "--rate", "fast", status=2)
        self.one_message(done, "--rate")

    def test_a_saved_mapping_makes_the_same_tables(self):
        texts = {
            "b.csv": (CSV, ("--tags", "host,region", "--tag", "site=x y")),
            "epoch.csv": (f"{T0_MS};1;a\n{T0_MS + 1};2;b\n", ("--header", "no", "--tag", "k=1")),
            "german.csv": ("zeit;name;wert\n01.02.2024 10:00;x;1\n01.02.2024 10:01;y;2\n",
                           ("--time-format", "%d.%m.%Y %H:%M", "--child-table", "c_{name}", "--rename", "wert=value")),
        }
        for name, (text, flags) in texts.items():
            with self.subTest(name):
                path = self.file(name, text)
                mapping = self.dir / (name + ".toml")
                first = self.run_program("check", path, *flags, "--save-mapping", mapping)
                self.assertIn(f"--mapping {mapping}", first.out)
                status = first.status
                with_flags = self.check(path, *flags, status=status)
                with_mapping = self.check(path, "--mapping", mapping, status=status)
                for member in ("tables", "child_tables", "rejects"):
                    self.assertEqual(with_mapping[member], with_flags[member])
                before = mapping.read_text()
                done = self.run_program("check", path, "--save-mapping", mapping, status=2)
                self.one_message(done, "--save-mapping", "--force")
                self.assertEqual(mapping.read_text(), before)
                self.run_program("check", path, *flags, "--save-mapping", mapping, "--force", status=status)
                self.assertEqual(mapping.read_text(), before)

    def test_a_mapping_that_cannot_be_saved(self):
        line = self.file("m.line", "m v=1 1\n")
        self.one_message(self.run_program("check", line, "--save-mapping", "m.toml", status=2), "--save-mapping")
        a, b = self.file("a.csv", "ts,v\n1704067200000,1\n"), self.file("b.csv", "ts,w\n1704067200000,1\n")
        done = self.run_program("check", a, b, "--save-mapping", "m.toml", status=2)
        self.one_message(done, "--save-mapping", "a.csv", "b.csv")
        self.assertFalse((self.dir / "m.toml").exists())

    def test_nothing_to_check(self):
        self.one_message(self.run_program("check", status=2), "SOURCE")


class Line(support.Case):
    needs_server = False

    def explain(self, place, *flags, status=0):
        found = json.loads(self.run_program("check", "--line", place, "--json", *flags, status=status).out)
        text = self.run_program("check", "--line", place, *flags, status=status).out
        return found, text

    def test_a_line(self):
        path = self.file("a.line", f"# c\nm,t=a\\ b f=1i,s=\"x, y\" {T0_NS}\n\nbad\nm,t=a f=1x {T0_NS}\n")
        found, text = self.explain(f"{path}:2")
        self.assertEqual([(piece["column"], piece["what"], piece["text"]) for piece in found["cut"]],
                         [(1, "measurement", "m"), (5, "tag t", "a\\ b"), (12, "field f", "1i"),
                          (17, "field s", '"x, y"'), (24, "timestamp", str(T0_NS))])
        row = found["rows"][0]
        self.assertEqual((row["super_table"], row["timestamp"]), ("m", "2024-01-01T00:00:00.000000000Z"))
        self.assertEqual(row["tags"], [{"name": "t", "type": "NCHAR", "value": "'a b'"}])
        self.assertEqual(row["fields"], [{"name": "f", "type": "BIGINT", "value": "1"},
                                         {"name": "s", "type": "VARCHAR(8)", "value": "'x, y'"}])
        self.assertIn("CREATE STABLE", row["sql"][0])
        self.assertIn("INSERT INTO", row["sql"][1])
        self.assertIn("child table  t_", text)
        for place, part in ((f"{path}:1", "no record"), (f"{path}:3", "blank")):
            self.assertIn(part, self.explain(place)[1])
        found, text = self.explain(f"{path}:5", status=1)
        self.assertEqual(found["rows"], [])
        reject = found["rejects"][0]
        self.assertGreater(reject["column"], 0)
        caret = text.splitlines()
        at = next(i for i, line in enumerate(caret) if "^ byte" in line)
        self.assertEqual(caret[at].index("^") - 2, reject["column"] - 1)

    def test_a_record_over_several_lines(self):
        path = self.file("b.csv", CSV)
        for line in (5, 6):
            found, _ = self.explain(f"{path}:{line}", "--tags", "host,region")
            self.assertEqual(found["cut"][4]["what"], "column note")
            self.assertIn("two\\nlines", found["cut"][4]["text"])
        found, text = self.explain(f"{path}:4", "--tags", "host,region", status=1)
        self.assertIn("is no time", found["rejects"][0]["reason"])
        self.assertIn("^ byte 1", text)
        self.assertIn("no record", self.explain(f"{path}:1")[1])

    def test_left_out(self):
        path = self.file("a.line", f"m v=1 {T0_NS}\n")
        found, text = self.explain(f"{path}:1", "--since", "2030-01-01")
        self.assertTrue(found["left_out"])
        self.assertIn("left out", text)

    def test_places_that_are_not_there(self):
        path = self.file("a.line", "m v=1 1\n")
        for place in (f"{path}:2", f"{path}:0", f"{path}", f"{path}:x", "nowhere.line:1", "-:1", ":1"):
            done = self.run_program("check", "--line", place, status=2)
            self.assertTrue([line for line in done.err.splitlines() if line.startswith("penstock: ")], place)

    def test_every_line_of_dirty_files(self):
        """No line, however broken, is more than an explanation."""
        text = "m,t=a f=1 1\nm,t= f=1\n,=\n\"\n\\\nm f=\"\n{\"a\":1}\n" + "x" * 5000 + "\nm f=\xff\n"
        for name in ("a.line", "a.csv"):
            path = self.file(name, text.encode("latin1"))
            for line in range(1, 10):
                done = self.run_program("check", "--line", f"{path}:{line}", "--format", name[2:], "--timestamp", "#1")
                self.assertIn(done.status, (0, 1, 2), str(done))


class Target(support.Case):
    def findings(self, *arguments, status=0):
        done = self.run_program("check", *arguments, "--to", self.server.dsn(self.db), "--json", status=status)
        return {finding["subject"]: finding for finding in json.loads(done.out)["target"]["findings"]}

    def sql(self, statement, database=""):
        self.run_program("query", statement, "--to", self.server.dsn(database), status=0)

    def test_a_database_that_is_missing_is_made_as_told(self):
        path = self.file("m.line", f"m,t=a v=1 {T0_NS}\n")
        found = self.findings(path, status=2)
        self.assertEqual(found["database"]["level"], "fail")
        self.sql(found["database"]["mend"].split("  (")[0])
        found = self.findings(path)
        self.assertEqual({finding["level"] for finding in found.values()}, {"ok"})
        self.assert_rows(self.load(path, create=False), read=1, written=1)

    def test_keep_and_precision(self):
        self.sql(f"create database {self.db} precision 'ms' keep 30")
        path = self.file("m.line", f"m,t=a v=1 {T0_NS}\n")
        found = self.findings(path, status=2)
        self.assertEqual((found["precision"]["level"], found["keep"]["level"]), ("fail", "fail"))
        self.sql(found["keep"]["mend"])
        found = self.findings(path, status=2)
        self.assertEqual((found["precision"]["level"], found["keep"]["level"]), ("fail", "ok"))
        # The load says the same before its first row.
        done = self.load(path, status=2, create=False)
        self.one_message(done, "ns", "ms", "--allow-precision-loss")

    def test_a_load_warns_of_keep_beforehand(self):
        self.sql(f"create database {self.db} precision 'ns' keep 30")
        path = self.file("m.line", "".join(f"m,t=a v=1 {T0_NS + k}\n" for k in range(9)))
        done = self.load(path, status=1, create=False)
        self.assert_rows(done, read=9, written=0, rejected=9)
        self.assertIn("warning: keep", done.err)
        self.assertIn("ALTER DATABASE", done.err)
        self.assertNotIn("warning", self.load(path, "--no-preflight", status=1, create=False).err)

    def test_tables_that_exist(self):
        path = self.file("m.line", f"m,t=a v=1 {T0_NS}\nn,t=a v=\"long enough\" {T0_NS}\no v=1 {T0_NS}\n")
        self.sql(f"create database {self.db} precision 'ns' keep 36500")
        self.sql("create stable m (_ts timestamp, v varchar(8)) tags (t nchar(8))", self.db)
        self.sql("create stable n (_ts timestamp, v varchar(4)) tags (t nchar(8))", self.db)
        self.sql("create table o (_ts timestamp, v double)", self.db)
        found = self.findings(path, status=2)
        self.assertEqual(found["table m"]["level"], "warn")
        self.assertIn("1 rows do not fit", found["table m"]["text"])
        self.assertEqual(found["table n"]["level"], "ok")
        self.assertIn("ALTER", found["table n"]["text"])
        self.assertEqual(found["table o"]["level"], "fail")
        self.assertIn("normal table", found["table o"]["text"])
        # Looking changes nothing.
        self.assertEqual(self.query("describe n")[1]["length"], 4)
        self.assertEqual(self.count("m"), 0)
        done = self.load(path, status=1, create=False)
        self.assert_rows(done, read=3, written=1, rejected=2)

    def test_what_would_be_sent_is_what_a_load_writes(self):
        records = {"a.line": (f"m,t=a f=1.5,b=t,s=\"it's\" {T0_NS}\n", 1, (), "ns"),
                   "a.csv": ("ts,host,v,n\n2024-01-01 00:00:00,h'1,5,\n", 2, ("--tags", "host"), "ms")}
        for name, (text, line, flags, precision) in records.items():
            with self.subTest(name):
                path = self.file(name, text)
                done = self.run_program("check", "--line", f"{path}:{line}", "--json", *flags, status=0)
                loaded, said = (self.db + name[2:] + way for way in ("_load", "_sql"))
                for database in (loaded, said):
                    self.sql(f"create database {database} precision '{precision}' keep 36500")
                self.load(path, *flags, to=self.server.dsn(loaded), create=False)
                for sql in json.loads(done.out)["rows"][0]["sql"]:
                    self.sql(sql, said)
                self.assertEqual(self.tables(to=self.server.dsn(said)), self.tables(to=self.server.dsn(loaded)))

    def test_every_source_is_looked_at_before_the_first_row(self):
        coarse = self.file("a.csv", f"ts,v\n{T0_MS},1\n")
        fine = self.file("b.csv", "ts,v\n2024-01-01 00:00:00.123456789,1\n")
        self.sql(f"create database {self.db} precision 'ms' keep 36500")
        done = self.load(coarse, fine, "--tag", "k=1", status=2, create=False)
        self.one_message(done, "b.csv", "ns", "ms")
        self.assertEqual(self.query("show stables"), [])


if __name__ == "__main__":
    support.main()
