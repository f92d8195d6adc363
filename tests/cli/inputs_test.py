"""Inputs as they come: empty, odd, compressed, damaged, from everywhere. Each ends in seconds with the right exit
status, one clear message and a ledger that adds up."""

import gzip
import os
import shutil
import socket
import subprocess
import unittest

import support
from support import T0_NS


def lines(first, count, measurement="m"):
    return "".join(f"{measurement},host=h{k % 3} v={k}i {T0_NS + k * 10**9}\n" for k in range(first, first + count))


class Inputs(support.Case):
    def test_an_empty_file_is_a_complete_load(self):
        done = self.load(self.file("empty.line", ""), to="null:")
        self.assert_rows(done, read=0, written=0)
        self.assertIn("complete", done.out)
        done = self.load(self.file("empty.csv", ""), create=True)
        self.assert_rows(done, read=0, written=0)

    def test_blank_lines_and_comments_are_no_rows(self):
        self.assert_rows(self.load(self.file("m.line", "\n# a comment\n\n" + lines(0, 2) + "#end\n")), read=2, written=2)

    def test_a_directory_is_the_files_in_it(self):
        self.file("in/a.line", lines(0, 3))
        self.file("in/b.line", lines(3, 4))
        self.file("in/.hidden", "not looked at")
        done = self.load("in")
        self.assert_rows(done, read=7, written=7)
        self.assertEqual([s["read"] for s in done.report["sources"]], [3, 4])
        self.assertEqual(self.count("m"), 7)

    def test_a_directory_without_files_is_refused(self):
        (self.dir / "nothing").mkdir()
        self.one_message(self.load("nothing", status=2), "nothing", "no file")

    def test_a_binary_file_is_refused(self):
        done = self.load(self.file("core.dat", bytes(range(256)) * 400), to="null:", status=3)
        self.assertIn("binary", done.out + done.err)
        self.assert_rows(done, read=0, written=0)

    def test_a_binary_file_among_good_ones(self):
        self.file("a.line", lines(0, 3))
        self.file("b.line", bytes(range(256)) * 400)
        self.file("c.line", lines(3, 3))
        done = self.load("a.line", "b.line", "c.line", status=3)
        self.assert_rows(done, read=6, written=6)
        self.assertEqual(self.count("m"), 6)
        self.assertIn("binary", done.report["sources"][1]["error"])
        self.assertEqual(done.out.count("binary data"), 1, done.out)

    def test_a_line_of_100_mb(self):
        path = self.dir / "long.line"
        with open(path, "wb") as out:
            out.write(lines(0, 2).encode())
            out.write(b'm,host=h0 s="')
            for _ in range(100):
                out.write(b"x" * 1_000_000)
            out.write(f'" {T0_NS}\n'.encode())
            out.write(lines(2, 2).encode())
        for flags in ((), ("--no-mmap",)):
            with self.subTest(flags=flags):
                done = self.load(path, *flags, "--memory", "64M", "--rejects", "r/", to="null:", status=1, timeout=60)
                self.assert_rows(done, read=5, written=4, rejected=1)
                self.assertIn("--max-record", done.out)
                with open(self.dir / "r" / "long.line.rejects.line", "rb") as rejected:
                    text = rejected.read()
                self.assertEqual(len(text), 13 + 100_000_000 + 2 + 19 + 1)
                if not support.OPTIONS.sanitized:
                    # A mapped file counts as resident, so the bound shows where it is read.
                    bound = 64 * 1024 + 60 * 1024 + (0 if flags else 110 * 1024)
                    self.assertLess(done.peak_kib, bound)

    def test_no_newline_at_the_end(self):
        self.assert_rows(self.load(self.file("m.line", lines(0, 3).rstrip("\n"))), read=3, written=3)
        self.assertEqual(self.count("m"), 3)

    def test_lines_end_with_crlf(self):
        self.assert_rows(self.load(self.file("m.line", lines(0, 3).replace("\n", "\r\n"))), read=3, written=3)
        self.assertEqual(self.query_one("select sum(v) from m"), 3)

    def test_csv_with_crlf(self):
        text = "time,site,v\r\n" + "".join(f"2024-01-01T00:00:0{k}Z,s{k % 2},{k}\r\n" for k in range(4))
        self.assert_rows(self.load(self.file("c.csv", text), "--tags", "site"), read=4, written=4)
        self.assertEqual(sorted(r["site"] for r in self.query("select distinct site from c")), ["s0", "s1"])
        self.assertEqual(self.query_one("select sum(v) from c"), 6)

    def test_a_byte_order_mark(self):
        self.assert_rows(self.load(self.file("m.line", "\ufeff" + lines(0, 3))), read=3, written=3)
        self.assertEqual([row["stable_name"] for row in self.query("show stables")], ["m"])

    def test_csv_with_a_byte_order_mark(self):
        self.load(self.file("c.csv", "\ufefftime,v\n2024-01-01T00:00:00Z,1\n"))
        self.assertEqual([row["field"] for row in self.query("describe c")][:2], ["time", "v"])

    def test_an_unreadable_file_among_good_ones(self):
        self.file("a.line", lines(0, 3))
        self.file("c.line", lines(3, 3))
        if os.geteuid() == 0:  # nothing is closed to root, but nobody can open a socket
            bound = socket.socket(socket.AF_UNIX)
            self.addCleanup(bound.close)
            bound.bind(str(self.dir / "b.line"))
        else:
            self.file("b.line", lines(6, 3)).chmod(0)
        done = self.load("a.line", "b.line", "c.line", status=3)
        self.assert_rows(done, read=6, written=6)
        self.assertIn("b.line", done.report["sources"][1]["error"])

    def test_missing_files_and_patterns_without_match(self):
        good = self.file("a.line", lines(0, 3))
        self.one_message(self.load("nope.line", status=2), "nope.line", "no such file")
        self.one_message(self.load(good, "nope.line", status=2), "nope.line")
        self.one_message(self.load("*.nope", status=2), "*.nope", "no file matches")

    def test_patterns(self):
        for k in range(3):
            self.file(f"day-{k}.line", lines(10 * k, 10))
        self.file("other.line", lines(50, 1))
        self.assert_rows(self.load("day-?.line"), read=30, written=30)
        self.assert_rows(self.load("day-[01].line", "other.line", to="null:"), read=21, written=21)

    def test_each_source_is_opened_once(self):
        csv = "time,site,v\n" + "".join(f"2024-01-01T00:00:{k:02}Z,s{k % 2},{k}\n" for k in range(60))
        json = "[" + ",".join(f'{{"metric":"m","timestamp":{T0_NS // 10**9 + k},"value":{k},"tags":{{"h":"a"}}}}'
                              for k in range(60)) + "]"
        ndjson = "".join(f'{{"time":"2024-01-01T00:00:{k:02}Z","v":{k}}}\n' for k in range(60))
        sources = {"a.line": lines(0, 60), "b.csv": csv, "c.json": json, "d.ndjson": ndjson,
                   "e.telnet": "".join(f"put t {T0_NS // 10**9 + k} {k} h=a\n" for k in range(60)),
                   "f.line.gz": gzip.compress(lines(0, 60).encode())}
        for name, text in sources.items():
            for create in (True, False):  # the database is new, and it is there
                with self.subTest(name=name, create=create):
                    path = self.file(name, text)
                    opened = support.Opens(path)
                    self.assert_rows(self.load(path, "--no-journal", create=create), read=60, written=60)
                    self.assertEqual(opened.count(), 1)

    def test_standard_input(self):
        done = self.load("-", stdin=lines(0, 1000).encode())
        self.assert_rows(done, read=1000, written=1000)
        self.assertEqual(self.query_one("select sum(v) from m"), 499500)
        self.assert_rows(self.load("-", stdin=b"", to="null:"), read=0, written=0)
        packed = gzip.compress(lines(0, 10).encode())
        self.assert_rows(self.load("-", stdin=packed, to="null:"), read=10, written=10)

    def test_standard_input_from_a_file_and_as_csv(self):
        path = self.file("x", "time,v\n2024-01-01T00:00:00Z,1\n2024-01-01T00:00:01Z,2\n")
        with open(path, "rb") as stdin:
            self.assert_rows(self.load("-", "--format", "csv", "--table", "t", stdin=stdin), read=2, written=2)
        self.assertEqual(self.query_one("select sum(v) from t"), 3)


