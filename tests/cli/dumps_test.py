"""OpenTSDB telnet, dumps of InfluxDB in line protocol and in annotated CSV, and tags with too many values, as the
program loads them."""

import gzip
import json

import support
from support import DATASETS, T0, T0_NS


def telnet(first, count, keyword=""):
    return "".join(f"{keyword}sys.cpu.m{k % 3} {T0 + k} {k}.5 host=h{k % 5} dc=fra\n"
                   for k in range(first, first + count))


DUMP = """# DDL
CREATE DATABASE water WITH NAME autogen
{more}# DML
# CONTEXT-DATABASE:water
# CONTEXT-RETENTION-POLICY:autogen
# writing tsm data
""".replace("{more}", "%s")


def one_field_lines(rows):
    """A row's fields, each on a line of its own, as influx_inspect writes them: series by series."""
    fields = ("level", "temp", "ph")
    return "".join(f"h2o,site=s{site} {field}={k}.25 {T0_NS + k * 10**9}\n"
                   for site in range(3) for field in fields for k in range(rows))


ANNOTATED = """#group,false,false,true,true,false,false,true,true,true\r
#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,{type},string,string,string\r
#default,_result,,,,,,,,\r
,result,table,_start,_stop,_time,_value,_field,_measurement,host\r
"""


def annotated(tables, rows):
    out = []
    for table in range(tables):
        for field, kind in (("usage", "double"), ("count", "long"), ("note", "string")):
            out.append(ANNOTATED.replace("{type}", kind))
            for k in range(rows):
                value = {"double": f"{k}.5", "long": str(k), "string": f'"line {k}\r\n#datatype ""{table}"""'}[kind]
                out.append(f",,{table},2023-11-14T00:00:00Z,2023-11-15T00:00:00Z,"
                           f"2023-11-14T22:{13 + k // 60:02}:{k % 60:02}Z,{value},{field},cpu,h{table}\r\n")
            out.append("\r\n")
    return "".join(out)


class Telnet(support.Case):
    def test_a_file_of_collectd(self):
        done = self.load(DATASETS / "collectd.telnet")
        lines = (DATASETS / "collectd.telnet").read_text().count("\n")
        self.assert_rows(done, read=lines, written=lines)
        self.assertEqual(done.report["sources"][0]["format"], "telnet")
        [row] = self.query("select * from `swap_used_swap` where fqdn='web-1' limit 1")
        self.assertEqual(row["_value"], 0)
        self.assertEqual((row["dc"], row["role"]), ("fra1", "web"))

    def test_both_ways_to_write_make_the_same(self):
        path = self.file("m.data", telnet(0, 700) + "version\n" + telnet(700, 300, "put ") + "\r\n")
        seen = []
        for way in ("stmt", "schemaless"):
            self.db = "telnet_" + way
            done = self.load(path, "--write", way, "--rejects", way, status=1)
            self.assert_rows(done, read=1001, written=1000, rejected=1)
            [group] = done.report["rejects"]
            self.assertEqual(group["code"], 0x020A)
            self.assertIn(":701", group["first"])
            rejects = [p for p in (self.dir / way).iterdir() if p.suffix == ".telnet"]
            self.assertEqual(rejects[0].read_text(), "version\n")
            seen.append(self.tables())
        self.assertEqual(seen[0], seen[1])
        self.assertEqual(self.count("sys_cpu_m0"), 334)

    def test_a_database_for_it_has_milliseconds(self):
        self.load(self.file("m.telnet", telnet(0, 10)))
        [row] = self.query(f"select `precision` from information_schema.ins_databases where name='{self.db}'")
        self.assertEqual(row["precision"], "ms")

    def test_rejects_load_again_after_mending(self):
        path = self.file("m.telnet", telnet(0, 5) + f"sys.cpu.m0 {T0} oops host=h1 dc=fra\n")
        done = self.load(path, "--rejects", "out", status=1)
        self.assert_rows(done, read=6, written=5, rejected=1)
        [reason] = [json.loads(line) for line in next((self.dir / "out").glob("*.reasons.jsonl")).open()]
        self.assertEqual(reason["load_with"], "--format telnet")
        reject = next((self.dir / "out").glob("*.telnet"))
        mended = self.file("mended", reject.read_text().replace("oops", "7"))
        self.assert_rows(self.load(mended, *reason["load_with"].split()), read=1, written=1)

    def test_compressed_and_from_a_pipe(self):
        text = telnet(0, 2000)
        self.assert_rows(self.load(self.file("m.telnet.gz", gzip.compress(text.encode()))), read=2000, written=2000)
        self.assert_rows(self.load("-", stdin=text.encode()), read=2000, written=2000)
        self.assertEqual(sum(self.count(f"sys_cpu_m{m}") for m in range(3)), 2000)


