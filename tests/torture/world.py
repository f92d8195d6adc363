"""The processes of a torture run: sandbox servers, loaders, and the watchdog that ends what hangs."""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import threading
import time

PROJECT = pathlib.Path(__file__).resolve().parents[2]
AUTHORISATION = "Basic " + base64.b64encode(b"root:taosdata").decode()
TRACES = ("AddressSanitizer", "LeakSanitizer", "runtime error:", "terminate called", "Assertion")


class Problem(Exception):
    """Something that must not happen; `kind` is one of `hang`, `crash`, `status`, `ledger`, `rows`, `rejects`."""

    def __init__(self, kind, text):
        super().__init__(f"{kind}: {text}")
        self.kind = kind


class Skipped(Exception):
    """This machine or this program cannot do it; the text says why."""


def clean_environment(**more):
    """The environment without settings of whoever runs this, and without colours and locales."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "TDENGINE_", "FAKETIME"))}
    kept.update({k: str(v) for k, v in more.items()})
    return kept


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Settings:
    """What every cycle knows: the programs, where to work, and how patient the watchdog is."""

    def __init__(self, program, generate, work, patience=90.0, sanitized=False):
        self.program, self.generate = pathlib.Path(program), pathlib.Path(generate)
        self.work, self.patience, self.sanitized = pathlib.Path(work), patience, sanitized
        self._help = {}
        self._lock = threading.Lock()
        self._running = set()
        self._ending = False

    def help_of(self, command):
        with self._lock:
            if command not in self._help:
                self._help[command] = subprocess.run([self.program, command, "--help"], env=clean_environment(),
                                                     capture_output=True, text=True, check=False).stdout
            return self._help[command]

    def need(self, command, *flags):
        """Skips what this build of the program does not have yet."""
        text = self.help_of(command)
        for flag in flags:
            if flag not in text:
                raise Skipped(f"this program has no `{command} {flag}`")

    def begins(self, run):
        """A program starts: close() ends it, however this ends. Nothing starts once close() was called."""
        with self._lock:
            if self._ending:
                raise Problem("status", "interrupted")
            self._running = {other for other in self._running if not other.ended()} | {run}

    def close(self):
        """Ends all programs that still run."""
        with self._lock:
            self._ending = True
            running = list(self._running)
        for run in running:
            run.kill()

    def version(self):
        return subprocess.run([self.program, "--version"], env=clean_environment(), capture_output=True, text=True,
                              check=False).stdout.strip()


class Run:
    """A program that runs in `directory`, its output in files there. Ends by itself, by signal, or by the watchdog."""

    def __init__(self, settings, command, directory, name, env=None):
        self.settings, self.name, self.directory = settings, name, pathlib.Path(directory)
        self.command = [str(part) for part in command]
        self.out_path, self.err_path = self.directory / f"{name}.out", self.directory / f"{name}.err"
        self.start = time.monotonic()
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.process = subprocess.Popen(self.command, cwd=self.directory, env=clean_environment(**(env or {})),
                                            stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        try:
            settings.begins(self)
        except Problem:
            self.kill()
            raise

    def signal(self, number):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    def ended(self):
        return self.process.poll() is not None

    def sleep_or_end(self, seconds):
        """Waits so long, or until the program ended; true: it ended."""
        try:
            self.process.wait(max(0.0, seconds))
            return True
        except subprocess.TimeoutExpired:
            return False

    def texts(self):
        return (self.out_path.read_text(errors="replace"), self.err_path.read_text(errors="replace"))

    def kill(self):
        if not self.ended():
            self.process.kill()
        self.process.wait()

    def finish(self, patience=None):
        """The exit status. Who does not end in time is killed, after a look at where its threads stand."""
        patience = patience or self.settings.patience
        if not self.sleep_or_end(patience):
            where = diagnose(self.process.pid)
            (self.directory / f"{self.name}.hang").write_text(where)
            self.kill()
            raise Problem("hang", f"{self.name} did not end within {patience:.0f} s of the last disturbance")
        out, err = self.texts()
        for trace in TRACES:
            if trace in err:
                raise Problem("crash", f"{self.name}: {err[err.index(trace):][:300]}")
        if self.process.returncode in (-signal.SIGSEGV, -signal.SIGABRT, -signal.SIGBUS, -signal.SIGILL,
                                       -signal.SIGFPE, -signal.SIGPIPE):
            raise Problem("crash", f"{self.name} ended by {signal.Signals(-self.process.returncode).name}")
        return self.process.returncode


def diagnose(pid):
    """Where the threads of a process stand: their stacks if there is a gdb, else what the kernel tells."""
    if shutil.which("gdb"):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            return subprocess.run(["gdb", "-p", str(pid), "-batch", "-ex", "thread apply all bt 25"],
                                  capture_output=True, text=True, timeout=60, check=False).stdout
    lines = []
    with contextlib.suppress(OSError):
        for task in sorted(pathlib.Path(f"/proc/{pid}/task").iterdir()):
            for name in ("comm", "wchan", "syscall", "stat"):
                with contextlib.suppress(OSError):
                    lines.append(f"{task.name} {name}: {(task / name).read_text().strip()}")
    return "\n".join(lines)


class Server:
    """`penstock sandbox` on a port that stays the same, in a directory that stays the same."""

    def __init__(self, settings, directory, port=None):
        self.settings, self.directory = settings, pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.starts = 0
        self._run = None
        self._http = threading.local()
        self.start()

    def start(self):
        self.starts += 1
        self._run = Run(self.settings, [self.settings.program, "sandbox", self.directory / "data", "--listen",
                                        f"127.0.0.1:{self.port}"], self.directory, f"sandbox-{self.starts}")
        end = time.monotonic() + 60
        while "no database for production" not in self._run.out_path.read_text(errors="replace"):
            if self._run.ended() or time.monotonic() > end:
                raise Problem("crash", "the sandbox does not start: " + self._run.texts()[1][-500:])
            time.sleep(0.005)

    def kill(self):
        self._run.kill()

    def stop(self):
        """Asks it to end, and waits for that."""
        self._run.signal(signal.SIGCONT)
        self._run.signal(signal.SIGTERM)
        return self._run.finish(60)

    def signal(self, number):
        self._run.signal(number)

    def close(self):
        """At the end of a cycle: whatever state it is in."""
        if self._run and not self._run.ended():
            self._run.kill()

    def dsn(self, database, port=None):
        return f"ws://127.0.0.1:{port or self.port}/{database}"

    def sql(self, statement, database=""):
        """The rows of an answer as (names, rows). Tries again when the connection was lost."""
        for attempt in range(3):
            connection = getattr(self._http, "connection", None)
            if connection is None:
                connection = self._http.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            try:
                connection.request("POST", f"/rest/sql/{database}".rstrip("/"), statement.encode(),
                                   {"Authorization": AUTHORISATION})
                answer = json.loads(connection.getresponse().read())
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                self._http.connection = None
                if attempt == 2:
                    raise
                time.sleep(0.2)
        if answer.get("code"):
            raise Problem("rows", f"{statement!r}: {answer.get('desc')} [0x{answer['code']:04X}]")
        return [meta[0] for meta in answer["column_meta"]], answer["data"]
