"""Disks that are full: the file system of the journal, or of the rejects, has no room left under a load."""

import contextlib
import os
import pathlib
import re
import subprocess
import time

from .cycle import Cycle
from .world import Problem, Skipped, clean_environment


class SmallDisk:
    """A tmpfs of a few MiB, in a mount namespace of its own that ends with the process that holds it."""

    def __init__(self, place, size_kib):
        place.mkdir(parents=True, exist_ok=True)
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            ["unshare", "--mount", *user, "sh", "-c",
             f"mount -t tmpfs -o size={size_kib}k,mode=0700 none '{place}' && echo mounted && exec sleep 3600"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=clean_environment())
        if self._holder.stdout.readline() != b"mounted\n":
            reason = self._holder.stderr.read().decode(errors="replace").strip()
            self.close()
            raise Skipped(f"no small disk can be made here: {reason}")
        # A program starts inside through `wrapper`; from here the disk is seen at `path`.
        self.path = pathlib.Path(f"/proc/{self._holder.pid}/root{place}")
        enter = ["--user", "--preserve-credentials"] if user else []
        self.wrapper = ["nsenter", "--target", str(self._holder.pid), "--mount", *enter, "sh", "-c",
                        'cd "$0" && exec "$@"', str(place.parent)]

    def fill(self, but_bytes=0):
        """Leaves no more room than that."""
        step = 1 << 16
        with open(self.path / "filler", "ab", buffering=0) as filler:
            while step >= 512:
                about = os.statvfs(self.path)
                if about.f_bavail * about.f_frsize - step < but_bytes:
                    step //= 2
                    continue
                try:
                    filler.write(b"\0" * step)
                except OSError:
                    step //= 2

    def make_room(self):
        (self.path / "filler").unlink()

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            self._holder.kill()
        self._holder.wait()
        self._holder.stdout.close()
        self._holder.stderr.close()


class Disks(Cycle):
    kind = "disks"

    def disturb(self):
        self.settings.need("load", "--resume", "--journal")
        what = self.rng.choice(("journal", "rejects"))
        self.inputs = ["line", "csv", "json", "line_growing", "telnet", "line_several"]
        scenario = self.choose_input()
        server = self.house.shared_server()
        database = f"disks_{self.seed}"
        disk = self.keep(SmallDisk(self.directory / "small", 8192))
        if what == "journal":
            self.journal_flag, self.journal_path = "small/journal.db", disk.path / "journal.db"
        else:
            self.rejects_flag, self.rejects_path = "small/rejects/", disk.path / "rejects"
        flags = ("--lanes", "2", "--retry-for", "40s")
        seconds = self.rng.uniform(1.2, 2.6)
        # From the start, or suddenly; sometimes a few blocks are left.
        room, early = self.rng.choice((0, 0, 4096, 20_000, 70_000)), self.rng.random() < 0.25
        if early:
            disk.fill(room)
        run = self.start_load(server.dsn(database), seconds, *flags, wrapper=disk.wrapper)
        if not early:
            run.sleep_or_end(self.rng.uniform(0.05, seconds))
            disk.fill(room)
        self.say(f"no room for the {what}, but {room} bytes")
        status = run.finish()
        out, err = run.texts()
        self.say(f"status {status}")
        if status == 3:
            self.did(f"no room for the {what}")
            if not re.search(r"no space left|disk|free|room", out + err, re.IGNORECASE):
                raise Problem("status", f"the message does not tell that the disk is full: {(out + err)[-800:]}")
            if what not in out + err:
                raise Problem("status", f"the message does not name the {what}: {(out + err)[-800:]}")
        elif status != scenario.truth.status:
            self.expect_status(run, status, 3)
        disk.make_room()
        if status == 3:
            run = self._go_on(server.dsn(database), seconds, flags, disk)
            if self.not_begun(run):
                run = self._go_on(server.dsn(database), seconds, flags, disk)
            self.expect_status(run, run.finish(), scenario.truth.status)
        self.check(server, database)

    def _go_on(self, to, seconds, flags, disk):
        return self.start_load(to, seconds, *flags, wrapper=disk.wrapper, resume=self.may_resume())


class Clocks(Cycle):
    """The wall clock of the loader jumps by hours, forth and back, while its monotonic clock goes on."""

    kind = "clocks"

    def disturb(self):
        if self.settings.sanitized:
            raise Skipped("libfaketime and AddressSanitizer do not get on")
        library = next(iter(sorted(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
        if library is None:
            raise Skipped("there is no libfaketime")
        scenario = self.choose_input()
        server = self.house.shared_server()
        database = f"clocks_{self.seed}"
        clock = self.directory / "clock"
        env = {"LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": clock, "FAKETIME_NO_CACHE": 1, "NO_FAKE_STAT": 1,
               "FAKETIME_DONT_FAKE_MONOTONIC": 1, "DONT_FAKE_MONOTONIC": 1}
        self._set(clock, 0)
        may_resume = "--resume" in self.settings.help_of("load")
        seconds = self.rng.uniform(0.8, 2.0)
        flags = ("--lanes", str(self.rng.randrange(1, 4)), "--retry-for", "40s", "--request-timeout", "5s")

        def start():
            return self.start_load(server.dsn(database), seconds, *flags, env=env,
                                   resume=may_resume and self.may_resume())

        run, begun = start(), time.monotonic()
        while not run.sleep_or_end(self.rng.uniform(0.02, 0.35)):
            hours = self.rng.choice((-30, -5, -1, 1, 3, 26)) * self.rng.random()
            self._set(clock, hours)
            self.say(f"the clock is {hours:+.2f} hours off")
            self.did("back" if hours < 0 else "forth")
            if may_resume and self.rng.random() < 0.1:
                run.kill()
                self.did("killed between two jumps")
                run = start()
            if time.monotonic() - begun > self.settings.patience:
                raise Problem("hang", "the load does not end while the clock jumps")
        while self.not_begun(run):
            run = start()
        self.expect_status(run, run.finish(), scenario.truth.status)
        self.check(server, database)

    @staticmethod
    def _set(clock, hours):
        """At once: a loader that reads half of it would see another jump."""
        fresh = clock.with_suffix(".new")
        fresh.write_text(f"{hours * 3600:+.0f}s\n")
        fresh.rename(clock)
