"""What InfluxData's own parser (Go, github.com/influxdata/line-protocol) reads from generated lines, we read too.

Only where the dialects agree: no quotes in tags, no dots in measurements, no backslash before a delimiter but one. Skips
where there is no Go or no module proxy.
"""

import json
import pathlib
import random
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "cli"))
import support  # noqa: E402

LINES = 3000
PLAIN = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+/:;@%&()[]{}<>?!^~|*$é中😀'"


class Generator:
    def __init__(self, seed):
        self.random = random.Random(seed)
        self.measurements = [self.name(", ") for _ in range(12)]
        self.tags = ["t" + self.name(", =") for _ in range(20)]
        self.fields = {kind: [kind + self.name(", =") for _ in range(15)] for kind in "iufsb"}

    def text(self, escaped, least=1, most=12):
        """(as written, as meant)"""
        written = meant = ""
        for _ in range(self.random.randint(least, most)):
            roll = self.random.random()
            if roll < 0.12:
                c = self.random.choice(escaped)
                written, meant = written + "\\" + c, meant + c
            elif roll < 0.16 and escaped:
                c = self.random.choice("abx")  # a backslash before anything else is one
                written, meant = written + "\\" + c, meant + "\\" + c
            else:
                c = self.random.choice(PLAIN)
                written, meant = written + c, meant + c
        return written, meant

    def name(self, escaped):
        while True:
            written, meant = self.text(escaped)
            # Names are limited in bytes; "#" would be a comment.
            if len(meant.encode()) <= 40 and not meant.startswith("#"):
                return written

    def value(self, kind):
        r = self.random
        if kind == "i":
            return f"{r.randint(-2**63, 2**63 - 1) >> r.randint(0, 63)}i"
        if kind == "u":
            return f"{r.randint(0, 2**64 - 1) >> r.randint(0, 63)}u"
        if kind == "f":
            return r.choice([repr(r.uniform(-1e6, 1e6)), repr(r.uniform(-1, 1) * 10**r.randint(-300, 300)), str(r.randint(-99, 99)),
                             f"{r.randint(0, 99)}.{r.randint(0, 10**25)}", f"-0.{'0' * r.randint(0, 30)}1"])
        if kind == "b":
            return r.choice(["t", "T", "true", "True", "TRUE", "f", "F", "false", "False", "FALSE"])
        text = ""
        for _ in range(r.randint(0, 15)):
            text += r.choice(['\\"', "\\\\", ",", " ", "=", "#", "'", r.choice(PLAIN)])
        return f'"{text}"'

    def line(self, number):
        r = self.random
        text = r.choice(self.measurements)
        for tag in r.sample(self.tags, r.randint(0, 4)):
            text += f",{tag}={self.text(', =')[0]}"
        fields = [(kind, name) for kind in "iufsb" for name in r.sample(self.fields[kind], r.randint(0, 2))]
        r.shuffle(fields)
        fields = fields or [("i", self.fields["i"][0])]
        return f"{text} {','.join(f'{name}={self.value(kind)}' for kind, name in fields)} {support.T0_NS + number}"


class Differential(support.Case):

    @classmethod
    def setUpClass(cls):
        go = shutil.which("go")
        if go is None:
            raise cls.skipTest(cls, "there is no Go")
        super().setUpClass()
        cls.other = cls._class_dir / "line_protocol_go"
        try:
            built = subprocess.run([go, "build", "-o", cls.other, "."], cwd=HERE / "line_protocol_go", capture_output=True,
                                   text=True, timeout=240)
        except subprocess.TimeoutExpired:
            raise cls.skipTest(cls, "Go's modules cannot be had in time") from None
        if built.returncode != 0:
            raise cls.skipTest(cls, f"InfluxData's parser cannot be built: {built.stderr[-300:]}")

    def test_lines_mean_the_same_to_influxdatas_parser(self):
        for seed in range(3):
            with self.subTest(seed=seed):
                generator = Generator(seed)
                lines = [generator.line(i) for i in range(LINES)]
                path = self.file(f"{seed}.line", "\n".join(lines) + "\n")
                theirs = subprocess.run([self.other], input=path.read_bytes(), capture_output=True, check=True).stdout
                wanted = {}
                for line, record in zip(lines, map(json.loads, theirs.decode().splitlines()), strict=True):
                    self.assertNotIn("error", record, line)
                    wanted[int(record["time"])] = (record, line)
                to = self.server.dsn(f"{self.db}{seed}")
                self.assert_rows(self.load(path, to=to), read=LINES, written=LINES)
                seen = 0
                for table in {record["measurement"] for record, _ in wanted.values()}:
                    quoted = table.replace("`", "``")
                    for row in self.query(f"select cast(_ts as bigint) as `at`, * from `{quoted}`", to):
                        record, line = wanted[row.pop("at")]
                        row.pop("_ts")
                        row.pop("_tag_null", None)
                        self.assertEqual({k: v for k, v in row.items() if v is not None}, self.meant(record), line)
                        seen += 1
                self.assertEqual(seen, LINES)

    @staticmethod
    def meant(record):
        values = dict(record["tags"])
        read = {"int": int, "uint": int, "float": float, "bool": lambda text: text == "true", "string": str}
        for name, (kind, text) in record["fields"].items():
            values[name] = read[kind](text)
        return values


if __name__ == "__main__":
    support.main()
