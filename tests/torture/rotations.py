"""`penstock tail` behind writers whose files a real logrotate rotates, while tail is killed and started again."""

import collections
import os
import random
import shutil
import signal
import subprocess
import threading
import time

from .cycle import Closing, Cycle
from .inputs import T0_NS
from .world import Problem, Run, Skipped, clean_environment

LOGROTATE = shutil.which("logrotate") or shutil.which("logrotate", path="/usr/sbin:/sbin")

# How logrotate renames, compresses and truncates, and what a writer must heed that no line is lost by itself: "pause"
# while logrotate runs, or "reopen" some time after it.
STYLES = {
    "numbered": ("create", "nocompress", "reopen"),
    "numbered, compressed later": ("create\ncompress\ndelaycompress", "", "reopen"),
    "numbered, compressed": ("create\ncompress", "", "pause"),
    "dated": ("create\ndateext\ndateformat -%Y%m%d-%s", "", "reopen"),
    "dated, compressed": ("nocreate\ndateext\ndateformat -%Y%m%d-%s\ncompress", "", "pause"),
    "dated, zstd later": ("create\ndateext\ndateformat .%s\ncompress\ndelaycompress\ncompresscmd zstd\n"
                          "compressext .zst\ncompressoptions -q --rm", "", "reopen"),
    "kept extension": ("create\nextension .log", "", "reopen"),
    "no new file": ("nocreate", "", "reopen"),
    "copied and truncated": ("copytruncate", "", "pause"),
    "copied, truncated, compressed": ("copytruncate\ncompress", "", "pause"),
    "copied, truncated, compressed later": ("copytruncate\ncompress\ndelaycompress", "", "pause"),
    "copied, truncated, dated": ("copytruncate\ndateext\ndateformat -%Y%m%d-%s", "", "pause"),
}


class Writer(threading.Thread):
    """Appends lines to one file, in bursts and sometimes half a line at a time, as a program does that logs."""

    def __init__(self, path, number, seed, timeless):
        super().__init__(daemon=True)
        self.path, self.number, self.timeless = path, number, timeless
        self.rng = random.Random(seed)
        self.written = 0
        self.pause = threading.Lock()  # held: no line is half written, none is begun
        self.stopping = threading.Event()
        self._open()

    def _open(self):
        self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        self._inode = os.fstat(self._file).st_ino

    def moved(self):
        """Whether its name stands for another file by now."""
        try:
            return os.stat(self.path).st_ino != self._inode
        except FileNotFoundError:
            return True

    def reopen(self):
        os.close(self._file)
        self._open()

    def line(self, index):
        time_text = "" if self.timeless else f" {T0_NS + index * 10**6}"
        return f'log,file=f{self.number},part=p{index % 3} n={index}i,text="{text_of(self.number, index)}"{time_text}\n'

    def run(self):
        while not self.stopping.is_set():
            with self.pause:
                if self.rng.random() < 0.15 and self.moved():
                    self.reopen()
                for _ in range(self.rng.randrange(1, 40)):
                    self._write_line()
            self.stopping.wait(self.rng.choice((0.001, 0.01, 0.05, 0.15)))
        with self.pause:
            os.close(self._file)

    def _write_line(self):
        data = self.line(self.written).encode()
        if self.rng.random() < 0.02:
            half = self.rng.randrange(1, len(data))
            os.write(self._file, data[:half])
            time.sleep(self.rng.uniform(0.0, 0.03))
            data = data[half:]
        os.write(self._file, data)
        self.written += 1


def text_of(number, index):
    return f"{number}-{index}-" + "x" * (index * 7 % 50)


