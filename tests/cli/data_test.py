"""Real and generated data: every count, key and sum that the source has is in the database, whatever the settings."""

import csv
import gzip
import math
import subprocess
import unittest

import support
from support import DATASETS


class Generated(support.Case):
    def assert_truth(self, truth, to=None):
        self.assertEqual(sorted(row["stable_name"] for row in self.query("show stables", to)), sorted(truth["tables"]))
        for table, wanted in truth["tables"].items():
            sums = ", ".join(f"count(`{c}`) as `n_{c}`, sum(`{c}`) as `s_{c}`" for c in wanted["columns"])
            row = self.query(f"select count(*) as n, {sums} from `{table}`", to)[0]
            self.assertEqual(row["n"], wanted["distinct_keys"], table)
            for name, column in wanted["columns"].items():
                self.assertEqual(row["n_" + name], column["values"], (table, name))
                self.assertTrue(math.isclose(row["s_" + name], column["sum"], rel_tol=1e-9), (table, name, row))
            children = self.query_one(f"select count(*) from (select distinct tbname from `{table}`)", to)
            self.assertEqual(children, wanted["child_tables"], table)

    def test_files_with_bad_duplicate_and_late_rows(self):
        rows = support.scaled(20_000)
        dirty = ["--bad", "0.01", "--duplicates", "0.05", "--disorder", "0.05", "--rows", rows]
        for name, flags, load in (
                ("cpu", ["--hosts", 100], []),
                ("iot", ["--hosts", 40, "--case", "iot"], []),
                ("cpu_csv", ["--hosts", 100, "--format", "csv"], ["--table", "cpu", "--tags"]),
                ("cpu_rfc3339", ["--hosts", 10, "--format", "csv", "--time-format", "rfc3339"],
                 ["--table", "cpu", "--tags"]),
                ("iot_csv", ["--hosts", 40, "--case", "iot", "--format", "csv", "--measurement", "readings"],
                 ["--table", "readings", "--tags"]),
                ("cpu_ms", ["--hosts", 100, "--precision", "ms"], ["--precision", "ms"]),
                ("fields", ["--hosts", 20, "--one-field-per-line"], [])):
            with self.subTest(input=name):
                path, truth = self.generated(name + (".csv" if "csv" in flags else ".line"), *flags, *dirty)
                if "--tags" in load:
                    load = [*load, ",".join(self.tag_columns(path))]
                to = self.server.dsn("dirty_" + name)
                done = self.load(path, *load, to=to, status=1)
                self.assert_rows(done, read=truth["records"], written=truth["good"], rejected=truth["bad"])
                self.assertEqual(done.total["bytes"], path.stat().st_size)
                self.assert_truth(truth, to)

    def tag_columns(self, path):
        with open(path, newline="") as file:
            header = next(csv.reader(file))
        tags = {"hostname", "region", "datacenter", "rack", "os", "arch", "team", "service", "service_version",
                "service_environment", "name", "fleet", "driver", "model", "device_version"}
        return [name for name in header if name in tags]

    def test_schemaless_takes_the_same_dirty_file(self):
        path, truth = self.generated("cpu.line", "--hosts", 50, "--rows", support.scaled(5000), "--bad", "0.005",
                                     "--duplicates", "0.05", "--disorder", "0.05")
        done = self.load(path, "--write", "schemaless", "--batch-rows", "1000", status=1, timeout=240)
        self.assert_rows(done, read=truth["records"], written=truth["good"], rejected=truth["bad"])
        self.assert_truth(truth)

    def test_threads_lanes_and_memory_change_nothing(self):
        rows = support.scaled(30_000)
        path, truth = self.generated("iot.line", "--case", "iot", "--hosts", 30, "--rows", rows, "--bad", "0.002",
                                     "--duplicates", "0.05", "--disorder", "0.1")
        first = None
        for threads, lanes, flags in ((1, 1, ()), (2, 3, ("--no-mmap",)), (4, 8, ("--memory", "16M", "--batch-rows", "500")),
                                      (3, 2, ("--linger", "1ms", "--batch-rows", "100000"))):
            with self.subTest(threads=threads, lanes=lanes):
                to = self.server.dsn(f"lanes_{lanes}")
                done = self.load(path, "--threads", threads, "--lanes", lanes, *flags, to=to, status=1)
                self.assert_rows(done, read=truth["records"], written=truth["good"], rejected=truth["bad"])
                self.assert_truth(truth, to)
                rejects = (self.dir / "penstock-rejects" / "iot.line.rejects.line").read_bytes()
                seen = (self.tables(to), rejects)
                first = first or seen
                self.assertEqual(seen[1], first[1], "rejects")
                for table in truth["tables"]:
                    self.assertEqual(seen[0][table][0], first[0][table][0], "declaration of " + table)
                    self.assertTrue(seen[0][table][1] == first[0][table][1], "rows of " + table)

    def test_a_million_rows_if_asked_for(self):
        """PENSTOCK_TEST_SCALE=10 makes it 10 million; below 1 million only the settings are compared, in null:."""
        rows = 1_000_000 if support.SCALE > 1 or not support.OPTIONS.sanitized else 100_000
        path, truth = self.generated("cpu.line", "--hosts", 1000, "--rows", max(rows, support.scaled(100_000)))
        for threads, lanes in ((1, 1), (2, 4)):
            with self.subTest(threads=threads, lanes=lanes):
                done = self.load(path, "--threads", threads, "--lanes", lanes, "--memory", "64M", to="null:")
                self.assert_rows(done, read=truth["records"], written=truth["records"])
                self.assertLessEqual(done.report["memory_peak"], 64 << 20)

    def test_check_agrees_with_the_load(self):
        for case, name in (("cpu-only", "cpu"), ("iot", "iot")):
            with self.subTest(case=case):
                path, truth = self.generated(name + ".line", "--case", case, "--hosts", 20, "--rows", 3000, "--bad", "0.01")
                text = self.run_program("check", path, status=1).out
                self.assertIn(f"{truth['records']:,} rows, {truth['bad']:,} rejected", text)
                self.assertIn(f"child tables  {truth['child_tables']}", text)
                to = self.server.dsn("check_" + name)
                done = self.load(path, to=to, status=1)
                for statement in done.report["schema_changes"]:
                    if statement.startswith("CREATE"):
                        self.assertIn(statement.split("(")[0], text)


