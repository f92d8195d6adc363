"""What nobody should feed to a loader: endless lines, nesting and headers, bombs, devices, loops of links, names with
control characters. Each ends soon with the right exit status and one short message, or with a reject."""

import gzip
import os
import pathlib
import unittest

import support
from support import T0

# What a run may take and write, whatever it is fed. Sanitized builds on machines with other work are slow.
SECONDS = 30
OUTPUT = 6_000
MANY = 1_000_000


def scale(count):
    """Smaller for programs that are ten times slower; a CSV header of so many columns still exceeds the first MiB, which
    is looked at otherwise than what follows."""
    return count // 5 if support.OPTIONS.sanitized else count


def point(k=0):
    return f'{{"metric":"m","timestamp":{T0 + k},"value":{k},"tags":{{"host":"h"}}}}'


class Limits(support.Case):
    needs_server = False

    def check_bounds(self, outcome):
        self.assertLess(outcome.seconds, SECONDS, str(outcome))
        self.assertLess(len(outcome.out) + len(outcome.err), OUTPUT, str(outcome)[:10_000])
        text = outcome.out + outcome.err
        self.assertFalse([c for c in text if ord(c) < 32 and c not in "\n\r"], repr(text[:2000]))

    def refused(self, *arguments, said, status=3, **more):
        """The run loads nothing, for one reason that it says once."""
        outcome = self.load(*arguments, to="null:", status=status, **more)
        self.check_bounds(outcome)
        for part in said:
            self.assertEqual((outcome.out + outcome.err).count(part), 1, (part, str(outcome)))
        if status != 2:
            self.assert_rows(outcome, written=0)
        return outcome

    def rejected(self, *arguments, written, rejected=1, said=(), **more):
        outcome = self.load(*arguments, to="null:", status=1, **more)
        self.check_bounds(outcome)
        self.assert_rows(outcome, read=written + rejected, written=written, rejected=rejected)
        for part in said:
            self.assertIn(part, outcome.out, str(outcome))
        return outcome

    def loaded(self, *arguments, written, **more):
        outcome = self.load(*arguments, to="null:", **more)
        self.check_bounds(outcome)
        self.assert_rows(outcome, read=written, written=written)
        return outcome


class Json(Limits):
    def test_brackets_and_nothing_else(self):
        for name, text in (("opened", "[" * MANY), ("closed", "]" * MANY), ("in blanks", " \n" + "[ " * 20 + "\n")):
            with self.subTest(name):
                self.file("a.json", text)
                self.rejected("a.json", "--format", "json", written=0, said=("bracket",))

    def test_empty_arrays(self):
        for text in ("[]", "[ ]\n", "[]\n[]\n", "[[], []]", ""):
            with self.subTest(text):
                self.file("a.json", text)
                self.loaded("a.json", "--format", "json", written=0)

    def test_arrays_of_points(self):
        for text in (f"[{point()},{point(1)}]", f"{point()}\n{point(1)}", f"[{point()}][{point(1)}]",
                     f"[[{point()}], [], [{point(1)}]]", f"[\n{point()}\n,\n{point(1)}\n]\n"):
            with self.subTest(text):
                self.file("a.json", text)
                self.loaded("a.json", "--format", "json", written=2)

    def test_brackets_around_good_points(self):
        for name, text in (("before", "[" * MANY + point() + "," + point(1) + "]"),
                           ("between", "[" + point() + "]" * 100 + point(1)),
                           ("behind", "[" + point() + "," + point(1) + "]" * MANY),
                           ("text behind", "[" + point() + "," + point(1) + "] the end")):
            with self.subTest(name):
                self.file("a.json", text)
                self.rejected("a.json", "--format", "json", written=2)

    def test_depth(self):
        deep = '{"metric":"m","timestamp":1,"value":1,"tags":{"host":' + "[" * MANY + "]" * MANY + "}}"
        deeper = '{"a":' * MANY + "1" + "}" * MANY
        for name, text in (("arrays", deep), ("objects", deeper), ("unclosed", '{"a":' * MANY)):
            with self.subTest(name):
                self.file("a.json", text)
                self.rejected("a.json", "--format", "json", written=0)

    def test_depth_of_ndjson(self):
        good = f'{{"ts":{T0}000,"v":1.5}}\n'
        for name, text in (("arrays", f'{{"ts":{T0}001,"v":' + "[" * MANY + "]" * MANY + "}\n"),
                           ("unclosed", '{"a":' * MANY + "\n")):
            with self.subTest(name):
                self.file("a.ndjson", good + text + good.replace("1.5", "2.5"))
                self.rejected("a.ndjson", "--format", "ndjson", written=2)