class Rotations(Cycle):
    kind = "rotations"

    def disturb(self):
        if not LOGROTATE:
            raise Skipped("there is no logrotate")
        self.settings.need("tail", "--journal")
        style = self.rng.choice(sorted(STYLES))
        if "zstd" in style and not shutil.which("zstd"):
            raise Skipped("there is no zstd")
        self.say(f"style: {style}")
        self._prepare(style)
        server = self.house.shared_server()
        self.to = server.dsn(f"rotations_{self.seed}")
        self.tails = 0
        timeless = self.rng.random() < 0.25
        writers = [Writer(self.logs / f"app{k}.log", k, f"{self.seed} {k}", timeless)
                   for k in range(self.rng.randrange(1, 4))]
        for writer in writers:
            writer.start()
        try:
            tail = self._start_tail()
            # What was rotated away before tail ever looked is none of its business.
            self._wait_for_start(tail)
            for _ in range(self.rng.randrange(4, 13)):
                if not tail.sleep_or_end(self.rng.uniform(0.02, 0.7)):
                    tail = self._rotate_and_kill(tail, writers)
                if tail.ended():
                    self.expect_status(tail, tail.finish(), "none: it should go on")
        finally:
            for writer in writers:
                writer.stopping.set()
            for writer in writers:
                writer.join()
        self._wait_until_all_is_there(tail, server, writers)
        tail.signal(signal.SIGTERM)
        self.attempt_number = self.tails
        self.expect_status(tail, tail.finish(30), 0)
        self._look(server, writers)

    def _prepare(self, style):
        self.logs = self.directory / "logs"
        self.logs.mkdir()
        options, more, self.heed = STYLES[style]
        self.slow = "dateext" in options
        self.last_rotation = 0.0
        (self.directory / "logrotate.conf").write_text(
            f'"{self.logs}/app?.log" {{\nrotate 10000\nmissingok\n{options}\n{more}\n'
            + ("notifempty\n" if self.rng.random() < 0.5 else "ifempty\n") + "}\n")
        os.chmod(self.directory / "logrotate.conf", 0o644)
        # What tail is told; the rotated names match the pattern in one style only.
        self.tail_flags = ["--format", "line", "--finish-after", self.rng.choice(("300ms", "2s")), "--linger", "50ms",
                           "--lanes", str(self.rng.randrange(1, 3)), "--max-open-files",
                           str(self.rng.choice((2, 8, 128)))]
        if self.rng.random() < 0.25:
            self.tail_flags += ["--no-inotify", "--poll", "100ms"]

    def _start_tail(self):
        self.tails += 1
        command = [self.settings.program, "tail", str(self.logs / "*.log"), "--to", self.to, "--create-database",
                   "--journal", "journal.db", "--rejects", "rejects/", *self.tail_flags]
        run = Run(self.settings, command, self.directory, f"tail-{self.tails}",
                  env={"XDG_STATE_HOME": self.directory / "state"})
        self.keep(Closing(run))
        self.say(f"tail {self.tails} started")
        return run

    def _wait_for_start(self, tail):
        end = time.monotonic() + self.settings.patience
        while "tail.started" not in tail.texts()[1] and not tail.sleep_or_end(0.01):
            if time.monotonic() > end:
                raise Problem("hang", "tail does not start")

    def _rotate_and_kill(self, tail, writers):
        """One rotation; tail may be ended before, within, or behind it, and is started again some time later."""
        moment = self.rng.choice(("never", "never", "before", "within", "behind"))
        hard = self.rng.random() < 0.75
        if moment == "before":
            self._end(tail, hard)
        rotation = self._begin_rotation(writers)
        if moment == "within":
            time.sleep(self.rng.uniform(0.0, 0.02))
            self._end(tail, hard)
        self._end_rotation(rotation, writers)
        if moment == "behind":
            tail.sleep_or_end(self.rng.uniform(0.0, 0.3))
            self._end(tail, hard)
        if moment != "never":
            # Sometimes more than one generation comes while nobody looks.
            while self.rng.random() < 0.3:
                time.sleep(self.rng.uniform(0.0, 0.3))
                self._end_rotation(self._begin_rotation(writers), writers)
            time.sleep(self.rng.choice((0.0, 0.1, 0.5)))
            tail = self._start_tail()
        return tail

    def _end(self, tail, hard):
        if hard:
            tail.kill()
            self.say("tail killed")
        else:
            tail.signal(signal.SIGTERM)
            self.attempt_number = self.tails
            status = tail.finish(30)
            # In its first moments nothing is there yet to drain.
            if status != -signal.SIGTERM or "tail.started" in tail.texts()[1]:
                self.expect_status(tail, status, 0)
        self.did("tail killed" if hard else "tail ended")

    def _begin_rotation(self, writers):
        # Dated names hold the second; and who reopens late must have left the file that is compressed next.
        if self.slow:
            time.sleep(max(0.0, self.last_rotation + 1.05 - time.time()))
        if self.heed == "pause":
            for writer in writers:
                writer.pause.acquire()
        else:
            for writer in writers:
                with writer.pause:
                    if writer.moved():
                        writer.reopen()
        self.last_rotation = time.time()
        return subprocess.Popen([LOGROTATE, "--force", "--state", self.directory / "logrotate.state",
                                 self.directory / "logrotate.conf"], env=clean_environment(), cwd=self.directory,
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    def _end_rotation(self, rotation, writers):
        try:
            _, error = rotation.communicate(timeout=60)
            if rotation.returncode != 0:
                raise RuntimeError(f"logrotate ended with {rotation.returncode}: {error.decode(errors='replace')}")
        finally:
            if self.heed == "pause":
                for writer in writers:
                    if writer.moved():
                        writer.reopen()
                    writer.pause.release()
        self.did("rotation")
        self.say(f"rotated; written so far: {[writer.written for writer in writers]}")

    def _wait_until_all_is_there(self, tail, server, writers):
        """Until the database has as many rows as were written, or nothing moves for some time."""
        wanted = sum(writer.written for writer in writers)
        last, since = -1, time.monotonic()
        while not tail.sleep_or_end(0.1):
            try:
                seen = server.sql("select count(*) from log", f"rotations_{self.seed}")[1][0][0]
            except (Problem, IndexError):
                seen = 0  # there is no table yet
            if seen >= wanted:
                tail.sleep_or_end(0.5)  # time for what might come twice
                return
            if seen != last:
                last, since = seen, time.monotonic()
            elif time.monotonic() - since > 20:
                return
        raise Problem("status", f"tail ended: {''.join(tail.texts())[-1500:]}")

    def _look(self, server, writers):
        """Every line stands in the database once, with its values."""
        names, rows = server.sql("select tbname, * from log", f"rotations_{self.seed}")
        at = {name: names.index(name) for name in names}
        seen = collections.Counter()
        found = self.difference
        for row in rows:
            number, index = int(row[at["file"]][1:]), row[at["n"]]
            seen[(number, index)] += 1
            if row[at["text"]] != text_of(number, index) or row[at["part"]] != f"p{index % 3}":
                found.different += 1
                found.note(f"different: {row}")
        wanted = {(writer.number, index) for writer in writers for index in range(writer.written)}
        found.expected = len(wanted)
        missing, extra = wanted - seen.keys(), seen.keys() - wanted
        found.lost = len(missing)
        found.doubled = len(extra) + sum(count - 1 for count in seen.values())
        if missing:
            found.note(f"lost {len(missing)}: {sorted(missing)[:3]} … {sorted(missing)[-1]}")
        if extra:
            found.note(f"never written: {sorted(extra)[:3]}")
        twice = sorted(key for key, count in seen.items() if count > 1)
        if twice:
            found.note(f"doubled {len(twice)}: {twice[:3]} … {twice[-1]}")
        if found.notes:
            listing = " ".join(sorted(path.name for path in self.logs.iterdir()))
            raise Problem("rows", "; ".join(found.notes) + f" (files: {listing[:600]})")
        rejected = [path for path in (self.directory / "rejects").rglob("*") if path.is_file()]
        if rejected:
            raise Problem("rejects", f"whole lines were rejected: {rejected[0].read_text(errors='replace')[:300]}")