class Datasets(support.Case):
    def test_weather(self):
        path = DATASETS / "weather.csv"
        done = self.load(path, "--tags", "origin")
        self.assert_rows(done, read=26115, written=26115)
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        numbers = [name for name in rows[0] if name not in ("origin", "time_hour")]
        for origin in ("EWR", "JFK", "LGA"):
            of_origin = {row["time_hour"]: row for row in rows if row["origin"] == origin}
            wanted = {name: [float(row[name]) for row in of_origin.values() if row[name] != "NA"] for name in numbers}
            sums = ", ".join(f"count(`{c}`) as `n_{c}`, sum(`{c}`) as `s_{c}`, max(`{c}`) as `x_{c}`" for c in numbers)
            got = self.query(f"select count(*) as n, {sums} from weather where origin='{origin}'")[0]
            self.assertEqual(got["n"], len(of_origin))
            for name in numbers:
                with self.subTest(origin=origin, column=name):
                    self.assertEqual((got["n_" + name], got["x_" + name]), (len(wanted[name]), max(wanted[name])))
                    self.assertTrue(math.isclose(got["s_" + name], sum(wanted[name]), rel_tol=1e-9))
        declared = {row["field"]: row["type"] for row in self.query("describe weather")}
        self.assertEqual((declared["time_hour"], declared["temp"], declared["year"]), ("TIMESTAMP", "DOUBLE", "BIGINT"))
        first = self.query("select time_hour, temp, wind_gust from weather where origin='EWR' order by time_hour limit 1")
        self.assertEqual(first, [{"time_hour": "2013-01-01T06:00:00.000Z", "temp": 39.02, "wind_gust": None}])

    def test_telegraf_both_ways(self):
        path = DATASETS / "telegraf.line.gz"
        seen = []
        for write in ("stmt", "schemaless"):
            to = self.server.dsn("telegraf_" + write)
            done = self.load(path, "--write", write, "--lanes", "1", to=to)
            self.assert_rows(done, read=27129, written=27129)
            seen.append(self.tables(to))
        self.assertEqual(sorted(seen[0]), sorted(seen[1]))
        keys = 0
        for table, (declared, rows) in seen[0].items():
            with self.subTest(table=table):
                # Of several chunks the declared widths may differ.
                def shape(declaration):
                    return sorted((row["field"], row["type"], row["note"]) for row in declaration)
                self.assertEqual(shape(declared), shape(seen[1][table][0]))
                self.assertTrue(rows == seen[1][table][1], first_difference(rows, seen[1][table][1]))
                keys += len(rows)
        self.assertEqual(keys, 23256)

    def test_telegraf_values(self):
        self.load(DATASETS / "telegraf.line.gz")
        boot = set()
        rows = 0
        with gzip.open(DATASETS / "telegraf.line.gz", "rt") as file:
            for line in file:
                if line.startswith("kernel,"):
                    rows += 1
                    fields = dict(pair.split("=") for pair in line.split(" ")[1].split(","))
                    boot.add(int(fields["boot_time"].rstrip("i")))
        self.assertEqual(self.count("kernel"), rows)
        got = self.query("select distinct boot_time from kernel")
        self.assertEqual({row["boot_time"] for row in got}, boot)

    def test_check_reads_every_dataset(self):
        for name, part in (("weather.csv", "26,115 rows, 0 rejected"), ("telegraf.line.gz", "27,129 rows, 0 rejected")):
            with self.subTest(dataset=name):
                self.assertIn(part, self.run_program("check", DATASETS / name, status=0).out)


