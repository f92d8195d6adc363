"""readme_commands_test.py: a page that tells the truth passes, one that does not fails with the line."""

import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

SCRIPT = pathlib.Path(__file__).with_name("readme_commands.py")


def page(*blocks):
    return "".join(f"Text.\n\n{before}```console\n{block}```\n" for before, block in blocks)


class ReadmeCommands(unittest.TestCase):
    def check(self, text, *flags):
        with tempfile.TemporaryDirectory() as top:
            program = pathlib.Path(top, "bin", "greet")
            program.parent.mkdir()
            program.write_text("#!/bin/sh\necho hello $1; echo took 0.123 s >&2; exit ${2:-0}\n")
            program.chmod(0o755)
            readme = pathlib.Path(top, "README.md")
            if text is not None:
                readme.write_text(text, encoding="utf-8")
            data = pathlib.Path(top, "data")
            data.mkdir()
            (data / "a.txt").write_text("one\ntwo\nthree\n")
            done = subprocess.run([sys.executable, SCRIPT, "--program", program, "--link", data, *flags, readme],
                                  capture_output=True, text=True, check=False)
            return done.returncode, done.stdout

    def test_true_page_passes(self):
        status, output = self.check(page(
            ("", "$ greet you\nhello you\ntook … s\n$ cat data/a.txt | \\\n  tail -1\nthree\n"),
            ("", "$ echo kept > file\n$ export WHO=me\n$ echo $WHO\nme\n"),
            ("", "$ cat file\nkept\n$ greet x 3\n…\n$ echo $?\n3\n$ cat data/a.txt\none\n…\n$ printf 'no newline'\nno newline\n"),
        ))
        self.assertEqual(status, 0, output)
        self.assertIn("10 commands run, 0 wrong, 0 blocks not run", output)

    def test_other_output_fails_with_its_line(self):
        for shown in ["hello me\ntook … s\n", "hello you\n", "", "hello you\ntook … s\nmore\n", "hello …you too\ntook … s\n"]:
            with self.subTest(shown=shown):
                status, output = self.check(page(("", "$ true\n$ greet you\n" + shown)))
                self.assertEqual(status, 1, output)
                self.assertIn("line 5: $ greet you", output)
                self.assertIn("it prints:\nhello you\ntook 0.123 s", output)

    def test_failing_command_fails(self):
        status, output = self.check(page(("", "$ greet you 1\nhello you\n…\n")))
        self.assertEqual(status, 1)
        self.assertIn("ended with status 1", output)
        self.assertEqual(self.check(page(("", "$ no-such-program\n…\n")))[0], 1)

    def test_dots_do_not_cross_lines(self):
        self.assertEqual(self.check(page(("", "$ cat data/a.txt\none…three\n")))[0], 1)
        self.assertEqual(self.check(page(("", "$ cat data/a.txt\no…e\n…\nthree\n")))[0], 0)

    def test_excluded_block_is_not_run(self):
        status, output = self.check(page(("<!-- not run: needs a server -->\n", "$ greet you\nnonsense\n"), ("", "$ true\n")))
        self.assertEqual(status, 0, output)
        self.assertIn("not run: needs a server", output)
        self.assertIn("1 commands run, 0 wrong, 1 blocks not run", output)
        status, _ = self.check("<!-- not run: for another block -->\nText.\n```console\n$ false\n```\n")
        self.assertEqual(status, 1)

    def test_other_fences_are_left_alone(self):
        self.assertEqual(self.check("```sh\n$ false\n```\n```\n$ false\n```\n")[0], 0)

    def test_background_and_hanging_commands_end(self):
        begin = time.monotonic()
        self.assertEqual(self.check(page(("", "$ sleep 300 &\n$ echo up\nup\n")))[0], 0)
        status, output = self.check(page(("", "$ echo up\nup\n$ sleep 300\n")), "--timeout", "1")
        self.assertEqual(status, 1)
        self.assertIn("line 6: $ sleep 300\n  did not end within 1.0 s", output)
        self.assertLess(time.monotonic() - begin, 60)

    def test_broken_pages_are_refused(self):
        self.assertIn("has no end", self.check("```console\n$ true\n")[1])
        self.assertIn("before the first command", self.check("```console\ntrue\n```\n")[1])
        self.assertEqual(self.check(None)[0], 77)


if __name__ == "__main__":
    unittest.main()
