#!/usr/bin/env python3
"""Rejected records: where they go, and that they load again."""

import json
import os
import shlex
import subprocess

import support

T0_NS = 1704067200000000000
T0_MS = 1704067200000


def limited(path, size):
    """Runs a program with files of at most `size` bytes."""
    return ["/bin/sh", "-c", f'ulimit -f {size // 512}; exec "$0" "$@"', path]


class LoadAgain(support.Case):
    """A reject file, mended, loads with exactly the flags that its reasons name, into the same database."""

    def load_again(self, source, mend, flags=(), rejected=None):
        path = self.file(*source)
        done = self.load(path, *flags, status=1)
        if rejected is not None:
            self.assertEqual(done.total["rejected"], rejected, str(done))
        folder = self.dir / "penstock-rejects"
        files = [f for f in folder.iterdir() if not f.name.endswith((".jsonl", ".toml"))]
        self.assertEqual(len(files), 1, files)
        text = files[0].read_bytes()
        reasons = [json.loads(line) for line in (folder / (files[0].name + ".reasons.jsonl")).read_text().splitlines()]
        self.assertEqual(len(reasons), done.total["rejected"])
        again = {reason["load_with"] for reason in reasons}
        self.assertEqual(len(again), 1)
        mended = mend(text)
        self.assertNotEqual(mended, text)
        files[0].write_bytes(mended)
        # The program runs in the folder where the first load ran: relative paths hold.
        last = self.load(files[0].relative_to(self.dir), *shlex.split(again.pop()), create=False)
        self.assert_rows(last, read=done.total["rejected"], written=done.total["rejected"])
        return done, text, mended

    def same_as_whole(self, name, text, flags=()):
        """The database is as if the mended text had been loaded at once."""
        whole = self.db + "_whole"
        path = self.file("whole/" + name, text)
        self.load(path, *flags, to=self.server.dsn(whole))
        self.assertEqual(self.tables(), self.tables(to=self.server.dsn(whole)))

    def test_line_protocol(self):
        bad = "m,t=a v=1i {0}\nm,t=b v=oops {1}\nm,t=a v=3i {2}\nm,t=c v=4i,w= {3}\n"
        times = [T0_NS // 1000000 + k for k in range(4)]
        good = bad.replace("oops", "2i").replace("w= ", "w=5 ")
        self.load_again(("a.line", bad.format(*times)),
                        lambda text: text.replace(b"oops", b"2i").replace(b"w= ", b"w=5 "),
                        ("--precision", "ms", "--timestamp-name", "ts", "--child-table-tag", "t"), rejected=2)
        self.same_as_whole("a.line", good.format(*times),
                           ("--precision", "ms", "--timestamp-name", "ts", "--child-table-tag", "t"))

    def test_telnet(self):
        bad = f"put m {T0_MS} 1 host=a\nput m {T0_MS + 1} x host=a\nput m {T0_MS + 2} 3 host\nput m {T0_MS + 3} 4 host=b\n"
        self.load_again(("a.telnet", bad),
                        lambda text: text.replace(b" x ", b" 2 ").replace(b" host\n", b" host=c\n"),
                        ("--default-tag-name", "none", "--timestamp-name", "when"), rejected=2)
        self.same_as_whole("a.telnet", bad.replace(" x ", " 2 ").replace(" host\n", " host=c\n"),
                           ("--default-tag-name", "none", "--timestamp-name", "when"))

    def test_json(self):
        def point(time, value, tags):
            return {"metric": "m", "timestamp": time, "value": value, "tags": tags}
        points = [point(T0_MS, 1, {"h": "a"}), point(T0_MS + 1, {"value": "x", "type": "double"}, {"h": "a"}),
                  point(T0_MS + 2, 3, {"h": "b"}), point(T0_MS + 3, 4, {})]
        points[3].pop("tags")
        text = json.dumps(points, indent=2)
        _, rejects, _ = self.load_again(
            ("a.json", text),
            lambda text: text.replace(b'"x"', b"2").replace(b'"value": 4', b'"value": 4, "tags": {"h": "d"}'))
        for line in rejects.splitlines():
            json.loads(line)  # a point a line
        points[1]["value"]["value"] = 2
        points[3]["tags"] = {"h": "d"}
        self.same_as_whole("a.json", json.dumps(points))

    def test_csv(self):
        rows = ["when;id;site;v;note", "01.02.2024 10:00;d1;x;1,5;plain", "01.02.2024 10:01;d2;x;oops;n",
                "01.02.2024 10:02;d1;y;2,5;'two\nlines'", "never;d3;y;3,5;m", "01.02.2024 10:03;d2;x;4,5;'a;b'"]
        bad = "\n".join(rows) + "\n"
        flags = ("--time-format", "%d.%m.%Y %H:%M", "--delimiter", ";", "--quote", "'", "--tags", "id,site",
                 "--ignore", "note", "--tag", "plant=p 1", "--table", "meters", "--child-table", "m_{id}_{site}",
                 "--timezone", "Europe/Berlin", "--type", "v=VARCHAR(9)", "--type", "v=DOUBLE")
        flags = flags[:-4] + ("--type", "v=DOUBLE")
        bad = bad.replace(",5", ".5")
        self.load_again(("a.csv", bad), lambda text: text.replace(b"oops", b"2").replace(b"never", b"01.02.2024 10:09"),
                        flags, rejected=2)
        self.same_as_whole("a.csv", bad.replace("oops", "2").replace("never", "01.02.2024 10:09"), flags)

    def test_csv_of_a_type_that_one_record_does_not_tell(self):
        """The mapping beside the rejects says what the whole file told."""
        bad = "ts,v,w\n" + "".join(f"{T0_MS + k},{k}.5,text {k}\n" for k in range(50)) + f"{T0_MS + 50}x,7,9\n"
        self.load_again(("a.csv", bad), lambda text: text.replace(b"x,7", b",7"), ("--tag", "k=1"), rejected=1)
        self.same_as_whole("a.csv", bad.replace("x,7", ",7"), ("--tag", "k=1"))

    def test_the_mapping_has_its_own_header_and_skipped_lines(self):
        bad = f"some tool\nversion 3\nts,v\n{T0_MS},1\n{T0_MS + 1},2\nbad,3\n"
        self.load_again(("a.csv", bad), lambda text: text.replace(b"bad", b"%d" % (T0_MS + 2)),
                        ("--skip-lines", "2", "--type", "v=INT"), rejected=1)
        self.same_as_whole("a.csv", bad.replace("bad", str(T0_MS + 2)), ("--skip-lines", "2", "--type", "v=INT"))


class Books(support.Case):
    def test_rejects_ok(self):
        path = self.file("a.line", "m v=1 1\nbad\n")
        done = self.load(path, "--rejects-ok", status=0)
        self.assert_rows(done, read=2, written=1, rejected=1)
        self.assertIn("with rejected rows", done.out)

    def test_an_earlier_reject_file_stays(self):
        path = self.file("a.line", "m v=1 1\nfirst\n")
        self.load(path, status=1)
        path.write_text("m v=1 1\nsecond\n")
        done = self.load(path, status=1)
        folder = self.dir / "penstock-rejects"
        self.assertEqual((folder / "a.line.rejects.line").read_text(), "first\n")
        self.assertEqual((folder / "a.line.rejects-2.line").read_text(), "second\n")
        self.assertTrue(done.report["rejects_file"].endswith("a.line.rejects-2.line"))
        self.load(path, "--rejects", "mine.line", status=1)
        self.load(path, "--rejects", "mine.line", status=1)
        self.assertEqual((self.dir / "mine-2.line").read_text(), "second\n")

    def test_a_wrong_path_needs_no_server(self):
        path = self.file("a.line", "m v=1 1\nbad\n")
        self.file("file", "")
        nobody = f"ws://127.0.0.1:{support.free_port()}/db"
        for rejects in ("file", "file/x.line", "file/deeper/x.line", "/proc/nowhere/x.line", "x" * 300 + ".line"):
            done = self.run_program("load", path, "--to", nobody, "--rejects", rejects, status=2)
            self.one_message(done, "--rejects")

    def test_files_that_may_not_grow(self):
        rows = "".join(f"m v={k}i {T0_NS + k}\n" if k % 2 else f"bad line number {k:06} {'x' * 80}\n"
                       for k in range(20000))
        path = self.file("a.line", rows)
        command = limited(str(support.OPTIONS.program), 512 * 1024)
        done = subprocess.run([*command, "load", str(path), "--to", "null:", "--max-rejects", "90%"], cwd=self.dir,
                              capture_output=True, text=True, check=False, env=support.clean_environment())
        self.assertEqual(done.returncode, 3, done)
        self.assertIn("cannot write the reject file", done.stdout + done.stderr)
        self.assertIn("--rejects", done.stdout + done.stderr)

    @support.unittest.skipUnless(os.geteuid() == 0, "mounts a small file system")
    def test_a_file_system_that_gets_full(self):
        rows = "".join(f"m v={k}i {T0_NS + k}\n" if k % 2 else f"bad line number {k:06} {'x' * 80}\n"
                       for k in range(60000))
        path = self.file("a.line", rows)
        (self.dir / "small").mkdir()
        script = ('mount -t tmpfs -o size=4m none small 2>/dev/null || exit 77; "$0" "$@"; status=$?; '
                  'df --output=avail -B1 small | tail -1 >left; exit $status')
        done = subprocess.run(["unshare", "-m", "/bin/sh", "-c", script, str(support.OPTIONS.program), "load", str(path),
                               "--to", "null:", "--max-rejects", "90%", "--rejects", "small/"], cwd=self.dir,
                              capture_output=True, text=True, check=False, env=support.clean_environment())
        if done.returncode in (1, 77) and "result" not in done.stdout:
            self.skipTest("no mount")
        self.assertEqual(done.returncode, 3, done)
        self.assertIn("stopped before they fill", done.stdout)
        self.assertGreater(int((self.dir / "left").read_text()), 0)

    def test_more_child_tables_than_allowed(self):
        path = self.file("a.line", "".join(f"m,id=r{k // 2} v={k}i {T0_NS + k}\n" for k in range(3000)))
        done = self.load(path, "--max-child-tables", "1000", status=3)
        self.assertIn("--max-child-tables", done.out)
        self.assertEqual(done.total["written"], 2000, str(done))
        self.assertEqual(done.total["read"], 3000)
        self.assertEqual(done.total["not_done"], 1000)


class Rows(support.Case):
    """--since, --until, --limit."""

    LINES = "".join(f"m,t=a v={k}i {T0_NS + k * 10**9}\n" for k in range(100))
    CSV = "ts,v\n" + "".join(f"2024-01-01 00:{k // 60:02}:{k % 60:02},{k}\n" for k in range(100))
    JSON = json.dumps([{"metric": "m", "timestamp": T0_MS + k * 1000, "value": k, "tags": {"t": "a"}}
                       for k in range(100)])
    TELNET = "".join(f"m {T0_MS + k * 1000} {k} t=a\n" for k in range(100))

    def test_every_format(self):
        sources = {"m.line": self.LINES, "m.csv": self.CSV, "m.json": self.JSON, "m.telnet": self.TELNET}
        for name, text in sources.items():
            with self.subTest(name):
                path = self.file(name, text)
                extra = ("--tag", "k=1") if name == "m.csv" else ()
                window = ("--since", "2024-01-01T00:00:10Z", "--until", f"{T0_MS + 20000}ms")
                to = self.server.dsn(self.db + name.replace(".", "_"))
                done = self.load(path, *window, *extra, to=to)
                self.assert_rows(done, read=100, written=10, left_out=90)
                self.assertEqual(self.count("m", to=to), 10)
                self.assertIn("left out", done.out)
                done = self.load(path, "--limit", "7", *extra, to=to + "_l")
                self.assertEqual(done.total["written"], 7, str(done))
                self.assertEqual(self.count("m", to=to + "_l"), 7)
                done = self.load(path, "--since", "-1h", *extra, to=to + "_n")
                self.assert_rows(done, read=100, written=0, left_out=100)
                self.assertEqual(self.query("show stables", to=to + "_n"), [])

    def test_a_limit_ends_the_reading_of_a_pipe(self):
        process = self.start("load", "-", "--format", "line", "--limit", "5", "--to", "null:", stdin=subprocess.PIPE)
        process.process.stdin.write(self.LINES.encode())
        process.process.stdin.flush()
        done = process.finish(timeout=30)  # the pipe stays open
        self.assertEqual(done.status, 0, str(done))
        self.assertIn("5 written", done.out)

    def test_old_rows_are_left_out_not_refused(self):
        self.run_program("query", f"create database {self.db} precision 'ns' keep 30", "--to", self.server.dsn(),
                         status=0)
        path = self.file("m.line", self.LINES)
        done = self.load(path, status=1, create=False)
        self.assertEqual(done.total["rejected"], 100)
        done = self.load(path, "--since", "-7d", create=False)
        self.assert_rows(done, read=100, written=0, left_out=100)

    def test_wrong_values(self):
        path = self.file("m.line", self.LINES)
        for flag, value in (("--since", "soon"), ("--until", "1700000000"), ("--limit", "0"), ("--limit", "many"),
                            ("--limit", "-3"), ("--limit", "10B")):
            done = self.run_program("load", path, "--to", "null:", flag, value, status=2)
            self.one_message(done, flag, value)
        done = self.run_program("load", path, "--to", "null:", "--since", "2024-01-02", "--until", "2024-01-01", status=2)
        self.one_message(done, "--since", "--until")


if __name__ == "__main__":
    support.main()
