"""CSV as people have it: types that prove too narrow, dirty files, exports of the taos shell, and what `query` writes."""

import csv
import io
import random
import signal

import support


def rows_of(count, value, start=1_700_000_000):
    return "".join(f"{start + k},{value(k)}\n" for k in range(count))


class Widening(support.Case):
    """Values that contradict a type that was inferred from a sample."""

    def gzipped(self, name, odd_rows, rows, text=270 * "x"):
        """Compressed data is looked at only in its first 8 MiB: what comes late is never in the sample. Few long rows are
        so much as well as many short ones."""
        import gzip
        lines = [f"{1_700_000_000 + k},{k % 1000},text number {k % 100} {text}\n" for k in range(rows)]
        for place, text in odd_rows.items():
            lines[place] = f"{1_700_000_000 + place},{text}\n"
        path = self.dir / name
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(("ts,v,s\n" + "".join(lines)).encode())
        return path

    def test_begins_anew_without_losing_a_row(self):
        for name, odd, kind, seen in (("real", "2.5", "DOUBLE", 2.5), ("text", "broken", "VARCHAR", "broken"),
                                      ("huge", "18446744073709551615", "BIGINT UNSIGNED", 18446744073709551615)):
            with self.subTest(odd=odd):
                rows = support.scaled(60_000)
                path = self.gzipped(f"{name}.csv.gz", {rows - 3: f"{odd},late"}, rows)
                to = self.server.dsn("widen_" + name)
                done = self.load(path, to=to, timeout=300)
                self.assert_rows(done, read=rows, written=rows)
                self.assertEqual(len(done.report["restarts"]), 1)
                self.assertIn("DROP STABLE", done.err)
                self.assertEqual({row["field"]: row["type"] for row in self.query(f"describe {name}", to)}["v"], kind)
                self.assertEqual(self.query_one(f"select v from {name} where s='late'", to), seen)
                self.assertEqual(self.count(name, to), rows)

    def test_rejects_of_the_first_attempt_do_not_stay(self):
        rows = 50_000
        path = self.gzipped("r.csv.gz", {5: "1,too,many,fields", rows - 3: "word,late"}, rows)
        done = self.load(path, status=1, timeout=300)
        self.assert_rows(done, read=rows, written=rows - 1, rejected=1)
        rejects = list((self.dir / "penstock-rejects").iterdir())
        self.assertEqual(sorted(p.name for p in rejects), ["r.csv.rejects.csv", "r.csv.rejects.csv.mapping.toml", "r.csv.rejects.csv.reasons.jsonl"])
        self.assertEqual((self.dir / "penstock-rejects" / "r.csv.rejects.csv").read_text(),
                         "ts,v,s\n1700000005,1,too,many,fields\n")

    def test_several_sources_of_one_table(self):
        self.file("in/a.csv", "ts,v\n" + rows_of(1000, lambda k: k))
        self.file("in/b.csv", "ts,v,w\n" + rows_of(1000, lambda k: f"{k}.5,{k}", 1_700_100_000))
        self.file("in/c.csv", "ts,w,v\n" + rows_of(1000, lambda k: f"x{k},7", 1_700_200_000))
        done = self.load("in", "--table", "t")
        self.assert_rows(done, read=3000, written=3000)
        types = {row["field"]: row["type"] for row in self.query("describe t")}
        self.assertEqual((types["v"], types["w"]), ("DOUBLE", "VARCHAR"))
        self.assertEqual(self.query_one("select count(w) from t"), 2000)
        self.assertEqual(self.query_one("select sum(v) from t"), 999 * 500 + 999 * 500 + 500 + 7000)

    def test_where_nothing_can_be_begun_anew_the_row_is_rejected(self):
        rows = 50_000
        path = self.gzipped("p.csv.gz", {rows - 3: "word,late"}, rows)
        with open(path, "rb") as file:
            done = self.load("-", "--table", "p", stdin=file, status=1, timeout=300)
        self.assert_rows(done, read=rows, written=rows - 1, rejected=1)
        self.assertIn("--type 'v=VARCHAR'", done.report["rejects"][0]["reason"])
        # A table that was there before keeps its types, also those of columns that this load adds.
        to = self.server.dsn("kept")
        self.load(self.file("first/p.csv", "ts,s\n1600000000,abc\n"), to=to)
        done = self.load(path, "--table", "p", to=to, status=1, timeout=300)
        self.assert_rows(done, read=rows, written=rows - 1, rejected=1)
        self.assertEqual(self.count("p", to), rows)

    def test_a_given_type_is_no_guess(self):
        path = self.file("g.csv", "ts,v\n" + rows_of(100, lambda k: "word" if k == 70 else k))
        done = self.load(path, "--type", "v=INT", status=1)
        self.assert_rows(done, read=100, written=99, rejected=1)

    def test_check_begins_anew_too(self):
        rows = 50_000
        path = self.gzipped("c.csv.gz", {rows - 3: "2.5,late"}, rows)
        outcome = self.run_program("check", path, status=0, timeout=300)
        self.assertIn("`v` DOUBLE", outcome.out)
        self.assertIn("50,000 rows, 0 rejected", outcome.out)

    def test_interrupted_in_between(self):
        rows = 1_500_000
        path = self.gzipped("i.csv.gz", {rows - 3: "word,late"}, rows, text="")
        running = self.start_load(path)
        running.wait_for(lambda _, err: "looking at all of its data" in err, timeout=120)
        running.signal(signal.SIGINT)
        done = self.finish_load(running, status=130, timeout=120)
        self.assertIn("interrupted", done.report["outcome"])
        self.assertEqual(done.report["restarts"], [])
        # The table is there as it was, and the same command mends it.
        self.assertGreater(self.count("i"), 0)

    def test_a_table_that_others_write_to_is_not_dropped(self):
        rows = 60_000
        path = self.gzipped("o.csv.gz", {rows - 3: "word,late"}, rows)
        running = self.start_load(path, "--max-rate", "20k/s")
        to = self.server.dsn(self.db)
        running.wait_for(lambda *_: self.run_program("query", "insert into other using o tags ('x') (ts, v) values "
                                                     "(1600000000000, 1)", "--to", to).status == 0, timeout=60)
        done = self.finish_load(running, status=1, timeout=200)
        self.assert_rows(done, read=rows, written=rows - 1, rejected=1)
        self.assertIn("another program writes to it", done.err)
        self.assertEqual(self.count("o"), rows)

    def test_to_nowhere(self):
        path = self.gzipped("n.csv.gz", {49_900: "2.5,late"}, 50_000)
        done = self.load(path, to="null:", timeout=300)
        self.assert_rows(done, read=50_000, written=50_000)


