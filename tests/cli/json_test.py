"""OpenTSDB JSON in every layout that files have, and JSON objects with a mapping: what loads, what is rejected, and
that rejects load again once they are mended."""

import gzip
import json

import support

T0_MS = support.T0 * 1000


def point(index, **more):
    return {"metric": f"sys.m{index % 3}", "timestamp": T0_MS + index, "value": index * 0.5,
            "tags": {"host": f"h{index % 7}", "n": index % 2, "up": True}, **more}


class Points(support.Case):
    def assert_points(self, done, count, to):
        self.assert_rows(done, read=count, written=count)
        for metric in range(3):
            mine = [i for i in range(count) if i % 3 == metric]
            row = self.query(f"select count(*) as n, sum(`_value`) as s from `sys_m{metric}`", to)[0]
            self.assertEqual((row["n"], row["s"]), (len(mine), sum(mine) * 0.5))

    def test_every_layout_of_a_file_gives_the_same_tables(self):
        count = support.scaled(3000)
        points = [point(i) for i in range(count)]
        compact = [json.dumps(p, separators=(",", ":")) for p in points]
        layouts = {
            "array": json.dumps(points),
            "one_line": "[" + ",".join(compact) + "]",
            "array_of_lines": "[\n" + ",\n".join(compact) + ",\n]\n",
            "pretty": json.dumps(points, indent=2),
            "lines": "\n".join(compact) + "\n",
            "crlf": "\ufeff" + "\r\n".join(compact) + "\r\n\r\n",
            "back_to_back": "".join(compact),
            "arrays": "".join("[" + ",".join(compact[i:i + 10]) + "]\n" for i in range(0, count, 10)),
            "typed": "\n".join(json.dumps(point(i, timestamp={"value": T0_MS + i, "type": "ms"},
                                                value={"value": i * 0.5, "type": "double"})) for i in range(count)),
        }
        seen = {}
        for name, text in layouts.items():
            with self.subTest(layout=name):
                to = self.server.dsn("points_" + name)
                path = self.file(name + (".json.gz" if name == "pretty" else ".json"),
                                 gzip.compress(text.encode()) if name == "pretty" else text)
                done = self.load(path, to=to)
                self.assert_points(done, count, to)
                self.assertIn("json (", done.err)
                seen[name] = self.tables(to, ["sys_m0"])
        for name, tables in seen.items():
            self.assertEqual(tables, seen["array"], name)

    def test_a_pipe(self):
        text = json.dumps([point(i) for i in range(500)])
        self.assert_points(self.load("-", "--format", "json", stdin=text.encode()), 500, self.server.dsn(self.db))

    def test_bad_points_cost_only_themselves_and_load_again(self):
        lines = [json.dumps(point(i)) for i in range(1000)]
        lines[10] = lines[10].replace('"value"', '"valve"')
        lines[500] = lines[500][:40]                                # half a line
        lines[600] = lines[600].replace('"host": "', '"host": ')    # a quote lost
        lines[700] = lines[700][:-1]                                # a brace lost
        lines[800] = lines[800].replace(str(T0_MS + 800), '"yesterday"')
        for name, text in (("array", "[" + ",\n".join(lines) + "]"), ("lines", "\n".join(lines))):
            with self.subTest(layout=name):
                to = self.server.dsn("bad_" + name)
                done = self.load(self.file(name + ".json", text), "--rejects", f"rejects.{name}.json", to=to, status=1)
                self.assert_rows(done, read=1000, written=995, rejected=5)
                rejected = (self.dir / f"rejects.{name}.json").read_text()
                reasons = [json.loads(line) for line in
                           (self.dir / f"rejects.{name}.json.reasons.jsonl").read_text().splitlines()]
                self.assertEqual([reason["line"] for reason in reasons], [11, 501, 601, 701, 801])
                self.assertEqual(reasons[4]["code"], 0x0127)
                for index in (10, 600, 700, 800):
                    self.assertIn(lines[index] + "\n", rejected)
                again = self.load(self.dir / f"rejects.{name}.json", *reasons[0]["load_with"].split(), to=to, status=1)
                self.assert_rows(again, read=5, written=0, rejected=5)
                mended = rejected.replace("valve", "value").replace('"yesterday"', str(T0_MS + 800))
                again = self.load(self.file("mended.json", mended), "--format", "json", to=to, status=1)
                self.assert_rows(again, read=5, written=2, rejected=3)

    def test_microseconds_ask_for_a_finer_database(self):
        points = [point(i, timestamp={"value": T0_MS * 1000 + i, "type": "us"}) for i in range(10)]
        path = self.file("fine.json", json.dumps(points))
        done = self.load(path)
        self.assert_points(done, 10, self.server.dsn(self.db))
        coarse = self.load(path, "--db-precision", "ms", to=self.server.dsn("coarse"), status=2)
        self.one_message(coarse, "us", "--allow-precision-loss")

    def test_schemaless_makes_the_same_tables(self):
        path = self.file("points.json", json.dumps([point(i) for i in range(2000)], indent=1))
        forwarded = self.server.dsn("json_forwarded")
        self.assert_points(self.load(path, "--write", "schemaless", to=forwarded), 2000, forwarded)
        self.load(path)
        self.assertEqual(self.tables(forwarded), self.tables())

    def test_nothing_is_no_error(self):
        for text in ("", "\n\n", "[]", "[\n]\n"):
            with self.subTest(text=text):
                self.assert_rows(self.load(self.file("empty.json", text), "--format", "json"), read=0, written=0)

    def test_tags_may_be_left_out_or_become_columns(self):
        path = self.file("points.json", json.dumps([point(i) for i in range(20)]))
        self.load(path, "--drop-tag", "host", "--tag-as-column", "n")
        declared = {row["field"]: row for row in self.query("describe `sys_m0`")}
        self.assertNotIn("host", declared)
        self.assertEqual((declared["n"]["type"], declared["n"]["note"]), ("DOUBLE", ""))
        self.assertEqual(declared["up"]["note"], "TAG")


