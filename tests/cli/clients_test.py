"""The official Python clients from PyPI, taosws (package taos-ws-py) and taosrest (package taospy), read back exactly
what `penstock load` loaded. Skipped when the packages can be neither imported nor installed."""

import datetime
import importlib
import math
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

import support
from support import DATASETS, T0_NS

PACKAGES = ["taos-ws-py==0.7.0", "taospy==2.8.10"]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)

# Name, text in the line, value in Python.
VALUES = [
    ("b", "true", True), ("i8", "-128i8", -128), ("u8", "255u8", 255), ("i16", "-32768i16", -32768),
    ("u16", "65535u16", 65535), ("i32", "-2147483648i32", -2**31), ("u32", "4294967295u32", 2**32 - 1),
    ("i64", "-9223372036854775808i64", -2**63), ("u64", "18446744073709551615u64", 2**64 - 1),
    ("i", "9223372036854775807i", 2**63 - 1), ("u", "42u", 42), ("f32", "-0.5f32", -0.5), ("f64", "1e300f64", 1e300),
    ("d", "0.30000000000000004", 0.30000000000000004), ("s", r'"a\"b, c=d"', 'a"b, c=d'),
    ("utf8", '"Grüße 🚰"', "Grüße 🚰"), ("n", 'L"中文"', "中文"), ("e", '""', ""),
    ("vb", r'B"\x00ff"', b"\x00\xff"),
    ("geo", 'G"POINT(1 2)"', bytes.fromhex("0101000000000000000000f03f0000000000000040")),
]


def install():
    """Makes both modules importable; the reason when that cannot be."""
    folder = support.OPTIONS.python_clients
    if folder is not None and not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        fresh = tempfile.mkdtemp(dir=folder.parent)
        try:
            done = subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                                   "--target", fresh, *PACKAGES], capture_output=True, text=True, timeout=120)
            if done.returncode != 0:
                return f"the packages cannot be installed: {done.stderr[-500:]}"
            os.rename(fresh, folder)
        except subprocess.TimeoutExpired:
            return "the packages cannot be installed within two minutes"
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
    if folder is not None:
        sys.path.append(str(folder))
    try:
        for name in ("taosws", "taosrest"):
            globals()[name] = importlib.import_module(name)
    except ImportError as error:
        return f"not available: {error}"
    return None


def nanoseconds(value):
    """A client's timestamp as nanoseconds since 1970; taosws gives text, taosrest a datetime (microseconds at most)."""
    if isinstance(value, str):
        text = value.replace("T", " ").removesuffix("Z").removesuffix(" +00:00").removesuffix("+00:00")
        whole, _, fraction = text.partition(".")
        seconds = datetime.datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=datetime.timezone.utc)
        return round((seconds - EPOCH).total_seconds()) * 10**9 + int(fraction.ljust(9, "0") or 0)
    if value.tzinfo is None:
        value = value.replace(tzinfo=datetime.timezone.utc)
    return (value - EPOCH) // datetime.timedelta(microseconds=1) * 1000


class Clients(support.Case):
    @classmethod
    def setUpClass(cls):
        reason = install()
        if reason:
            raise unittest.SkipTest(reason)
        super().setUpClass()

    def websocket(self, sql):
        connection = taosws.connect(f"ws://root:taosdata@127.0.0.1:{self.server.port}/{self.db}")
        return [tuple(row) for row in connection.query(sql)]

    def rest(self, sql):
        connection = taosrest.connect(url=f"http://127.0.0.1:{self.server.port}", user="root", password="taosdata",
                                      database=self.db, timezone="UTC")
        return [tuple(row) for row in connection.query(sql).data]

    def both(self):
        return (("taosws", self.websocket), ("taosrest", self.rest))

    def test_every_value_of_every_type(self):
        fields = ",".join(f"{name}={text}" for name, text, _ in VALUES)
        self.load(self.file("t.line", f"t,site=north {fields} {T0_NS + 1000}\nt,site=s\\ p b=false {T0_NS + 2000}\n"
                                      f"t,site=世界 d=-1.5 {T0_NS + 3000}\n"))
        names = [name for name, *_ in VALUES]
        for client, query in self.both():
            rows = query(f"select _ts, site, {', '.join(names)} from t order by _ts")
            self.assertEqual(len(rows), 3)
            for name, (_, _, wanted), got in zip(names, VALUES, rows[0][2:]):
                with self.subTest(client=client, column=name):
                    if isinstance(wanted, bytes) and isinstance(got, str):  # REST answers in JSON: hex
                        wanted = wanted.hex()
                    self.assertEqual(got, wanted)
            with self.subTest(client=client, column="the rest"):
                self.assertEqual([nanoseconds(row[0]) for row in rows], [T0_NS + 1000 * k for k in (1, 2, 3)])
                self.assertEqual([row[1] for row in rows], ["north", "s p", "世界"])
                self.assertEqual(rows[1][2:], (False,) + (None,) * (len(VALUES) - 1))
                self.assertEqual(rows[2][2 + names.index("d")], -1.5)

    def test_generated_rows(self):
        path, truth = self.generated("iot.line", "--case", "iot", "--hosts", 20, "--rows", 5000, "--bad", "0.01",
                                     "--duplicates", "0.05", "--disorder", "0.05")
        self.load(path, status=1)
        for client, query in self.both():
            for table, wanted in truth["tables"].items():
                with self.subTest(client=client, table=table):
                    names = list(wanted["columns"])
                    row = query(f"select count(*), {', '.join(f'count({n}), sum({n})' for n in names)} from {table}")[0]
                    self.assertEqual(row[0], wanted["distinct_keys"])
                    for k, name in enumerate(names):
                        column = wanted["columns"][name]
                        self.assertEqual(row[1 + 2 * k], column["values"])
                        self.assertTrue(math.isclose(row[2 + 2 * k], column["sum"], rel_tol=1e-9), (name, row))
                    children = {r[0] for r in query(f"select distinct tbname from {table}")}
                    self.assertEqual(len(children), wanted["child_tables"])

    def test_every_row_of_a_file(self):
        """Rows of a whole file, through results of several blocks."""
        lines, wanted = [], []
        for k in range(12_000):
            value, text = (k * 7919) % 10007 / 8, f"row {k}, ü"
            lines.append(f'm,h=h{k % 5} v={value},i={k}i,s="{text}" {T0_NS + k * 1000}\n')
            wanted.append((T0_NS + k * 1000, f"h{k % 5}", value, k, text))
        self.load(self.file("m.line", "".join(lines)))
        for client, query in self.both():
            with self.subTest(client=client):
                got = [(nanoseconds(row[0]), *row[1:]) for row in query("select _ts, h, v, i, s from m order by _ts")]
                self.assertTrue(got == wanted, (len(got), got[:2], wanted[:2]))

    def test_weather(self):
        self.load(DATASETS / "weather.csv", "--tags", "origin")
        answers = [query("select origin, count(*), count(temp), sum(precip), max(wind_gust) from weather group by origin "
                         "order by origin") for _, query in self.both()]
        self.assertEqual(answers[0], answers[1])
        self.assertEqual([row[:2] for row in answers[0]], [("EWR", 8703), ("JFK", 8706), ("LGA", 8706)])


if __name__ == "__main__":
    support.main()