class Dirty(support.Case):
    def loaded(self, content, *flags, name="f.csv", status=0):
        """The rows of table f, ordered by time, after loading."""
        done = self.load(self.file(name, content), "--table", "f", *flags, status=status)
        self.done = done
        return self.query("select * from f order by 1")

    def test_german_numbers_and_dates(self):
        text = "Datum;Uhrzeit;Wert;Menge\r\n31.12.2023;23:59;1.234,5;7\r\n01.01.2024;00:01;-0,25;8\r\n"
        rows = self.loaded(text, "--time-format", "%d.%m.%Y %H:%M", "--timezone", "Europe/Berlin")
        self.assertEqual(rows, [
            {"Datum": "2023-12-31T22:59:00.000Z", "Wert": 1234.5, "Menge": 7, "_tag_null": None},
            {"Datum": "2023-12-31T23:01:00.000Z", "Wert": -0.25, "Menge": 8, "_tag_null": None}])
        # The form is found where it can be only one.
        done = self.load(self.file("g.csv", text), "--timezone", "Europe/Berlin")
        self.assertIn("'Datum' and 'Uhrzeit' together", done.err)
        self.assertEqual([row["Datum"] for row in self.query("select `Datum` from g order by 1")],
                         ["2023-12-31T22:59:00.000Z", "2023-12-31T23:01:00.000Z"])
        # What may be the time of day, but cannot be read, is not passed over.
        self.one_message(self.load(self.file("h.csv", text.replace("23:59", "23:59 CET")), status=2), "--time-format")

    def test_date_and_time_apart(self):
        for name, header, first, flags in (
                ("auto", "Date,Time,v", "2024-03-01,7:05:01,1", ()),
                ("flag", "d,t,v", "2024-03-01,07:05:01,1", ("--timestamp", "d+t")),
                ("half", "Date,Time,v", "2024-03-01,7:05:01 AM,1", ()),
                ("excel", "Date,Time,v", "2024-03-01 00:00:00,07:05:01,1", ("--timestamp", "Date+Time")),
                ("back", "v,Time,Date", "1,07:05:01,2024/3/1", ())):
            with self.subTest(name):
                to = self.server.dsn("apart_" + name)
                done = self.load(self.file(name + ".csv", f"{header}\n{first}\n"), *flags, to=to)
                self.assert_rows(done, read=1, written=1)
                row = self.query(f"select * from {name}", to)[0]
                self.assertIn("2024-03-01T07:05:01.000Z", row.values())
                self.assertEqual(row["v"], 1)
                self.assertEqual(len(row), 3)
        mapping = self.file("m.toml", 'timestamp = ["d", "t"]\n')
        self.load(self.file("map.csv", "d,t,v\n2024-03-01,07:05,1\n2024-03-01,,1\n"), "--mapping", mapping, status=1,
                  to=self.server.dsn("apart_map"))

    def test_things_before_the_header(self):
        for name, before, flags in (("sep", "sep=;\r\n", ()), ("comments", "# made by hand\n# on a Sunday\n", ()),
                                    ("prose", "Station Berlin\nHeight 34 m\n\n", ()), ("marked", "#", ()),
                                    ("skipped", "one;two;three\n", ("--skip-lines", "1"))):
            with self.subTest(name):
                to = self.server.dsn("before_" + name)
                text = before + "time;v;w\n1700000000;1;a\n1700000001;2;b\n"
                self.assert_rows(self.load(self.file(name + ".csv", text), *flags, to=to), read=2, written=2)
                self.assertEqual(self.query(f"select time, v, w from {name} order by time", to),
                                 [{"time": "2023-11-14T22:13:20.000Z", "v": 1, "w": "a"},
                                  {"time": "2023-11-14T22:13:21.000Z", "v": 2, "w": "b"}])

    def test_trailing_delimiters_and_columns_without_a_name(self):
        rows = self.loaded("ts,v,\n1700000000,1,\n1700000001,2,\n")
        self.assertEqual([sorted(row) for row in rows], [["_tag_null", "ts", "v"]] * 2)
        # What stands there after all is not lost.
        to = self.server.dsn("unnamed")
        self.assert_rows(self.load(self.file("g.csv", "ts,v,\n1700000002,1,\n1700000003,2,note\n"), to=to), read=2,
                         written=2)
        self.assertEqual(self.query("select c3 from g where v=2", to), [{"c3": "note"}])

    def test_header_names(self):
        rows = self.loaded('ts,temp [°C],temp,TEMP,"a ""b""",speed (m/s)\n1700000000,1,2,3,4,5\n')
        self.assertEqual(rows[0], {"ts": "2023-11-14T22:13:20.000Z", "temp [°C]": 1, "temp": 2, "TEMP_2": 3, 'a "b"': 4,
                                   "speed (m/s)": 5, "_tag_null": None})

    def test_files_put_together(self):
        rows = self.loaded("ts,v\n1700000000,1\nts,v\n1700000001,2\nts,v\n")
        self.assertEqual([row["v"] for row in rows], [1, 2])
        self.assert_rows(self.done, read=2, written=2)

    def test_booleans(self):
        values = ["true", "FALSE", "T", "f", "Yes", "no", "Y", "n", "ON", "off", "1", "0", "tRuE"]
        text = "ts,b\n" + "".join(f"{1_700_000_000 + k},{v}\n" for k, v in enumerate(values))
        rows = self.loaded(text, "--type", "b=BOOL")
        self.assertEqual([row["b"] for row in rows], [True, False] * 6 + [True])
        rows = self.loaded("ts,a,b\n1700000100,yes,on\n1700000101,no,off\n", "--rename", "a=x")
        self.assertEqual([(row["x"], row["b"]) for row in rows[-2:]], [(True, True), (False, False)])

    def test_ragged_rows(self):
        text = "ts,a,b,c\n1700000000,1\n1700000001,1,2,3,,\n1700000002,1,2,3,4\n\n1700000003,,,\n1700000004\n"
        rows = self.loaded(text, status=1)
        self.assertEqual([(row["a"], row["b"], row["c"]) for row in rows],
                         [(1, None, None), (1, 2, 3), (None, None, None)])
        self.assert_rows(self.done, read=5, written=3, rejected=2)

    def test_daylight_saving(self):
        text = "ts,v\n2024-03-31 02:30:00,1\n2024-10-27 02:30:00,2\n2024-07-01 00:00:00,3\n"
        base = ["--timezone", "Europe/Berlin"]
        rows = self.loaded(text, *base, status=1)
        self.assertEqual([row["ts"] for row in rows], ["2024-06-30T22:00:00.000Z", "2024-10-27T00:30:00.000Z"])
        self.assertIn("--dst-gap shift", self.done.report["rejects"][0]["reason"])
        self.assertIn("come twice", self.done.err)
        for flags, times in ((["--dst-gap", "shift"], ["2024-03-31T01:30:00.000Z", "2024-10-27T00:30:00.000Z"]),
                             (["--dst-gap", "shift", "--dst-fold", "second"],
                              ["2024-03-31T01:30:00.000Z", "2024-10-27T01:30:00.000Z"])):
            with self.subTest(flags=flags):
                to = self.server.dsn("dst_" + str(len(flags)))
                self.load(self.file("d.csv", text), *base, *flags, to=to)
                self.assertEqual([row["ts"] for row in self.query("select ts from d where v<3 order by ts", to)], times)
        done = self.load(self.file("e.csv", text), *base, "--dst-fold", "reject", status=1, to=self.server.dsn("dst_r"))
        self.assert_rows(done, read=3, written=1, rejected=2)

    def test_what_cannot_be_read_says_what_helps(self):
        for name, content, parts in (("utf16.csv", "ts,v\n1700000000,1\n".encode("utf-16"), ("UTF-16", "iconv")),
                                     ("mac.csv", b"ts,v\r1700000000,1\r1700000001,2\r", ("CR alone", "tr "))):
            with self.subTest(name):  # of several sources the others are loaded
                done = self.load(self.file(name, content), status=3, to=self.server.dsn("refused"))
                for part in parts:
                    self.assertIn(part, done.report["sources"][0]["error"])
        for name, content, flags, parts in (
                ("none.csv", b"a,b\n1,2\n", (), ("--timestamp",)),
                ("us.csv", b"when,b\n11/12/2023 11:59 PM,2\n", (), ("--time-format '%m/%d/%Y %I:%M %p' (or %d/%m)",)),
                ("zone.csv", b"when,b\n31.12.2023 23:59 CET,2\n", (), ("--time-format '%d.%m.%Y %H:%M CET'",)),
                ("clock.csv", b"ts,b\n1700000000,2\n", ("--time-format", "%H:%M"), ("no year",)),
                ("typo.csv", b"ts,b\n1700000000,2\n", ("--time-format", "%Q"), ("%Q",)),
                ("nocol.csv", b"ts,b\n1700000000,2\n", ("--tags", "c"), ("no column 'c'", "ts, b"))):
            with self.subTest(name):
                outcome = self.load(self.file(name, content), *flags, status=2, to=self.server.dsn("refused"))
                for part in parts:
                    self.assertIn(part, outcome.err + outcome.out)

    def test_wide_files(self):
        columns = 4000
        text = "ts," + ",".join(f"c{k}" for k in range(columns)) + "\n" + "".join(
            f"{1_700_000_000 + r}," + ",".join(str((r * k) % 97) for k in range(columns)) + "\n" for r in range(50))
        rows = self.loaded(text)
        self.assertEqual(len(rows), 50)
        self.assertEqual([rows[7][f"c{k}"] for k in range(columns)], [(7 * k) % 97 for k in range(columns)])


