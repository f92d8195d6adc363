"""check_layering_test.py CHECK_LAYERING: the check finds wrong includes, and only those."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

CHECK = sys.argv.pop(1)


class CheckLayering(unittest.TestCase):
    def check(self, **files):
        """Runs the check on a tree with the given files (room__file = text) and returns status and output."""
        with tempfile.TemporaryDirectory() as top:
            for name, text in files.items():
                path = pathlib.Path(top, *name.split("__")).with_suffix(".cpp")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            done = subprocess.run([CHECK, top], capture_output=True, text=True, check=False)
            return done.returncode, done.stdout

    def test_accepts_what_the_table_allows(self):
        status, output = self.check(
            base__a="#include <vector>\n",
            format__a='#include "io/chunk.h"\n#include "format/detail/x.h"\n#include "base/a.h"\n',
            cli__a='#include "sandbox/server.h"\n#include "sink/sink.h"\n',
            client__detail__ws='#include "client/detail/frame.h"\n#include "wire/bytes.h"\n',
        )
        self.assertEqual((status, output), (0, "4 files, 0 wrong includes\n"))

    def test_names_file_line_and_rule(self):
        status, output = self.check(format__a='#include "base/a.h"\n#include "sink/sink.h"\n')
        self.assertEqual(status, 1)
        self.assertIn('format/a.cpp:2: #include "sink/sink.h": format may include base, simd,', output)

    def test_finds_each_kind(self):
        for room, include in [
            ("sandbox", "client/connection.h"),
            ("sandbox", "pipeline/ledger.h"),
            ("sink", "format/parser.h"),
            ("format", "io/reader.h"),  # Chunk only
            ("base", "data/types.h"),
            ("cli", "client/detail/frame.h"),  # private
            ("base", "error.h"),  # no room
            ("base", "../data/types.h"),
            ("attic", "base/error.h"),  # no such room
        ]:
            with self.subTest(room=room, include=include):
                status, output = self.check(**{f"{room}__a": f'  #  include "{include}"\n'})
                self.assertEqual(status, 1, output)
                self.assertIn(f"{room}/a.cpp:1:", output)

    def test_does_not_pass_without_sources(self):
        self.assertNotEqual(self.check()[0], 0)


if __name__ == "__main__":
    unittest.main()
