"""The inputs of a torture run: small files in all formats and compressions, some with disorder, duplicates, bad records
and tables that grow on the way. The same number gives the same bytes."""

import gzip
import json
import random
import shutil
import subprocess
import threading

from . import oracle
from .world import Problem, Run, Server, Skipped

T0 = 1_700_000_000  # 2023-11-14T22:13:20Z
T0_NS = T0 * 10**9


class Scenario:
    """Files, how to load them, and the truth about that load."""

    def __init__(self, name, make, flags=(), key=None):
        # key: the column that names a row beside its child table, instead of the timestamp
        self.name, self._make, self.flags, self.key = name, make, list(flags), key
        self.files, self.truth, self.directory, self.rows = [], None, None, 0
        self._failure = None
        self._lock = threading.Lock()

    def prepare(self, makers):
        """Makes the files and loads them undisturbed, once."""
        with self._lock:
            if self._failure:
                raise self._failure
            if self.truth is None:
                self.directory = makers.settings.work / "inputs" / self.name
                self.directory.mkdir(parents=True, exist_ok=True)
                try:
                    self.files = self._make(makers, self.directory, random.Random(self.name))
                    self.truth = makers.undisturbed(self)
                except (Problem, Skipped) as failure:
                    self._failure = failure
                    raise
                self.rows = self.truth.report["total"]["read"]
        return self

    def copy_to(self, directory):
        for name in self.files:
            shutil.copyfile(self.directory / name, directory / name)

    def load_flags(self, seconds):
        """Flags that make a load of small steps take about so many seconds."""
        rate = max(100, int(self.rows / seconds))
        return [*self.flags, "--max-record", "16k", "--batch-rows", str(max(20, self.rows // 60)), "--linger", "10ms",
                "--max-rate", f"{rate}/s"]


class Makers:
    """Makes inputs, and the truth about them with a sandbox of its own."""

    def __init__(self, settings):
        self.settings = settings
        self.server = Server(settings, settings.work / "undisturbed")

    def close(self):
        self.server.close()

    def generate(self, directory, name, *flags):
        subprocess.run([self.settings.generate, "--start", str(T0), "--quiet", "--output", directory / name,
                        *map(str, flags)], check=True, stdout=subprocess.DEVNULL)
        return name

    def undisturbed(self, scenario):
        from .proxy import Proxy
        directory = self.settings.work / "undisturbed" / scenario.name
        directory.mkdir(parents=True)
        scenario.copy_to(directory)
        proxy = Proxy(self.server.port)
        try:
            flags = [*scenario.flags, "--max-record", "16k"]
            if "--no-journal" in self.settings.help_of("load"):
                flags.append("--no-journal")
            run = Run(self.settings, [self.settings.program, "load", *scenario.files, *flags, "--to",
                                      self.server.dsn(scenario.name, proxy.port), "--create-database", "--rejects",
                                      "rejects/", "--report", "report.json"], directory, "load",
                      env={"XDG_STATE_HOME": directory / "state"})
            status = run.finish()
        finally:
            proxy.close()
        if status not in (0, 1):
            raise Problem("status", f"the undisturbed load of {scenario.name} ends with {status}:\n"
                                    + "\n".join(run.texts())[-2000:])
        report = json.loads((directory / "report.json").read_text())
        tables = oracle.snapshot(self.server, scenario.name, scenario.key)
        truth = oracle.Truth(tables, report, directory / "rejects", report["total"]["seconds"],
                             proxy.up_bytes, proxy.down_bytes)
        oracle.check_ledger(report, truth)
        if truth.rows == 0:
            raise Problem("rows", f"{scenario.name}: the undisturbed load stored nothing")
        return truth


DIRT = ("--disorder", 0.05, "--duplicates", 0.03, "--bad", 0.004)


def cpu(name, rows, *flags):
    return lambda makers, directory, rng: [makers.generate(directory, name, "--rows", rows, "--hosts", 13, *flags)]


def packed(name, rows, tool, *flags):
    """One file, compressed as several members or frames."""
    def make(makers, directory, _):
        plain = directory / makers.generate(directory, name, "--rows", rows, "--hosts", 13, *flags)
        data = plain.read_bytes()
        suffix = {"gzip": ".gz", "zstd": ".zst", "lz4": ".lz4"}[tool]
        third = len(data) // 3
        with open(directory / (name + suffix), "wb") as out:
            for part in (data[:third], data[third:2 * third], data[2 * third:]):
                out.write(compressed(part, tool))
        plain.unlink()
        return [name + suffix]
    return make


def compressed(data, tool):
    if tool == "gzip":
        return gzip.compress(data, mtime=0)
    if not shutil.which(tool):
        raise Skipped(f"there is no {tool}")
    return subprocess.run([tool, "-q", "-c"], input=data, stdout=subprocess.PIPE, check=True).stdout


def several(makers, directory, _):
    """Files of one table whose keys meet, plain and compressed."""
    names = []
    for index, tool in enumerate((None, "gzip", "zstd")):
        name = f"part{index}.line"
        makers.generate(directory, name, "--rows", 1500, "--hosts", 11, "--seed", index + 1, *DIRT)
        if tool:
            (directory / name).rename(directory / "plain")
            name += {"gzip": ".gz", "zstd": ".zst"}[tool]
            (directory / name).write_bytes(compressed((directory / "plain").read_bytes(), tool))
            (directory / "plain").unlink()
        names.append(name)
    return names


def growing(_, directory, rng):
    """Tables, columns, and widths of texts that appear on the way; values that do not fit; keys that come again."""
    lines, step = [], 0
    for index in range(4500):
        step += rng.randrange(3)
        table = f"m{rng.randrange(1 + index // 900)}"
        text = "x" * rng.randrange(1 + index // 60)
        fields = [f"v={rng.randrange(1000)}i", f"f={rng.random():.4f}", f'text="{text}"',
                  f"late_{index // 500}=t", f"u={rng.randrange(2**63)}u"]
        fields = rng.sample(fields, rng.randrange(1, 5))
        if rng.random() < 0.004:
            fields.append("v=notanumber")
        elif rng.random() < 0.004:
            fields.append('f="a text"')
        name = f"häuser\\ {rng.randrange(9)}" if index % 7 == 0 else str(rng.randrange(9))
        lines.append(f"{table},host=h{rng.randrange(5)},place={name} {','.join(fields)} {T0_NS + step * 10**6}\n")
    (directory / "growing.line").write_text("".join(lines))
    return ["growing.line"]


def timeless(_, directory, rng):
    """Lines of which half have no timestamp: they get one when they are read, and are told apart by `n`."""
    lines = []
    for index in range(4000):
        time = f" {T0_NS + index * 10**6}" if rng.random() < 0.5 else ""
        lines.append(f"timeless,host=h{rng.randrange(5)} n={index}i,v={rng.random():.4f}{time}\n")
    (directory / "timeless.line").write_text("".join(lines))
    return ["timeless.line"]


def objects(_, directory, rng):
    """JSON objects, a few of them bad."""
    lines = []
    for index in range(4000):
        record = {"at": T0 * 1000 + index * 10, "site": f"s{rng.randrange(7)}", "unit": rng.randrange(3),
                  "value": rng.random(), "count": rng.randrange(10**9), "note": "n" * rng.randrange(20)}
        text = json.dumps(record)
        lines.append(text[:-5] if rng.random() < 0.003 else text)
    (directory / "objects.ndjson").write_text("\n".join(lines) + "\n")
    return ["objects.ndjson"]


def quoted(_, directory, rng):
    """A CSV with line ends and quotes inside of values, and rows that are too short."""
    lines = ["when,site,unit,value,note\n"]
    for index in range(4000):
        note = rng.choice(["plain", '"with ""quotes"""', '"two\nlines"', "", '"a, comma"', "ümläut"])
        line = f"{T0 * 1000 + index * 10},s{rng.randrange(7)},u{rng.randrange(3)},{rng.random():.5f},{note}\n"
        lines.append("broken,s1,u1,1.5,x\n" if rng.random() < 0.003 else line)
    (directory / "quoted.csv").write_text("".join(lines))
    return ["quoted.csv"]


CSV_CPU = ("--table", "cpu", "--timestamp", "time", "--tags", "hostname,region,datacenter,rack,os,arch,team,service,"
           "service_version,service_environment")
CSV_QUOTED = ("--table", "quoted", "--timestamp", "when", "--tags", "site,unit", "--type", "note=VARCHAR(40)",
              "--type", "value=DOUBLE")
NDJSON = ("--table", "objects", "--timestamp", "at", "--tags", "site,unit", "--type", "note=VARCHAR(40)",
          "--type", "value=DOUBLE", "--type", "count=BIGINT")


def scenarios():
    """All inputs by name."""
    ms = ("--precision", "ms")
    made = [
        Scenario("line", cpu("cpu.line", 4000, *DIRT)),
        Scenario("line_gz", packed("cpu.line", 4000, "gzip", *DIRT)),
        Scenario("line_zst", packed("cpu.line", 4000, "zstd", *DIRT)),
        Scenario("line_lz4", packed("cpu.line", 3000, "lz4", *DIRT)),
        Scenario("line_several", several),
        Scenario("line_growing", growing),
        Scenario("line_iot", cpu("iot.line", 5000, "--case", "iot", *DIRT)),
        Scenario("line_one_field", cpu("one.line", 5000, "--one-field-per-line")),
        Scenario("line_timeless", timeless, key="n"),
        Scenario("line_schemaless", cpu("cpu.line", 3000, "--bad", 0.004), ("--write", "schemaless")),
        Scenario("telnet", cpu("cpu.telnet", 5000, "--format", "telnet", *ms, *DIRT), ("--format", "telnet")),
        Scenario("json", cpu("cpu.json", 4000, "--format", "json", *ms, *DIRT), ("--format", "json")),
        Scenario("csv", cpu("cpu.csv", 4000, "--format", "csv", *ms, *DIRT), CSV_CPU),
        Scenario("csv_gz", packed("cpu.csv", 4000, "gzip", "--format", "csv", *ms, "--disorder", 0.05), CSV_CPU),
        Scenario("csv_quoted", quoted, CSV_QUOTED),
        Scenario("ndjson", objects, NDJSON),
    ]
    return {scenario.name: scenario for scenario in made}