class Tables(support.Case):
    def test_a_column_names_the_super_tables(self):
        text = ("ts,kind,host,temp,state,load\n"
                "1700000000,climate,a,20.5,,\n1700000001,climate,b,21,,\n"
                "1700000000,power,a,,on,3\n1700000002,power,a,,broken,4\n1700000003,NULL,a,1,,\n")
        done = self.load(self.file("mixed.csv", text), "--table-column", "kind", "--tags", "host", status=1)
        self.assert_rows(done, read=5, written=4, rejected=1)
        self.assertEqual(sorted(row["stable_name"] for row in self.query("show stables")), ["climate", "power"])
        self.assertEqual([row["field"] for row in self.query("describe climate")], ["ts", "temp", "host"])
        self.assertEqual([row["field"] for row in self.query("describe power")], ["ts", "state", "load", "host"])
        self.assertEqual(self.query("select temp, host from climate order by ts"),
                         [{"temp": 20.5, "host": "a"}, {"temp": 21.0, "host": "b"}])
        self.assertEqual(self.query("select state, `load` from power order by ts"),
                         [{"state": "on", "load": 3}, {"state": "broken", "load": 4}])

    def test_a_value_in_a_column_that_was_not_made(self):
        import gzip
        rows = 50_000
        lines = [f"{1_700_000_000 + k},{'a' if k % 2 else 'b'},{k},,some text {270 * 'x'}\n" for k in range(rows)]
        lines[rows - 5] = f"{1_700_000_000 + rows - 5},a,1,9.5,late\n"
        lines[rows - 4] = f"{1_700_000_000 + rows - 4},c,1,9.5,new\n"
        path = self.dir / "late.csv.gz"
        with gzip.open(path, "wb", compresslevel=1) as file:
            file.write(("ts,kind,x,y,s\n" + "".join(lines)).encode())
        done = self.load(path, "--table-column", "kind", timeout=300)
        self.assert_rows(done, read=rows, written=rows)
        self.assertEqual(self.query("select y from a where s='late'"), [{"y": 9.5}])
        self.assertEqual(self.query("select y from c"), [{"y": 9.5}])
        self.assertEqual(self.count("b") + self.count("a") + self.count("c"), rows)

    def test_tags_that_change_their_role(self):
        text = "ts,site,room,v\n1700000000,n,1,2\n1700000001,s,2,3\n"
        mapping = self.file("m.toml", 'table = "t"\ntags = ["site", "room"]\ntags_as_columns = ["room"]\n')
        self.load(self.file("a.csv", text), "--mapping", mapping)
        self.assertEqual([(row["field"], row["note"]) for row in self.query("describe t")],
                         [("ts", ""), ("room", ""), ("v", ""), ("site", "TAG")])
        mapping = self.file("d.toml", 'table = "d"\nchild_table = "{site}_{room}"\ndrop_tags = ["room"]\n')
        self.load(self.file("b.csv", text), "--mapping", mapping)
        self.assertEqual([row["field"] for row in self.query("describe d")], ["ts", "v", "site"])
        self.assertEqual([row["t"] for row in self.query("select distinct tbname as t from d order by t")],
                         ["n_1", "s_2"])

    def test_a_composite_key(self):
        self.run_program("query", "create database composite", "--to", self.server.dsn(), status=0)
        to = self.server.dsn("composite")
        self.run_program("query", "create stable k (ts timestamp, seq int primary key, v int) tags (h varchar(8))",
                         "--to", to, status=0)
        text = "ts,seq,v,h\n1700000000,1,10,a\n1700000000,2,20,a\n1700000000,,30,a\n1700000000\n1700000000,NULL,1,a\n"
        done = self.load(self.file("k.csv", text), to=to, create=False, status=1)
        self.assert_rows(done, read=5, written=2, rejected=3)
        self.assertEqual([row["v"] for row in self.query("select v from k order by v", to)], [10, 20])
        outcome = self.load(self.file("k2/k.csv", "ts,v,h\n1700000000,1,a\n"), to=to, create=False, status=2)
        self.one_message(outcome, "composite key", "seq", "--rename")