class InfluxDumps(support.Case):
    def test_one_field_lines_become_rows(self):
        done = self.load(self.file("export", DUMP % "" + one_field_lines(200)))
        self.assert_rows(done, read=1800, written=1800)
        self.assertEqual(self.count("h2o"), 600)
        self.assertEqual(self.query_one("select count(*) from `h2o` where level is null or temp is null or ph is null"), 0)
        self.assertIn("lines a row", done.out)
        self.assertGreater(done.report["sources"][0]["lines_per_row"], 2.5)

    def test_a_database_is_chosen(self):
        dump = (DUMP % "CREATE DATABASE fire\n" + one_field_lines(20) + "# CONTEXT-DATABASE: \"fire\"\n"
                + f"smoke,site=a level=1i {T0_NS}\nsmoke broken\n# CONTEXT-DATABASE:water\n"
                + f"h2o,site=late level=2 {T0_NS}\n")
        path = self.file("dump.line", dump)
        self.one_message(self.load(path, status=2), "'water'", "'fire'", "--context-db")
        done = self.load(path, "--context-db", "water")
        self.assert_rows(done, read=183, written=181, left_out=2)
        self.assertEqual([row["stable_name"] for row in self.query("show stables")], ["h2o"])
        self.db += "_fire"
        done = self.load(path, "--context-db", "fire", status=1)
        self.assert_rows(done, read=183, written=1, rejected=1, left_out=181)
        self.assertEqual(self.count("smoke"), 1)
        self.one_message(self.load(path, "--context-db", "air", status=2), "air", "'water'")

    def test_a_second_database_far_behind_the_head_ends_the_load(self):
        path = self.file("dump.line", DUMP % "" + one_field_lines(3000) + "# CONTEXT-DATABASE:fire\n"
                         + f"smoke,site=a level=1i {T0_NS}\n" + "# padding\n" * 200_000)
        done = self.load(path, status=3)
        self.assertIn("--context-db", done.out)
        self.assertIn("'fire'", done.out)
        self.assertEqual([row["stable_name"] for row in self.query("show stables")], ["h2o"])

    def test_annotated_csv(self):
        for name, content in (("a.csv", annotated(4, 50).encode()), ("a.csv.gz", gzip.compress(annotated(4, 50).encode()))):
            with self.subTest(name):
                self.db = "annotated_" + name.replace(".", "_")
                done = self.load(self.file(name, content), "--format", "csv")
                self.assert_rows(done, read=600, written=600)
                self.assertEqual(done.report["sources"][0]["format"], "influx-csv")
                self.assertEqual(self.count("cpu"), 200)
                [row] = self.query("select * from `cpu` where host='h2' and `count`=7")
                self.assertEqual((row["usage"], row["note"]), (7.5, 'line 7\r\n#datatype "2"'))
                types = {r["field"]: r["type"] for r in self.query("describe `cpu`")}
                self.assertEqual((types["usage"], types["count"], types["note"], types["host"]),
                                 ("DOUBLE", "BIGINT", "VARCHAR", "NCHAR"))

    def test_annotated_csv_and_line_protocol_share_child_tables(self):
        self.load(self.file("a.csv", annotated(2, 3)), "--db-precision", "ns")
        self.load(self.file("b.line", f"cpu,host=h1 usage=9 {T0_NS + 10**9 * 5}\n"))
        self.assertEqual(len(self.query("select distinct tbname from `cpu`")), 2)

    def test_annotated_csv_of_many_chunks(self):
        done = self.load(self.file("big.csv", annotated(30, 600)))
        self.assert_rows(done, read=54000, written=54000)
        self.assertEqual(self.count("cpu"), 18000)
        self.assertEqual(self.query_one("select count(*) from `cpu` where usage is null or `count` is null or note is null"), 0)


    def test_rejects_of_annotated_csv_load_after_mending(self):
        def table(number, kind, rows):
            head = (f"#group,false,false,false,false,true,true{',true' * number}\n"
                    f"#datatype,string,long,dateTime:RFC3339,{kind},string,string{',string' * number}\n"
                    f"#default,_result,,,,,{',' * number}\n"
                    f",result,table,_time,_value,_field,_measurement{''.join(f',tag{k}' for k in range(number))}\n")
            return head + "".join(f",,{number},2024-01-01T00:00:{k:02d}Z,{value},f{number},m{',x' * number}\n"
                                  for k, value in enumerate(rows))
        text = table(0, "double", [1.5, "one", 2.5]) + "\n" + table(2, "long", [7, "two", "three"]) + "\n" + table(1, "boolean", ["true"])
        path = self.file("a.csv", text)
        self.assert_rows(self.load(path, status=1), read=7, written=4, rejected=3)
        [rejected] = (self.dir / "penstock-rejects").glob("*.csv")
        kept = rejected.read_text()
        self.assertEqual(kept.count("#datatype"), 2)
        mended = self.file("mended.csv", kept.replace(",one,", ",9.5,").replace(",two,", ",8,").replace(",three,", ",9,"))
        self.assert_rows(self.load(mended), read=3, written=3)
        self.assertEqual(self.query_one("select count(f0) from `m`"), 3)
        self.assertEqual(self.query_one("select sum(f2) from `m`"), 24)