class Csv(Limits):
    def table(self, columns, rows=2):
        head = "time," + ",".join(f"c{i}" for i in range(1, columns))
        return head + "\n" + "".join(f"{T0 + r}," + ",".join(["1"] * (columns - 1)) + "\n" for r in range(rows))

    def test_too_many_columns(self):
        for columns in (4_097, 5_000, 20_000, scale(MANY)):
            with self.subTest(columns):
                self.file("a.csv", self.table(columns))
                self.refused("a.csv", said=(f"{columns:,} columns", "at most 4,096"), status=2)

    def test_the_most_columns(self):
        self.file("a.csv", self.table(4_000))
        self.loaded("a.csv", written=2)

    def test_a_few_of_many_columns(self):
        for columns in (20_000, scale(MANY)):
            with self.subTest(columns):
                self.file("a.csv", self.table(columns))
                done = self.loaded("a.csv", "--columns", f"c7,c{columns - 1}", written=2)
                if not support.OPTIONS.sanitized:
                    self.assertLess(done.peak_kib, 1_000_000)

    def test_a_long_header_below_comments(self):
        self.file("a.csv", "# made by hand\n# of old numbers\n" + self.table(scale(MANY)))
        self.loaded("a.csv", "--columns", f"c7,c{scale(MANY) - 1}", written=2)

    def test_a_header_without_end(self):
        self.file("a.csv", b"time," + b"name," * (7_000_000 if support.OPTIONS.sanitized else 20_000_000))
        self.refused("a.csv", "--format", "csv", said=("its first line does not end",), status=2)

    def test_fields_of_line_protocol(self):
        fields = ",".join(f"f{i}=1i" for i in range(20_000))
        self.file("a.line", f"m,host=h v=1i {T0}000000000\nm,host=h {fields} {T0}000000000\n")
        outcome = self.load("a.line", to="null:", status=1)
        self.check_bounds(outcome)
        self.assert_rows(outcome, read=2, written=1, rejected=1)

    def test_lines_longer_than_the_limit(self):
        good = f"m,host=h v=1i {T0}000000000\n"
        for name, text in (("line", good + "m,host=h v=\"" + "x" * (3 << 20) + f'" {T0}000000000\n' + good),
                           ("without end", good + good + "x" * (3 << 20))):
            with self.subTest(name):
                self.file("a.line", text)
                self.rejected("a.line", "--max-record", "1M", written=2)


class Files(Limits):
    GOOD = f"m,host=h v=1i {T0}000000000\n"

    def test_a_loop_of_links(self):
        (self.dir / "a.line").symlink_to("b.line")
        (self.dir / "b.line").symlink_to("a.line")
        self.refused("a.line", said=("cannot open 'a.line': too many levels",))

    def test_a_link_to_nowhere(self):
        (self.dir / "a.line").symlink_to("gone.line")
        self.refused("a.line", said=("a.line",), status=2)

    def test_devices(self):
        for path in ("/dev/zero", "/dev/urandom"):
            with self.subTest(path):
                self.refused(path, said=("it is a device",))

    def test_the_null_device(self):
        self.loaded("/dev/null", written=0)

    def test_a_fifo(self):
        os.mkfifo(self.dir / "a.line")
        running = self.start_load("a.line", to="null:")
        with open(self.dir / "a.line", "w", encoding="ascii") as pipe:
            pipe.write(self.GOOD * 3)
        self.assert_rows(self.finish_load(running), read=3, written=3)

    @unittest.skipUnless(os.path.exists("/proc/self/status"), "no /proc")
    def test_files_that_the_kernel_makes_up(self):
        # Their size is 0 (or a page), their text is not.
        lines = len(pathlib.Path("/proc/self/status").read_text().splitlines())
        outcome = self.load("/proc/self/status", "--format", "line", to="null:", status=1)
        self.check_bounds(outcome)
        self.assertGreaterEqual(outcome.total["rejected"], lines // 2)
        self.assertGreater(outcome.total["bytes"], 0)

    def test_a_bomb(self):
        # Nothing below 256 MiB is suspicious.
        self.file("a.line.gz", gzip.compress(bytes(300 << 20), 6))
        outcome = self.load("a.line.gz", "--format", "line", "--max-ratio", "100", to="null:", status=3)
        self.check_bounds(outcome)
        self.assertEqual((outcome.out + outcome.err).count("a decompression bomb?"), 1, str(outcome))

    def test_control_characters_in_names(self):
        name = "a\x1b[31m\nred\x07.line"
        self.file(name, self.GOOD + "broken\n")
        self.file("b.line", self.GOOD)
        outcome = self.rejected(name, "b.line", written=2, said=("a\\x1b[31m\\nred\\x07.line",))
        for path in (self.dir / "penstock-rejects").iterdir():
            self.assertTrue(path.name.isprintable(), repr(path.name))
        self.assertEqual(outcome.report["sources"][0]["name"].splitlines()[0].count("\x1b"), 1)
        checked = self.run_program("check", name, "b.line", status=1)
        self.check_bounds(checked)
        (self.dir / name).write_bytes(bytes(range(256)) * 400)
        self.refused(name, said=("binary",))
        self.refused("gone\x1b[31m.line", said=("gone\\x1b",), status=2)


if __name__ == "__main__":
    support.main()