class Exports(support.Case):
    def test_the_taos_shell(self):
        text = ('ts,tbname,current,voltage,ok,note,raw,big\r\n'
                '"2023-11-14 22:13:20.123","d1",           1.2500000,219,1,"say ""hi"", all","\\x00FF",NULL\r\n'
                '"2023-11-14 22:13:21.000","d2",                 nan,NULL,0,"NULL","\\x",       1.000000000000000e+300\r\n'
                '"2023-11-14 22:13:22.000","d1",          -0.5000000,-7,NULL,NULL,NULL,       -2.000000000000000\r\n')
        done = self.load(self.file("meters.csv", text), env={"TZ": "America/New_York"})
        self.assert_rows(done, read=3, written=3)
        self.assertIn("America/New_York", done.err)
        rows = self.query("select tbname as t, * from meters order by ts")
        self.assertEqual([(r["t"], r["ts"], r["current"], r["voltage"], r["ok"], r["note"], r["raw"], r["big"])
                          for r in rows],
                         [("d1", "2023-11-15T03:13:20.123Z", 1.25, 219, 1, 'say "hi", all', "\\x00ff", None),
                          ("d2", "2023-11-15T03:13:21.000Z", "nan", None, 0, "NULL", "\\x", 1e300),
                          ("d1", "2023-11-15T03:13:22.000Z", -0.5, -7, None, None, None, -2.0)])
        types = {row["field"]: row["type"] for row in self.query("describe meters")}
        self.assertEqual(types["raw"], "VARBINARY")
        done = self.load(self.file("m2.csv", text.replace("d1", "e1").replace("d2", "e2")), "--timezone", "Asia/Tokyo")
        self.assertEqual(self.query_one("select ts from m2 where voltage=219"), "2023-11-14T13:13:20.123Z")


