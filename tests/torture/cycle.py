"""One cycle: a load that is disturbed, and the look afterwards whether anything is missing."""

import collections
import json
import random
import shutil
import time
import traceback

from . import oracle
from .world import Problem, Run, Skipped


class Cycle:
    """Made from a seed: which input, which flags, which disturbances at which moments."""

    kind = ""
    # Inputs that this kind of disturbance may use; None: all.
    inputs = None

    def __init__(self, house, seed):
        self.house, self.settings, self.seed = house, house.settings, seed
        self.rng = random.Random(f"{self.kind} {seed}")
        self.directory = self.settings.work / f"{self.kind}-{seed}"
        self.disturbances = collections.Counter()
        self.difference = oracle.Difference()
        self.rejects_again = self.hangs = self.retries = self.reconnects = 0
        self.problem = None
        self.skipped = None
        self.begun = time.monotonic()
        self.seconds = 0.0
        self._events = []
        self._not_begun = False
        self._open = []
        self.scenario = self.attempt_number = None
        # Where journal and rejects go, as the loader is told and as they are seen from here.
        self.journal_flag, self.journal_path = "journal.db", self.directory / "journal.db"
        self.rejects_flag, self.rejects_path = "rejects/", self.directory / "rejects"

    # --- for kinds ---

    def disturb(self):
        """Loads, disturbs, and looks. Raises Problem."""
        raise NotImplementedError

    def say(self, text):
        self._events.append(f"{time.monotonic() - self.begun:8.3f}  {text}")

    def did(self, what, count=1):
        self.disturbances[what] += count

    def keep(self, thing):
        """Something to close at the end of the cycle."""
        self._open.append(thing)
        return thing

    def choose_input(self):
        self.scenario = self.house.scenario(self.rng, self.inputs)
        self.scenario.copy_to(self.directory)
        self.attempt_number = 0
        self.say(f"input {self.scenario.name}: {self.scenario.files}")
        return self.scenario

    def start_load(self, to, seconds, *flags, resume=False, wrapper=(), env=None):
        """Starts the next attempt of the load, which takes about `seconds` where nobody disturbs it."""
        self.attempt_number += 1
        self.report_path.unlink(missing_ok=True)
        command = [*wrapper, self.settings.program, "load", *self.scenario.files,
                   *self.scenario.load_flags(seconds), "--to", to, "--create-database", "--rejects", self.rejects_flag,
                   "--report", self.report_path.name, *flags]
        if "--journal" in self.settings.help_of("load") and "--journal" not in flags:
            command += ["--journal", self.journal_flag]
        if resume:
            command.append("--resume")
        run = Run(self.settings, command, self.directory, f"load-{self.attempt_number}",
                  env={"XDG_STATE_HOME": self.directory / "state", **(env or {})})
        self._open.append(Closing(run))
        self.say(f"attempt {self.attempt_number}{' --resume' if resume else ''}")
        return run

    def may_resume(self):
        """Whether the next attempt is one with --resume: there is a journal, and not one that holds nothing yet."""
        begun, self._not_begun = not self._not_begun, False
        return begun and self.journal_path.exists()

    def not_begun(self, run):
        """Whether --resume was refused because the attempt before ended before its load began."""
        self._not_begun = (run.finish() == 2 and "--resume" in run.command
                           and "load without --resume" in "".join(run.texts()))
        if self._not_begun:
            self.say("there was nothing to go on from yet")
        return self._not_begun

    @property
    def report_path(self):
        return self.directory / "report.json"

    def report(self):
        return json.loads(self.report_path.read_text())

    def written_so_far(self):
        """Rows that the report of an attempt tells as written; 0 without a report."""
        try:
            return self.report()["total"]["written"]
        except (OSError, ValueError):
            return 0

    def expect_status(self, run, status, wanted):
        self.say(f"attempt {self.attempt_number} ended with {status}")
        if status != wanted:
            out, err = run.texts()
            raise Problem("status", f"attempt {self.attempt_number} ended with {status} instead of {wanted}: "
                                    f"{(out + err)[-1200:]}")

    def check(self, server, database):
        """Compares everything with the truth; `difference` is what differs."""
        truth = self.scenario.truth
        requests = self.report().get("requests", {})
        self.retries, self.reconnects = requests.get("retries", 0), requests.get("reconnects", 0)
        problems = []
        for look in (lambda: oracle.check_ledger(self.report(), truth), self.check_rejects):
            try:
                look()
            except Problem as problem:
                problems.append(problem)
        try:
            self.check_rows(server, database)
        except Problem as problem:
            problems.insert(0, problem)
        if problems:
            raise Problem(problems[0].kind, " | ".join(str(problem) for problem in problems))

    def check_rows(self, server, database):
        truth = self.scenario.truth
        self.difference = oracle.compare(truth.tables, oracle.snapshot(server, database, self.scenario.key))
        if self.difference.notes:
            raise Problem("rows", "; ".join(self.difference.notes))

    def check_rejects(self):
        self.rejects_again = oracle.check_rejects(self.rejects_path, self.scenario.truth)

    # --- for the run ---

    def run(self):
        self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self.disturb()
        except Skipped as skipped:
            self.skipped = str(skipped)
        except Problem as problem:
            self.problem = str(problem)
            self.hangs += problem.kind == "hang"
        except Exception:  # a defect of the tests is a failure of the cycle, not the end of the run
            self.problem = "the test itself: " + traceback.format_exc(limit=-3)
        finally:
            for thing in reversed(self._open):
                thing.close()
        self.seconds = time.monotonic() - self.begun
        if self.problem:
            self.say(self.problem)
            (self.directory / "events.txt").write_text("\n".join(self._events) + "\n")
        else:
            shutil.rmtree(self.directory, ignore_errors=True)
        return self


class Closing:
    """Ends a program that still runs when its cycle is over."""

    def __init__(self, run):
        self._run = run

    def close(self):
        self._run.kill()