class CsvMapping(support.Case):
    CSV = ("when;site;room;temp;note;x\r\n"
           "31.12.2023 23:59:58;north;1;20,5;\"a; \"\"b\"\"\";1\r\n"
           "31.12.2023 23:59:59;north;2;-;plain;2\r\n"
           "01.01.2024 00:00:00;south;1;21;;3\r\n")

    def test_mapping_by_flags(self):
        path = self.file("rooms.csv", self.CSV.replace("20,5", "20.5"))
        flags = ["--table", "climate", "--timestamp", "when", "--time-format", "%d.%m.%Y %H:%M:%S", "--timezone",
                 "Europe/Berlin", "--tags", "site,room", "--tag", "country=DE", "--ignore", "x", "--rename",
                 "temp=degrees", "--type", "degrees=FLOAT", "--child-table", "{site}_{room}", "--delimiter", ";",
                 "--null", "-"]
        self.assert_rows(self.load(path, *flags), read=3, written=3)
        rows = self.query("select tbname as t, * from climate order by `when`")
        self.assertEqual([row["t"] for row in rows], ["north_1", "north_2", "south_1"])
        self.assertEqual([row["when"] for row in rows], ["2023-12-31T22:59:58.000Z", "2023-12-31T22:59:59.000Z",
                                                         "2023-12-31T23:00:00.000Z"])
        self.assertEqual([row["degrees"] for row in rows], [20.5, None, 21.0])
        self.assertEqual(rows[0]["note"], 'a; "b"')
        self.assertEqual((rows[2]["site"], rows[2]["room"], rows[2]["country"]), ("south", "1", "DE"))
        self.assertNotIn("x", rows[0])
        types = {row["field"]: row["type"] for row in self.query("describe climate")}
        self.assertEqual(types["degrees"], "FLOAT")

    def test_a_file_without_header(self):
        path = self.file("raw.csv", "1700000000,a,1\n1700000001,b,2\n")
        flags = ["--header", "no", "--names", "t,site,v", "--timestamp", "t", "--time-format", "s", "--tags", "site"]
        self.assert_rows(self.load(path, *flags), read=2, written=2)
        self.assertEqual(self.query("select t, v, site from raw order by t"),
                         [{"t": "2023-11-14T22:13:20.000Z", "v": 1, "site": "a"},
                          {"t": "2023-11-14T22:13:21.000Z", "v": 2, "site": "b"}])

    def test_texts_widen_a_column_and_what_cannot_be_reconciled_is_said(self):
        path = self.file("w.csv", "time,v,s\n" + "".join(
            f"2024-01-01T00:{k // 60:02}:{k % 60:02}Z,{k},x\n" for k in range(3000)) +
            "2024-01-01T02:00:00Z,0.5,x\n2024-01-01T02:00:01Z,1," + "y" * 300 + "\n")
        self.load(self.file("first/w.csv", "time,v,s\n2024-01-01T03:00:00Z,7,abc\n"))
        done = self.load(path, status=1)
        self.assert_rows(done, read=3002, written=3001, rejected=1)
        self.assertEqual(self.query_one("select max(length(s)) from w"), 300)
        self.assertIn("BIGINT", done.report["rejects"][0]["reason"])
        # Into a database of its own the file's own types count.
        to = self.server.dsn("widened")
        self.assert_rows(self.load(path, to=to), read=3002, written=3002)
        self.assertEqual(self.query("select v from w where time='2024-01-01T02:00:00Z'", to), [{"v": 0.5}])

    def test_quoted_newlines_and_many_chunks(self):
        rows = 40_000
        text = "time,host,note,v\n" + "".join(
            f'{1_700_000_000 + k},h{k % 7},"line one\nline {k}, ""quoted""",{k}\n' for k in range(rows))
        done = self.load(self.file("notes.csv", text), "--tags", "host", "--threads", "3")
        self.assert_rows(done, read=rows, written=rows)
        self.assertEqual(self.query_one("select sum(v) from notes"), rows * (rows - 1) // 2)
        self.assertEqual(self.query_one("select note from notes where v=31234"), 'line one\nline 31234, "quoted"')


def first_difference(left, right):
    for a, b in zip(left, right):
        if a != b:
            return f"{a}\n{b}"
    return f"{len(left)} and {len(right)} rows"


if __name__ == "__main__":
    support.main()