class Compressed(support.Case):
    def pack(self, tool, path):
        packed = path.with_name(path.name + {"gzip": ".gz", "zstd": ".zst", "lz4": ".lz4"}[tool])
        if tool == "gzip":
            packed.write_bytes(gzip.compress(path.read_bytes()))
        elif shutil.which(tool) is None:
            self.skipTest(f"no program {tool}")
        else:
            subprocess.run([tool, "-q", "-f", "-B4", str(path), str(packed)] if tool == "lz4" else
                           [tool, "-q", "-f", str(path), "-o", str(packed)], check=True)
        return packed

    def test_zstd_gzip_and_lz4_by_their_first_bytes(self):
        plain = self.file("m.line", lines(0, 20000))
        for tool in ("gzip", "zstd", "lz4"):
            with self.subTest(tool=tool):
                packed = self.pack(tool, plain)
                unnamed = packed.rename(self.dir / f"unnamed-{tool}")  # the name says nothing
                done = self.load(unnamed, to=self.server.dsn(f"by_{tool}"))
                self.assert_rows(done, read=20000, written=20000)
                self.assertEqual(done.report["sources"][0]["compression"], tool)
                self.assertEqual(self.query_one("select sum(v) from m", self.server.dsn(f"by_{tool}")), 199990000)

    def test_a_truncated_stream_among_good_files(self):
        # Values that do not compress well, so that the cut has rows on both sides.
        noise = os.urandom(1 << 20).hex()
        text = "".join(f'm,host=h{k % 3} v={k}i,s="{noise[k * 40:k * 40 + 40]}" {T0_NS + k * 10**9}\n'
                       for k in range(50_000))
        plain = self.file("b.line", text)
        self.file("a.line", lines(100_000, 10))
        self.file("c.line", lines(100_010, 10))
        for tool in ("gzip", "zstd", "lz4"):
            with self.subTest(tool=tool):
                packed = self.pack(tool, plain)
                cut = self.file(f"cut-{tool}", packed.read_bytes()[:packed.stat().st_size * 3 // 4])
                done = self.load("a.line", cut.name, "c.line", to=self.server.dsn(f"cut_{tool}"), status=3)
                error = done.report["sources"][1]["error"]
                self.assertIn(f"cut-{tool}", error)
                self.assertRegex(error, "breaks off")
                written = done.total["written"]
                self.assertGreater(written, 20 + 20_000)
                self.assertLess(written, 20 + 50_000)
                self.assert_rows(done, read=written, written=written)
                self.assertEqual(self.count("m", self.server.dsn(f"cut_{tool}")), written)
                self.assertEqual([s["written"] for s in done.report["sources"]], [10, written - 20, 10])
                # The rows are those before the damage, without a gap.
                most = self.query_one("select max(v) from m where v < 100000", self.server.dsn(f"cut_{tool}"))
                self.assertEqual(most, written - 21)

    def test_damage_in_the_middle(self):
        packed = bytearray(gzip.compress(lines(0, 50_000).encode()))
        packed[len(packed) // 2] ^= 0xFF
        packed[len(packed) // 2 + 1] ^= 0xFF
        done = self.load(self.file("bad.gz", bytes(packed)), to="null:", status=3)
        self.assertIn("bad.gz", done.report["sources"][0]["error"])

    def test_several_gzip_members_are_one_file(self):
        packed = gzip.compress(lines(0, 10).encode()) + gzip.compress(lines(10, 10).encode())
        self.assert_rows(self.load(self.file("m.gz", packed), to="null:"), read=20, written=20)


if __name__ == "__main__":
    support.main()