class Objects(support.Case):
    def objects(self, count):
        for i in range(count):
            yield {"at": f"2023-11-14T22:{13 + i // 60000:02d}:{i // 1000 % 60:02d}.{i % 1000:03d}Z",
                   "dev": {"id": f"d{i % 5}"}, "temp": 20 + i / 8, **({"note": "x" * (i % 30)} if i % 3 else {})}

    def test_members_become_columns(self):
        text = "".join(json.dumps(o) + "\n" for o in self.objects(1000))
        done = self.load(self.file("events.ndjson", text), "--tags", "dev.id", "--rename", "temp=temperature")
        self.assert_rows(done, read=1000, written=1000)
        declared = {row["field"]: (row["type"], row["note"]) for row in self.query("describe events")}
        self.assertEqual(declared, {"at": ("TIMESTAMP", ""), "temperature": ("DOUBLE", ""),
                                    "note": ("VARCHAR", ""), "dev.id": ("NCHAR", "TAG")})
        row = self.query("select count(*) as n, sum(temperature) as s, count(note) as m from events")[0]
        self.assertEqual((row["n"], row["m"]), (1000, sum(1 for i in range(1000) if i % 3)))
        self.assertAlmostEqual(row["s"], sum(20 + i / 8 for i in range(1000)))

    def test_what_is_missing_stays_what_it_was(self):
        first = self.file("a.ndjson", '{"ts":1700000000000,"a":1,"b":"x"}\n')
        then = self.file("b.ndjson", '{"ts":1700000000000,"b":"y"}\n')
        self.load(first, "--table", "t")
        self.load(then, "--table", "t")
        self.assertEqual(self.query("select a, b from t"), [{"a": 1, "b": "y"}])

    def test_members_behind_the_sample(self):
        head = "".join(json.dumps({"ts": T0_MS + i, "v": i, "pad": "x" * 150}) + "\n" for i in range(60_000))
        late = "".join(json.dumps({"ts": T0_MS + 60_000 + i, "v": i, "late": {"flag": True}}) + "\n" for i in range(7))
        # A pipe shows its first eight megabytes.
        done = self.load("-", "--format", "ndjson", "--table", "t", stdin=(head + late).encode())
        self.assert_rows(done, read=60_007, written=60_007)
        self.assertEqual(self.query("select count(*) as n, count(`late.flag`) as m from t"), [{"n": 60_007, "m": 7}])
        self.assertIn("late.flag", done.err)
        self.assertIn("7 objects", done.err)

    def test_types_that_the_sample_did_not_show_are_widened(self):
        rows = [{"ts": T0_MS + i, "v": i if i != 150_000 else 0.5} for i in range(150_001)]
        path = self.file("t.ndjson.gz", gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode(), 1))
        done = self.load(path, timeout=240)
        self.assert_rows(done, read=150_001, written=150_001)

    def test_bad_objects(self):
        text = '{"ts":1700000000000,"a":1}\n{"ts":1700000000001,"a":\n[1]\n{"ts":1700000000002,"a":"no"}\n{"a":1}\n'
        done = self.load(self.file("t.ndjson", text * 1), "--type", "a=INT", "--rejects", "r.ndjson", status=1)
        self.assert_rows(done, read=5, written=1, rejected=4)
        self.assertEqual((self.dir / "r.ndjson").read_text(), "".join(text.splitlines(True)[1:]))

    def test_check_shows_the_evidence(self):
        text = "".join(json.dumps(o) + "\n" for o in self.objects(50))
        done = self.run_program("check", self.file("events.jsonl", text), status=0)
        for part in ("events.jsonl: ndjson, 50 rows", "dev.id", "temp: column `temp` DOUBLE (50 of 50", "CREATE STABLE"):
            self.assertIn(part, done.out)


if __name__ == "__main__":
    support.main()
