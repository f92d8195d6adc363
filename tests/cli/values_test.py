"""What was in the file is in the tables: types, values, keys, both write paths, rejects that load again."""

import csv
import io
import json
import time
import unittest

import support
from support import T0, T0_NS

# Every value type of line protocol, with the column type that schemaless gives it and the value that comes back.
TYPES = [
    ("b1", "true", "BOOL", True), ("b2", "f", "BOOL", False),
    ("i8", "-128i8", "TINYINT", -128), ("u8", "255u8", "TINYINT UNSIGNED", 255),
    ("i16", "-32768i16", "SMALLINT", -32768), ("u16", "65535u16", "SMALLINT UNSIGNED", 65535),
    ("i32", "-2147483648i32", "INT", -2**31), ("u32", "4294967295u32", "INT UNSIGNED", 2**32 - 1),
    ("i64", "-9223372036854775808i64", "BIGINT", -2**63), ("u64", "18446744073709551615u64", "BIGINT UNSIGNED", 2**64 - 1),
    ("i", "9223372036854775807i", "BIGINT", 2**63 - 1), ("u", "42u", "BIGINT UNSIGNED", 42),
    ("f32", "-0.1f32", "FLOAT", -0.1), ("f64", "1.7976931348623157e308f64", "DOUBLE", 1.7976931348623157e308),
    ("d", "0.30000000000000004", "DOUBLE", 0.30000000000000004), ("whole", "7", "DOUBLE", 7.0),
    ("s", r'"a\"b, c=d \\ e"', "VARCHAR", 'a"b, c=d \\ e'), ("utf8", '"Grüße, 世界 🚰"', "VARCHAR", "Grüße, 世界 🚰"),
    ("n", 'L"中文 ü"', "NCHAR", "中文 ü"), ("empty", '""', "VARCHAR", ""),
    ("vb", r'B"\x00ff7f"', "VARBINARY", "\\x00ff7f"), ("vt", 'B"text"', "VARBINARY", "\\x74657874"),
    ("geo", 'G"POINT(1 2)"', "GEOMETRY", "POINT (1 2)"),
]


def type_lines():
    """A row with all values, one with none but one, and tags that need escapes."""
    fields = ",".join(f"{name}={text}" for name, text, _, _ in TYPES)
    return (f"t,site=north {fields} {T0_NS}\n"
            f"t,site=north b1=false {T0_NS + 1}\n"
            f"t,site=s\\ p\\,a\\=c d=-1.5 {T0_NS + 2}\n"
            f"t,site=世界,room=1 i=-1i {T0_NS + 3}\n"
            f"no\\ tags v=1i {T0_NS}\n")


