"""Loaders that are killed at any moment and go on with --resume, and are killed again."""

import os
import shutil
import signal
import subprocess
import time

from .cycle import Cycle
from .world import Problem, clean_environment

# System calls at which a loader is killed, and how often they are made about: those that make, fill, and replace files,
# and those that send.
CALLS = {"openat": 220, "write": 30, "pwrite64": 60, "fsync": 6, "fdatasync": 6, "ftruncate": 6, "rename": 3,
         "renameat2": 2, "unlink": 4, "sendmsg": 80, "recvmsg": 120, "mmap": 160, "fcntl": 60}


class Kills(Cycle):
    kind = "kills"

    def disturb(self):
        self.settings.need("load", "--resume", "--journal")
        scenario = self.choose_input()
        server = self.house.shared_server()
        database = f"kills_{self.seed}"
        # Long enough for checkpoints, which come every second, short enough for many kills.
        self.seconds_of_load = self.rng.choice((0.4, 1.3, 2.4))
        self.flags = ("--lanes", str(self.rng.randrange(1, 4)), "--threads", str(self.rng.randrange(1, 3)),
                      "--retry-for", "40s")
        self.to = server.dsn(database)
        planned = self.rng.randrange(1, 7)
        while planned > 0:
            planned -= 1
            run, what = self._attempt()
            if run is None:
                continue
            if run.ended():
                if self.not_begun(run):
                    continue
                break  # it was done before its moment came
            if self.rng.random() < 0.08:
                number = self.rng.choice((signal.SIGTERM, signal.SIGINT))
                run.signal(number)
                status = run.finish()
                self.say(f"{number.name}: status {status}")
                if status in (143, 130, -number):
                    self.did(number.name)
                    continue
                break
            run.signal(signal.SIGKILL)
            run.process.wait()
            if run.process.returncode != -signal.SIGKILL:
                break
            self.say(f"killed: {what}")
            self.did(what)
        else:
            run = self._start()
        while self.not_begun(run):
            run = self._start()
        if run.finish() == 0 and "already loaded" in "".join(run.texts()):
            # The kill came behind the last commit of the journal: there is nothing to do, and no report of it.
            self.say("the attempt before had come to its end")
            self.check_rows(server, database)
            self.check_rejects()
            return
        self.expect_status(run, run.finish(), scenario.truth.status)
        self.check(server, database)
        if self.rng.random() < 0.2:
            self._again(scenario, server, database)

    def _start(self, wrapper=()):
        # LeakSanitizer does not work under strace.
        env = {"ASAN_OPTIONS": "detect_leaks=0"} if wrapper else None
        return self.start_load(self.to, self.seconds_of_load, *self.flags, wrapper=wrapper, env=env,
                               resume=self.may_resume())

    def _attempt(self):
        """Starts the load and waits for a moment. Returns (run, what moment it is); (None, "") if the kill has been."""
        choice = self.rng.random()
        length = self.seconds_of_load + 0.2
        if choice < 0.10:
            run, what = self._start(), "in the first moments"
            run.sleep_or_end(self.rng.uniform(0.0, 0.08))
        elif choice < 0.45:
            run, what = self._start(), "anywhere"
            run.sleep_or_end(self.rng.uniform(0.0, length))
        elif choice < 0.55:
            run, what = self._start(), "near the end"
            run.sleep_or_end(self.rng.uniform(0.9 * self.seconds_of_load, 1.2 * length))
        elif choice < 0.75:
            run, what = self._start(), "as the journal changed"
            self._wait_for_change(run, self.journal_path, self.rng.randrange(1, 5))
        elif choice < 0.85:
            run, what = self._start(), "as the rejects changed"
            self._wait_for_change(run, self.rejects_path, self.rng.randrange(1, 4))
        else:
            return self._kill_at_call()
        return run, what

    def _wait_for_change(self, run, path, changes):
        """Until files at `path` changed so often, and a moment more."""
        seen = trace_of(path)
        while changes > 0 and not run.sleep_or_end(0.001):
            now = trace_of(path)
            changes -= now != seen
            seen = now
        run.sleep_or_end(self.rng.uniform(0.0, 0.004))

    def _kill_at_call(self):
        """Killed by the kernel right at a system call, the n-th of a thread."""
        if not can_trace():
            run = self._start()
            run.sleep_or_end(self.rng.uniform(0.0, self.seconds_of_load))
            return run, "anywhere"
        call = self.rng.choice(sorted(CALLS))
        number = self.rng.randrange(1, CALLS[call] + 1)
        run = self._start(("strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e",
                           f"inject={call}:signal=KILL:when={number}"))
        run.finish()
        if run.process.returncode != -signal.SIGKILL:
            self.say(f"ended before {call} number {number}")
            return run, ""
        self.say(f"killed at {call} number {number}")
        self.did("at a system call")
        return None, ""

    def _again(self, scenario, server, database):
        """A finished load that is started again says so and changes nothing."""
        run = self.start_load(self.to, self.seconds_of_load, *self.flags, resume=True)
        report = self.directory / "report.json"
        status = run.finish()
        if status != 0:
            self.expect_status(run, status, scenario.truth.status)
        if report.exists() and self.report()["total"]["not_done"]:
            raise Problem("ledger", "a finished load that is started again has rows to do")
        self.check_rows(server, database)


def trace_of(path):
    """What changes when files change: sizes, times, names."""
    try:
        if path.is_dir():
            return tuple((e.name, e.stat().st_size, e.stat().st_mtime_ns) for e in sorted(os.scandir(path), key=str))
        about = path.stat()
        return about.st_size, about.st_mtime_ns
    except OSError:
        return None


_can_trace = None


def can_trace():
    """Whether strace is there and may watch programs."""
    global _can_trace
    if _can_trace is None:
        _can_trace = False
        if shutil.which("strace"):
            begun = time.monotonic()
            done = subprocess.run(["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e",
                                   "trace=write", "-e", "inject=write:signal=KILL:when=1", "echo", "x"],
                                  env=clean_environment(), capture_output=True, check=False)
            _can_trace = done.returncode == -signal.SIGKILL and time.monotonic() - begun < 10
    return _can_trace