class RoundTrip(support.Case):
    COLUMNS = {
        "b": ("BOOL", ["true", "false", "NULL", "true"]),
        "i1": ("TINYINT", ["-128", "127", "NULL", "0"]),
        "i2": ("SMALLINT", ["-32768", "32767", "NULL", "1"]),
        "i4": ("INT", ["-2147483648", "2147483647", "NULL", "1"]),
        "i8": ("BIGINT", ["-9223372036854775808", "9223372036854775807", "NULL", "1"]),
        "u1": ("TINYINT UNSIGNED", ["0", "255", "NULL", "1"]),
        "u2": ("SMALLINT UNSIGNED", ["0", "65535", "NULL", "1"]),
        "u4": ("INT UNSIGNED", ["0", "4294967295", "NULL", "1"]),
        "u8": ("BIGINT UNSIGNED", ["0", "18446744073709551615", "NULL", "1"]),
        "f": ("FLOAT", ["0.1", "3.4e38", "NULL", "-1.17549435e-38"]),
        "d": ("DOUBLE", ["0.1", "1.7976931348623157e308", "NULL", "2.2250738585072014e-308"]),
        "v": ("VARCHAR(80)", ["'a, \"b\"\nc; d|e'", "''", "NULL", "'NULL'"]),
        "n": ("NCHAR(40)", ["'grün 漢字 \U0001F600'", "''", "NULL", "' padded '"]),
        "x": ("VARBINARY(20)", ["'\\x00ff0a'", "''", "NULL", "'\\x2c22'"]),
        "g": ("GEOMETRY(200)", ["'POINT(1.5 -2)'", "'LINESTRING(0 0, 1 1.25)'", "NULL", "'POLYGON((0 0,1 0,1 1,0 0))'"]),
        "m": ("DECIMAL(38,6)", ["12345678901234567890123456789012.123456", "-0.000001", "NULL", "0"]),
        "c": ("DECIMAL(10,2)", ["12345678.90", "-0.01", "NULL", "0"]),
        "t": ("TIMESTAMP", ["'2023-11-14T22:13:20.123456789Z'", "'2262-04-11T23:47:16.854775807Z'", "NULL", "1"]),
    }

    def fill(self, db, precision="ns"):
        run = lambda sql, to: self.run_program("query", sql, "--to", to, status=0)
        run(f"create database {db} precision '{precision}' keep 36500", self.server.dsn())
        to = self.server.dsn(db)
        self.make_table(to)
        names = ", ".join(self.COLUMNS)
        for k in range(4):
            values = ", ".join(cases[k] for _, cases in self.COLUMNS.values())
            child, tags = (("one", "'si, te', 7, true"), ("two", "NULL, NULL, false"))[k % 2]
            run(f"insert into {child} using w tags ({tags}) (ts, {names}) values "
                f"('2024-02-0{k + 1}T00:00:00.00000000{k}Z', {values})", to)
        return to

    def make_table(self, to):
        declared = ", ".join(f"{name} {kind}" for name, (kind, _) in self.COLUMNS.items())
        self.run_program("query", f"create stable w (ts timestamp, {declared}) tags (site varchar(20), num int, "
                         "flag bool)", "--to", to, status=0)

    def test_every_type_into_the_same_super_table(self):
        to = self.fill("trip_from")
        text = self.run_program("query", "select tbname, * from w", "--to", to, "--format", "csv", status=0).out
        path = self.file("w.csv", text)
        into = self.server.dsn("trip_into")
        self.run_program("query", "create database trip_into precision 'ns' keep 36500", "--to", self.server.dsn(),
                         status=0)
        self.make_table(into)
        done = self.load(path, to=into, create=False)
        self.assert_rows(done, read=4, written=4)
        self.assertEqual(self.tables(into), self.tables(to))
        self.assertEqual(self.run_program("query", "select tbname, * from w order by ts", "--to", into, "--format",
                                          "csv").out,
                         self.run_program("query", "select tbname, * from w order by ts", "--to", to, "--format",
                                          "csv").out)

    def test_every_type_without_the_super_table(self):
        to = self.fill("free_from")
        query = ("query", "select tbname, * from w order by ts", "--format", "csv")
        text = self.run_program(*query, "--to", to, status=0).out
        into = self.server.dsn("free_into")
        done = self.load(self.file("w.csv", text), "--tags", "site,num,flag", "--db-precision", "ns", to=into)
        self.assert_rows(done, read=4, written=4)
        first, second = (list(csv.DictReader(io.StringIO(t)))
                         for t in (text, self.run_program(*query, "--to", into, status=0).out))
        for left, right in zip(first, second):
            # DECIMAL comes back as the number that it is.
            for name in ("c", "m"):
                left[name], right[name] = (str(float(v)) if v else v for v in (left[name], right[name]))
            self.assertEqual(left, right)

    def test_special_floats(self):
        # SQL has no literal for them; a CSV brings them in.
        values = ["nan", "inf", "-inf", "-0.0", "0.30000000000000004"]
        text = "ts,d,f\n" + "".join(f"{1_700_000_000 + k},{v},{v}\n" for k, v in enumerate(values))
        self.load(self.file("s.csv", text), "--type", "f=FLOAT")
        out = self.run_program("query", "select ts,d,f from s order by ts", "--to", self.server.dsn(self.db), "--format",
                               "csv", status=0).out
        self.assertEqual([line.split(",")[1:] for line in out.splitlines()[1:]],
                         [["nan", "nan"], ["inf", "inf"], ["-inf", "-inf"], ["-0.0", "-0.0"],
                          ["0.30000000000000004", "0.3"]])
        into = self.server.dsn("special_into")
        self.load(self.file("again/s.csv", out), "--type", "f=FLOAT", to=into)
        self.assertEqual(self.run_program("query", "select ts,d,f from s order by ts", "--to", into, "--format",
                                          "csv").out, out)

    def test_json_tags(self):
        self.run_program("query", "create database jtags", "--to", self.server.dsn(), status=0)
        to = self.server.dsn("jtags")
        declare = "create stable j (ts timestamp, v int) tags (info json)"
        self.run_program("query", declare, "--to", to, status=0)
        self.run_program("query", "insert into a using j tags ('{\"k\":\"x, y\",\"n\":1}') values (1700000000000, 1)",
                         "--to", to, status=0)
        text = self.run_program("query", "select tbname, * from j", "--to", to, "--format", "csv", status=0).out
        self.run_program("query", "create database jtags2", "--to", self.server.dsn(), status=0)
        into = self.server.dsn("jtags2")
        self.run_program("query", declare, "--to", into, status=0)
        self.load(self.file("j.csv", text), to=into, create=False)
        self.assertEqual(self.query("select tbname as t, * from j", into), self.query("select tbname as t, * from j", to))