class Types(support.Case):
    def check_types(self):
        rows = self.query("select * from t order by _ts")
        self.assertEqual(len(rows), 4)
        for name, _, _, value in TYPES:
            with self.subTest(column=name):
                self.assertEqual(rows[0][name], value)
        self.assertEqual({k: v for k, v in rows[1].items() if v is not None},
                         {"_ts": "2023-11-14T22:13:20.000000001Z", "b1": False, "site": "north"})
        self.assertEqual((rows[2]["site"], rows[2]["d"], rows[2]["room"]), ("s p,a=c", -1.5, None))
        self.assertEqual((rows[3]["site"], rows[3]["i"], rows[3]["room"]), ("世界", -1, "1"))
        self.assertEqual(self.query_one("select v from `no tags`"), 1)
        types = {row["field"]: row["type"] for row in self.query("describe t")}
        self.assertEqual({k: types[k] for k in (name for name, *_ in TYPES)}, {name: kind for name, _, kind, _ in TYPES})

    def test_every_type_by_parameter_binding(self):
        self.assert_rows(self.load(self.file("t.line", type_lines())), read=5, written=5)
        self.check_types()

    def test_every_type_by_schemaless(self):
        self.assert_rows(self.load(self.file("t.line", type_lines()), "--write", "schemaless"), read=5, written=5)
        self.check_types()

    def test_both_ways_give_the_same_tables(self):
        path = self.file("t.line", type_lines())
        iot, _ = self.generated("iot.line", "--case", "iot", "--hosts", 5, "--rows", 800)
        for name, flags in (("types", [path]), ("iot", [iot]), ("milliseconds", [
                self.file("ms.line", f"m,a=1 v=1i,s=\"x\" {T0}000\nm,a=1 w=2 {T0}000\nm,b=2 v=3i {T0}001\n"),
                "--precision", "ms"]), ("named", [path, "--table-name-key", "site"])):
            with self.subTest(input=name):
                seen = []
                for write in ("stmt", "schemaless"):
                    to = self.server.dsn(f"{name}_{write}")
                    self.load(*flags, "--write", write, "--lanes", "1", to=to)  # columns in input order
                    seen.append(self.tables(to))
                self.assertEqual(seen[0], seen[1])

    def test_precisions(self):
        for unit, digits in (("h", T0 // 3600), ("m", T0 // 60), ("s", T0), ("ms", T0 * 10**3), ("us", T0 * 10**6),
                             ("ns", T0 * 10**9)):
            with self.subTest(unit=unit):
                to = self.server.dsn("unit_" + unit)
                self.load(self.file("m.line", f"m v=1i {digits}\n"), "--precision", unit, to=to)
                time_text = self.query_one("select _ts from m", to)
                begin = {"h": "2023-11-14T22:00:00", "m": "2023-11-14T22:13:00"}.get(unit, "2023-11-14T22:13:20")
                self.assertTrue(time_text.startswith(begin), time_text)
                self.assertEqual(len(time_text), {"us": 27, "ns": 30}.get(unit, 24), time_text)

    def test_child_table_names_as_settings_say(self):
        path = self.file("m.line", f"m,site=north,room=7 v=1i {T0_NS}\n")
        for flags, name in (((), None), (("--table-name-key", "site"), "north"),
                            (("--child-table-tag", "room"), "7"), (("--child-table-delimiter", "-"), "north-7")):
            with self.subTest(flags=flags):
                to = self.server.dsn("names_" + str(len("".join(flags))))
                self.load(path, *flags, to=to)
                got = self.query_one("select tbname from m", to)
                if name is None:
                    self.assertRegex(got, "^t_[0-9a-f]{32}$")
                else:
                    self.assertEqual(got, name)

    def test_a_line_without_a_timestamp_gets_one(self):
        before = time.time()
        self.load(self.file("m.line", "m v=1i\nm,a=b v=2i\n"))
        for row in self.query("select cast(_ts as bigint) as t from m"):
            self.assertTrue(before - 1 <= row["t"] / 1e9 <= time.time() + 1)

    def test_query_formats(self):
        self.load(self.file("q.line", f'q,h=a s="x,\\"y\\"",d=0.1,i=-5i {T0_NS}\nq,h=b s="",i=12i {T0_NS + 1}\n'))
        sql, to = "select s, d, i, h from q order by _ts", self.server.dsn(self.db)
        text = self.run_program("query", sql, "--to", to, "--format", "csv", status=0).out
        self.assertEqual(list(csv.reader(io.StringIO(text))),
                         [["s", "d", "i", "h"], ['x,"y"', "0.1", "-5", "a"], ["", "", "12", "b"]])
        self.assertIn('"",', text)  # an empty text is no NULL
        text = self.run_program("query", sql, "--to", to, "--format", "json", status=0).out
        self.assertEqual([json.loads(line) for line in text.splitlines()],
                         [{"s": 'x,"y"', "d": 0.1, "i": -5, "h": "a"}, {"s": "", "d": None, "i": 12, "h": "b"}])
        lines = self.run_program("query", sql, "--to", to, status=0).out.splitlines()
        self.assertEqual(lines[0].split(), ["s", "d", "i", "h"])
        self.assertEqual(lines[2].split(), ['x,"y"', "0.1", "-5", "a"])
        self.assertEqual(lines[3].split(), ["NULL", "12", "b"])
        self.assertEqual(lines[4], "(2 rows)")
        outcome = self.run_program("query", "create table plain (ts timestamp, v int)", "--to", to, status=0)
        self.assertEqual(outcome.out, "(0 affected)\n")


class Keys(support.Case):
    def test_equal_keys_in_one_request_are_joined(self):
        lines = (f'm,h=a x=1i,y=1i {T0_NS}\nm,h=a y=2i {T0_NS}\nm,h=a z="s" {T0_NS}\n'
                 f'm,h=b x=9i {T0_NS}\n')
        done = self.load(self.file("m.line", lines))
        self.assert_rows(done, read=4, written=4)
        self.assertEqual(done.total["merged"], 2)
        self.assertEqual(self.query("select x, y, z from m where h='a'"), [{"x": 1, "y": 2, "z": "s"}])
        self.assertEqual(self.count("m"), 2)

    def test_loading_again_changes_nothing(self):
        path, _ = self.generated("iot.line", "--case", "iot", "--hosts", 5, "--rows", 500, "--duplicates", 0.1)
        self.load(path)
        before = self.tables()
        self.load(path, create=False)
        self.assertEqual(self.tables(), before)

    def test_rows_older_than_keep(self):
        now = time.time_ns()
        old = now - 4000 * 86400 * 10**9
        rows = 20_000
        text = "".join(f"m,h=h{k % 20} v={k}i {old + k if k % 100 == 50 else now - k * 10**6}\n" for k in range(rows))
        self.load(self.file("none.line", ""), "--keep", "3650", "--db-precision", "ns")
        for write in ("stmt", "schemaless"):
            with self.subTest(write=write):
                done = self.load(self.file("m.line", text), "--write", write, create=False, status=1)
                self.assert_rows(done, read=rows, written=rows - 200, rejected=200)
                self.assertEqual(self.count("m"), rows - 200)
                self.assertEqual({group["code"] for group in done.report["rejects"]}, {0x060B})
                self.assertIn("0x060B", done.out)
                reasons = self.reasons("m.line")
                self.assertEqual(len(reasons), 200)
                self.assertEqual(reasons[0]["line"], 51)

    def test_keep_says_what_would_admit_the_rows(self):
        self.load(self.file("none.line", ""), "--keep", "3650", "--db-precision", "ns")
        done = self.load(self.file("m.line", f"m v=1i {T0_NS // 2}\n"), create=False, status=1)
        self.assertIn(f"ALTER DATABASE `{self.db}` KEEP", done.out)

    def reasons(self, name, folder="penstock-rejects"):
        path = self.dir / folder / f"{name}.rejects.line.reasons.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()]


class Rejects(support.Case):
    BAD = [  # line, what the reason says
        ("no fields at all", None), ("m,h=a v=1x 1700000000000000000", None), ("m,h=a v=1i 17oo", None),
        ("m,h=a v= 1700000000000000000", None), (",h=a v=1i 1700000000000000000", None),
        ("m,h=a v=99999999999999999999i 1700000000000000000", None), ('m,h=a s="open 1700000000000000000', None),
        ("m,h=a v=300u8 1700000000000000000", None), ("m,h=a v=\"text\" 1700000000000000000", None)]

    def test_a_bad_row_costs_only_itself(self):
        good = [f"m,h=a v={k}i {T0_NS + 10 + k}" for k in range(len(self.BAD) + 1)]
        lines = [good[0]]
        for (bad, _), fine in zip(self.BAD, good[1:]):
            lines += [bad, fine]
        path = self.file("m.line", "\n".join(lines) + "\n")
        done = self.load(path, "--rejects", "out/", status=1)
        self.assert_rows(done, read=len(lines), written=len(good), rejected=len(self.BAD))
        self.assertEqual(self.count("m"), len(good))
        rejected = (self.dir / "out/m.line.rejects.line").read_bytes()
        self.assertEqual(rejected, "".join(bad + "\n" for bad, _ in self.BAD).encode())
        reasons = [json.loads(line) for line in (self.dir / "out/m.line.rejects.line.reasons.jsonl").read_text().splitlines()]
        self.assertEqual([r["line"] for r in reasons], [2 + 2 * k for k in range(len(self.BAD))])
        offsets, at = [], 0
        for line in lines:
            offsets.append(at)
            at += len(line.encode()) + 1
        self.assertEqual([r["offset"] for r in reasons], offsets[1::2])
        for reason in reasons:
            self.assertLessEqual({"source", "line", "offset", "column", "reason", "code"}, set(reason))
            self.assertGreater(len(reason["reason"]), 10, reason)
        self.assertEqual(done.report["rejects_file"].rstrip("/").split("/")[0], "out")
        self.assertIn("out/", done.out)

    def test_rejects_load_again_after_mending(self):
        path, truth = self.generated("cpu.line", "--hosts", 10, "--rows", 3000, "--bad", 0.02)
        done = self.load(path, "--rejects", "bad.line", status=1)
        self.assert_rows(done, read=3000, written=truth["good"], rejected=truth["bad"])
        rejected = self.dir / "bad.line"
        original = path.read_bytes().splitlines()
        for line in rejected.read_bytes().splitlines():
            self.assertIn(line, original)
        again = self.load("bad.line", "--rejects", "worse.line", status=1)
        self.assert_rows(again, read=truth["bad"], written=0, rejected=truth["bad"])
        self.assertEqual((self.dir / "worse.line").read_bytes(), rejected.read_bytes())
        count = truth["bad"]
        rejected.write_text("".join(f"mended,h=a v={k}i {T0_NS + k}\n" for k in range(count)))
        self.assert_rows(self.load("bad.line"), read=count, written=count)
        self.assertEqual(self.count("mended"), count)

    def test_rejects_of_csv_keep_their_header(self):
        path = self.file("c.csv", "time,v\n2024-01-01T00:00:00Z,1\nyesterday,2\n2024-01-01T00:00:01Z,3\n")
        done = self.load(path, "--rejects", "out/", status=1)
        self.assert_rows(done, read=3, written=2, rejected=1)
        rejects = self.dir / "out/c.csv.rejects.csv"
        self.assertEqual(rejects.read_text(), "time,v\nyesterday,2\n")
        rejects.write_text(rejects.read_text().replace("yesterday", "2024-01-01T00:00:02Z"))
        flags = json.loads((self.dir / "out/c.csv.rejects.csv.reasons.jsonl").read_text())["load_with"].split()
        self.assert_rows(self.load(rejects, *flags), read=1, written=1)
        self.assertEqual(self.query_one("select sum(v) from c"), 6)

    def test_a_type_that_contradicts_the_table(self):
        self.load(self.file("a.line", f"m v=1i {T0_NS}\n"))
        for write in ("stmt", "schemaless"):
            with self.subTest(write=write):
                done = self.load(self.file("b.line", f'm v=2.5 {T0_NS + 1}\nm v=3i {T0_NS + 2}\n'), "--write", write,
                                 status=1)
                self.assert_rows(done, read=2, written=1, rejected=1)
                self.assertEqual(self.query_one("select sum(v) from m"), 4)

    def test_max_rejects(self):
        text = "".join(f"m v={k}i {T0_NS + k}\n" if k % 10 else "garbage\n" for k in range(5000))
        path = self.file("m.line", text)
        done = self.load(path, "--max-rejects", "100", to="null:", status=3)
        self.assertIn("--max-rejects", done.out)
        self.assertGreaterEqual(done.total["rejected"], 100)
        self.assert_rows(self.load(path, "--max-rejects", "500", to="null:", status=1), rejected=500, not_done=0)
        self.assert_rows(self.load(path, "--max-rejects", "10%", to="null:", status=1), rejected=500)
        self.load(self.file("bad.line", "m v=x 1\n" * 20_000), "--format", "line", to="null:", status=3)


if __name__ == "__main__":
    support.main()