class Tags(support.Case):
    def test_tags_are_left_out_or_become_columns(self):
        line = "".join(f"m,host=h{k % 2},request=r{k},pid={k % 7} v={k}i {T0_NS + k * 10**6}\n" for k in range(100))
        text = "".join(f"m {T0 * 1000 + k} {k} request=r{k} host=h{k % 2} pid={k % 7}\n" for k in range(100))
        for name, content, column in (("a.line", line, "v"), ("a.telnet", text, "_value")):
            with self.subTest(name):
                self.db = "tags_" + name.replace(".", "_")
                self.assert_rows(self.load(self.file(name, content), "--drop-tag", "request", "--tag-as-column=pid"),
                                 read=100, written=100)
                described = {r["field"]: (r["type"], r["note"]) for r in self.query("describe `m`")}
                self.assertNotIn("request", described)
                self.assertEqual(described["pid"], ("NCHAR", ""))
                self.assertEqual(described["host"], ("NCHAR", "TAG"))
                self.assertEqual(len(self.query("select distinct tbname from `m`")), 2)
                [row] = self.query(f"select pid from `m` where {column}=13")
                self.assertEqual(row["pid"], "6")

    def test_wrong_flags_are_refused(self):
        self.one_message(self.load(self.file("a.telnet", telnet(0, 3)), "--context-db", "x", status=2), "--context-db",
                         "telnet")
        path = self.file("a.line", f"m,t=a v=1 {T0_NS}\n")
        self.one_message(self.load(path, "--drop-tag", "t", "--write", "schemaless", status=2), "--drop-tag")
        self.one_message(self.load(path, "--drop-tag", "t", "--tag-as-column", "t", status=2), "--tag-as-column t")


if __name__ == "__main__":
    support.main()
