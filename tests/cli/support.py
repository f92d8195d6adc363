"""What the tests of the program share: running it, a sandbox to load into, reports, and results for ctest.

A test file ends with `support.main()`. It is started as `python3 FILE --program PENSTOCK --generate PENSTOCK_GENERATE
[--results XML] [--sanitized] [names...]`. Every test method, and every subTest of it, counts as one case.
PENSTOCK_TEST_SCALE (default 1) multiplies the sizes of the big inputs.
"""

import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import xml.etree.ElementTree as ElementTree

PROJECT = pathlib.Path(__file__).resolve().parents[2]
DATASETS = PROJECT / "datasets"
SCALE = float(os.environ.get("PENSTOCK_TEST_SCALE", "1"))

OPTIONS = argparse.Namespace(program=None, generate=None, results=None, sanitized=False, python_clients=None,
                             standin=None, standin_old=None, build=None)

# A time that every database of the tests takes: 2023-11-14T22:13:20Z.
T0 = 1_700_000_000
T0_NS = T0 * 10**9


def clean_environment(**more):
    """The environment without settings of whoever runs the tests."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "TDENGINE_"))}
    kept.update({k: str(v) for k, v in more.items()})
    return kept


class Outcome:
    """How a run of the program ended."""

    def __init__(self, command, status, out, err, seconds, peak_kib):
        self.command, self.status, self.out, self.err = command, status, out, err
        self.seconds, self.peak_kib = seconds, peak_kib

    def __str__(self):
        return (f"$ {' '.join(map(str, self.command))}\nstatus {self.status} after {self.seconds:.1f} s"
                f"\n-- stdout\n{self.out[-4000:]}\n-- stderr\n{self.err[-4000:]}")


class Running:
    """A program that runs; its output goes to files, so that it never waits for a reader."""

    def __init__(self, command, cwd, stdin=None, env=None):
        self.command = [str(part) for part in command]
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
        self.start = time.monotonic()
        env = dict(env or {})
        # Journals go there: a run knows of no other one unless a test gives both the same place.
        self._state = tempfile.TemporaryDirectory(prefix="penstock-state-")
        env.setdefault("XDG_STATE_HOME", self._state.name)
        self._stdin = stdin if stdin is not None and not isinstance(stdin, bytes) else None
        self.process = subprocess.Popen(
            self.command, cwd=cwd, env=clean_environment(**env), stdout=self._out, stderr=self._err,
            stdin=subprocess.PIPE if isinstance(stdin, bytes) else (self._stdin or subprocess.DEVNULL))
        if isinstance(stdin, bytes):
            threading.Thread(target=self._feed, args=(stdin,), daemon=True).start()

    def _feed(self, data):
        with contextlib.suppress(OSError):
            self.process.stdin.write(data)
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def so_far(self):
        """What it has written to stdout and stderr until now."""
        texts = []
        for file in (self._out, self._err):
            size = os.fstat(file.fileno()).st_size
            texts.append(os.pread(file.fileno(), size, 0).decode(errors="replace"))
        return texts

    def wait_for(self, condition, timeout=60):
        """Waits until condition(stdout, stderr) holds; fails when the program ends before."""
        end = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None
            if condition(*self.so_far()):
                return
            if ended or time.monotonic() > end:
                raise AssertionError(f"{'ended' if ended else 'waited too long'}: {' '.join(self.command)}\n"
                                     + "\n".join(self.so_far()))
            time.sleep(0.01)

    def signal(self, number):
        # Not send_signal(): that takes note of an end, which finish() waits for.
        if self.process.returncode is None:
            os.kill(self.process.pid, number)

    def finish(self, timeout=120):
        """Waits for the end. A run that takes longer than `timeout` seconds is killed and fails the test."""
        asked = time.monotonic()
        timer = threading.Timer(timeout, self.process.kill)
        timer.start()
        try:
            _, status, usage = os.wait4(self.process.pid, 0)
        finally:
            timer.cancel()
        seconds = time.monotonic() - self.start
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self._state.cleanup()
        out, err = self.so_far()
        self._out.close()
        self._err.close()
        outcome = Outcome(self.command, self.process.returncode, out, err, seconds, usage.ru_maxrss)
        if time.monotonic() - asked >= timeout:
            raise AssertionError(f"did not end within {timeout} s:\n{outcome}")
        for trace in ("AddressSanitizer", "LeakSanitizer", "runtime error:", "terminate called", "Assertion"):
            if trace in err:
                raise AssertionError(f"crashed:\n{outcome}")
        return outcome


class Sandbox:
    """`penstock sandbox` as a process of its own on a free port."""

    def __init__(self, directory, port=0, arguments=(), env=None):
        command = [OPTIONS.program, "sandbox", directory, "--listen", f"127.0.0.1:{port}", *arguments]
        self._running = Running(command, cwd="/", env=env)
        self._running.wait_for(lambda out, _: "no database for production" in out, timeout=30)
        out = self._running.so_far()[0]
        self.port = int(out.split("listens on 127.0.0.1:")[1].split()[0])

    def dsn(self, database="", user=""):
        return f"ws://{user}127.0.0.1:{self.port}/{database}"

    def stop(self, number=signal.SIGTERM):
        if self._running.process.poll() is None:
            self._running.signal(number)
            return self._running.finish(timeout=60)
        return None

    def kill(self):
        self._running.process.kill()
        self._running.process.wait()


class Opens:
    """Counts how often a file is opened from now on."""

    OPEN, CLOSE, ACCESS = 0x20, 0x10, 0x01  # the others only stand between opens, which would be told as one

    def __init__(self, path):
        libc = ctypes.CDLL(None, use_errno=True)
        self.events = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self.events < 0 or libc.inotify_add_watch(self.events, os.fsencode(path),
                                                     self.OPEN | self.CLOSE | self.ACCESS) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def count(self):
        found = 0
        try:
            while True:
                data = os.read(self.events, 1 << 16)
                while data:
                    _, mask, _, length = struct.unpack_from("iIII", data)
                    found += mask & self.OPEN != 0
                    data = data[16 + length:]
        except BlockingIOError:
            return found
        finally:
            os.close(self.events)


class Case(unittest.TestCase):
    """A test with a folder of its own (`self.dir`) and a sandbox that the tests of a class share (`self.server`)."""

    maxDiff = 4000
    needs_server = True
    server = None

    @classmethod
    def setUpClass(cls):
        cls._class_dir = pathlib.Path(tempfile.mkdtemp(prefix="penstock-cli-"))
        cls.addClassCleanup(shutil.rmtree, cls._class_dir, ignore_errors=True)
        if cls.needs_server:
            cls.server = Sandbox(cls._class_dir / "sandbox")
            cls.addClassCleanup(cls.server.stop)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="t-", dir=self._class_dir))
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        # A database of its own for each test.
        self.db = "".join(c if c.isalnum() else "_" for c in self._testMethodName)[:60].lower()

    # Files

    def file(self, name, content):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def generated(self, name, *flags):
        """A file of penstock-generate, and the truth about it."""
        path, stats = self.dir / name, self.dir / (name + ".truth.json")
        subprocess.run([OPTIONS.generate, *map(str, flags), "--output", path, "--stats", stats, "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        return path, json.loads(stats.read_text())

    # Runs

    def start(self, *arguments, stdin=None, env=None):
        running = Running([OPTIONS.program, *arguments], cwd=self.dir, stdin=stdin, env=env)
        self.addCleanup(lambda: running.process.poll() is None and running.process.kill())
        return running

    def run_program(self, *arguments, status=None, timeout=120, **more):
        outcome = self.start(*arguments, **more).finish(timeout)
        if status is not None:
            self.assertEqual(outcome.status, status, str(outcome))
        return outcome

    def start_load(self, *arguments, to=None, create=True, **more):
        """Starts `penstock load … --to --report`, by default into a new database of the sandbox."""
        command = ["load", *arguments, "--report", "report.json"]
        if to is None:
            to = self.server.dsn(self.db)
        command += ["--to", to]
        if create and to.startswith("ws"):
            command.append("--create-database")
        return self.start(*command, **more)

    def load(self, *arguments, status=0, timeout=120, **more):
        return self.finish_load(self.start_load(*arguments, **more), status, timeout)

    def finish_load(self, running, status=0, timeout=120, all_reasons=True):
        """The outcome of a load whose ledger adds up, with `report`, `total`."""
        outcome = running.finish(timeout)
        self.assertEqual(outcome.status, status, str(outcome))
        report = self.dir / "report.json"
        if status != 2:
            outcome.report = json.loads(report.read_text())
            outcome.total = outcome.report["total"]
            self.assert_ledger(outcome, all_reasons)
            report.unlink()
        return outcome

    def assert_ledger(self, outcome, all_reasons=True):
        report, total = outcome.report, outcome.report["total"]
        for tally in (total, *report["sources"]):
            self.assertEqual(tally["read"], tally["written"] + tally["rejected"] + tally["left_out"]
                             + tally["not_done"], str(outcome))
        for member in ("read", "written", "rejected", "left_out", "not_done", "merged", "bytes"):
            self.assertEqual(total[member], sum(source[member] for source in report["sources"]), (member, str(outcome)))
        self.assertEqual(report["exit_status"], outcome.status)
        if all_reasons:
            self.assertEqual(total["rejected"], sum(group["count"] for group in report["rejects"]), str(outcome))

    def assert_rows(self, outcome, read=None, written=None, rejected=0, not_done=0, left_out=0):
        wanted = {"read": read, "written": written, "rejected": rejected, "left_out": left_out,
                  "not_done": not_done}
        wanted = {k: v for k, v in wanted.items() if v is not None}
        self.assertEqual({k: outcome.total[k] for k in wanted}, wanted, str(outcome))

    def query(self, sql, to=None):
        """The rows of an answer, as dictionaries."""
        outcome = self.run_program("query", sql, "--to", to or self.server.dsn(self.db), "--format", "json", status=0)
        return [json.loads(line) for line in outcome.out.splitlines()]

    def query_one(self, sql, to=None):
        """The only value of the only row."""
        rows = self.query(sql, to)
        self.assertEqual(len(rows), 1, sql)
        self.assertEqual(len(rows[0]), 1, sql)
        return next(iter(rows[0].values()))

    def count(self, table, to=None):
        return self.query_one(f"select count(*) from `{table}`", to)

    def tables(self, to=None, names=None):
        """Everything that a user can see of a database: declarations, child tables and rows of each super table."""
        names = names or sorted(row["stable_name"] for row in self.query("show stables", to))
        seen = {}
        for name in names:
            declared = self.query(f"describe `{name}`", to)
            rows = self.query(f"select tbname, * from `{name}`", to)
            # Columns may stand in another order where several loads met.
            seen[name] = (declared, sorted(json.dumps(row, sort_keys=True) for row in rows))
        return seen

    def one_message(self, outcome, *parts):
        """The run ended with one clear message that has all the parts."""
        lines = [line for line in outcome.err.splitlines() if line.startswith("penstock: ")]
        self.assertEqual(len(lines), 1, str(outcome))
        for part in parts:
            self.assertIn(part, lines[0])


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def scaled(count):
    return int(count * SCALE)


class Results(unittest.TextTestResult):
    """Counts cases and keeps them for the file that tools/count-tests reads."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.cases = []
        self._begun = {}
        self._sub = set()

    def startTest(self, test):
        super().startTest(test)
        self._begun[test.id()] = time.monotonic()

    def _add(self, test, outcome=None, text=""):
        seconds = time.monotonic() - self._begun.get(test.id(), time.monotonic())
        self.cases.append((test.id().removeprefix("__main__."), seconds, outcome, text))

    def addSuccess(self, test):
        super().addSuccess(test)
        if test.id() not in self._sub:
            self._add(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._add(test, "failure", self._exc_info_to_string(err, test))

    def addError(self, test, err):
        super().addError(test, err)
        self._add(test, "failure", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._add(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        self._sub.add(test.id())
        self._add(subtest, "failure" if err else None, self._exc_info_to_string(err, test) if err else "")

    def write(self, path):
        suite = ElementTree.Element("testsuite", name=path.stem, tests=str(len(self.cases)))
        for name, seconds, outcome, text in self.cases:
            group, _, rest = name.partition(".")
            case = ElementTree.SubElement(suite, "testcase", classname=group, name=rest, time=f"{seconds:.3f}",
                                          status="notrun" if outcome == "skipped" else "run")
            if outcome:
                ElementTree.SubElement(case, outcome, message=printable(text)[:2000])
        path.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(suite).write(path)


def printable(text):
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--program", required=True, type=pathlib.Path)
    parser.add_argument("--generate", required=True, type=pathlib.Path)
    parser.add_argument("--results", type=pathlib.Path)
    parser.add_argument("--sanitized", action="store_true", help="memory is not that of the program alone")
    parser.add_argument("--python-clients", type=pathlib.Path, help="where the official clients are or may be installed")
    parser.add_argument("--standin", type=pathlib.Path, help="the stand-in for TDengine's client library")
    parser.add_argument("--standin-old", type=pathlib.Path, help="the same as an old one")
    parser.add_argument("--build", type=pathlib.Path, help="the build directory")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    for name in ("program", "generate", "results", "python_clients", "standin", "standin_old", "build"):
        value = getattr(arguments, name)
        setattr(OPTIONS, name, value.resolve() if value else None)
    OPTIONS.sanitized = arguments.sanitized
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    loader = unittest.defaultTestLoader
    module = sys.modules["__main__"]
    suite = loader.loadTestsFromNames(arguments.names, module) if arguments.names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(resultclass=Results, verbosity=2, buffer=False).run(suite)
    if OPTIONS.results:
        result.write(OPTIONS.results)
    sys.exit(0 if result.wasSuccessful() else 1)