class Differential(support.Case):
    """The same generated files through Python's csv module."""

    def compare(self, name, header, records, dialect):
        buffer = io.StringIO()
        writer = csv.writer(buffer, **dialect)
        writer.writerow(header)
        writer.writerows(records)
        path = self.file(name + ".csv", buffer.getvalue())
        read = list(csv.reader(io.StringIO(buffer.getvalue()), **dialect))[1:]
        types = sum((["--type", f"{column}=NCHAR(20)"] for column in header[1:]), [])
        flags = ["--header", "yes", "--null", "<none>"]
        if dialect.get("delimiter"):
            flags += ["--delimiter", dialect["delimiter"]]
        to = self.server.dsn("diff_" + name)
        done = self.load(path, *types, *flags, to=to)
        self.assert_rows(done, read=len(records), written=len(records))
        seen = self.query(f"select * from {name} order by ts", to)
        for row, fields in zip(seen, read):
            # A field of nothing but blanks outside quotes is NULL here, and csv does not tell quotes.
            blank = lambda text: "" if text is None or not text.strip(" \t") else text
            self.assertEqual([blank(row[column]) for column in header[1:]], [blank(field) for field in fields[1:]])

    def test_generated_files(self):
        pick = random.Random(7)
        words = ["a", "word", "", " ", " lead", "trail ", "1", "-5.5", "NULL", "nan", 'q"uote', '""', "'", "com,ma", "semi;",
                 "tab\t", "new\nline", "cr\r\nlf", "ü", "漢", "\\x41", "\\", "#", "=", "{}", "end\\", '"']
        plain = [w for w in words if not set(w) & set(',;"\t\r\n') and w.strip() == w]
        for name, columns, choice, dialect in (
                ("plain", 5, plain, {}), ("quoted", 5, words, {"quoting": csv.QUOTE_ALL}), ("minimal", 6, words, {}),
                ("semicolon", 4, words, {"delimiter": ";"}), ("tabs", 4, words, {"delimiter": "\t"}),
                ("lf", 4, words, {"lineterminator": "\n"}), ("wide", 600, words, {})):
            with self.subTest(name):
                rows = 20 if columns > 100 else support.scaled(400)
                header = ["ts", *(f"c{k}" for k in range(columns))]
                records = [[str(1_700_000_000 + r), *(pick.choice(choice) for _ in range(columns))] for r in range(rows)]
                # A single empty row could not be told from a blank line.
                self.compare(name, header, records, dialect)


if __name__ == "__main__":
    support.main()
