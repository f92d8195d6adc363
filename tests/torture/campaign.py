"""Runs cycles until there were enough disturbances of a kind, and tells what came out as JSON."""

import collections
import json
import pathlib
import shutil
import sys
import tempfile
import threading
import time

from . import disks, faults, kills, restarts, rotations
from .inputs import Makers, scenarios
from .world import Problem, Server, Skipped, Settings

KINDS = {cycle.kind: cycle for cycle in (kills.Kills, faults.Faults, faults.Failover, restarts.Restarts,
                                          disks.Disks, disks.Clocks, rotations.Rotations)}


class House:
    """What the cycles share: settings, inputs with their truth, and a sandbox for each thread."""

    def __init__(self, settings, only=None):
        self.settings = settings
        self.makers = Makers(settings)
        self.scenarios = {k: v for k, v in scenarios().items() if only is None or k in only}
        self._threads = threading.local()
        self._servers = []
        self._lock = threading.Lock()

    def scenario(self, rng, names=None):
        """One of the inputs, ready."""
        choice = [s for name, s in self.scenarios.items() if names is None or name in names]
        if not choice:
            raise Skipped("none of the chosen inputs is for this kind")
        return rng.choice(choice).prepare(self.makers)

    def shared_server(self):
        """The sandbox of this thread, with many databases; made anew when a cycle left it broken."""
        server = getattr(self._threads, "server", None)
        if server is None:
            with self._lock:
                number = len(self._servers)
            server = self._threads.server = Server(self.settings, self.settings.work / f"shared-{number}")
            with self._lock:
                self._servers.append(server)
        return server

    def close(self):
        for server in self._servers:
            server.close()
        self.makers.close()
        self.settings.close()


class Tally:
    """What came out for one kind."""

    def __init__(self, kind):
        self.kind, self.cycles, self.seconds, self.skipped = kind, 0, 0.0, None
        self.disturbances, self.skips = collections.Counter(), collections.Counter()
        self.expected = self.lost = self.doubled = self.different = self.rejects_again = self.hangs = 0
        self.retries = self.reconnects = 0
        self.failed = []

    def add(self, cycle, reproduce):
        if cycle.skipped:
            self.skips[cycle.skipped] += 1
            return
        self.cycles += 1
        self.disturbances += cycle.disturbances
        for member in ("expected", "lost", "doubled", "different"):
            setattr(self, member, getattr(self, member) + getattr(cycle.difference, member))
        for member in ("rejects_again", "hangs", "retries", "reconnects"):
            setattr(self, member, getattr(self, member) + getattr(cycle, member))
        if cycle.problem:
            self.failed.append({"seed": cycle.seed, "why": cycle.problem, "reproduce": reproduce,
                                "kept": str(cycle.directory)})

    def count(self):
        return sum(self.disturbances.values())

    def as_json(self):
        answer = {"disturbances": self.count(), "by": dict(sorted(self.disturbances.items())), "cycles": self.cycles,
                  "rows": {"expected": self.expected, "lost": self.lost, "doubled": self.doubled,
                           "different": self.different},
                  "rejects_told_again": self.rejects_again, "hangs": self.hangs, "retries": self.retries,
                  "reconnects": self.reconnects, "failed": self.failed, "seconds": round(self.seconds, 1)}
        if self.skips:
            answer["skipped"] = dict(self.skips)
        return answer


def run_kind(house, kind, count, first_seed, jobs, keep_going, reproduce, tell):
    """Cycles with the seeds first_seed, first_seed + 1, … until `count` disturbances happened."""
    tally, lock = Tally(kind), threading.Lock()
    begun, state = time.monotonic(), {"next": first_seed, "stop": False}

    def work():
        while True:
            with lock:
                if state["stop"] or tally.count() >= count:
                    return
                seed = state["next"]
                state["next"] += 1
            cycle = KINDS[kind](house, seed).run()
            with lock:
                tally.add(cycle, reproduce(kind, seed))
                # A machine that cannot do it will not be able with the next seed either, and where nothing works
                # nothing is found by going on.
                state["stop"] |= bool(cycle.problem) and not keep_going or sum(tally.skips.values()) >= 3
                state["stop"] |= len(tally.failed) >= 20 and 2 * len(tally.failed) > tally.cycles
                tell(tally, cycle)

    # Daemons: when this is interrupted, House.close() ends what they started, and nobody waits for them.
    threads = [threading.Thread(target=work, daemon=True) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.seconds = time.monotonic() - begun
    return tally


def run_campaign(arguments, out=sys.stderr):
    """All kinds asked for; the answer is what `--json` writes."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="penstock-torture-", dir=arguments.work))
    settings = Settings(arguments.program, arguments.generate, work, arguments.patience, arguments.sanitized)
    begun = time.monotonic()
    tallies = {}

    def reproduce(kind, seed):
        only = f" --inputs {','.join(arguments.inputs)}" if arguments.inputs else ""
        return f"tools/torture --program {arguments.program} --kind {kind} --seed {seed} --count 1{only}"

    def tell(tally, cycle):
        if cycle.problem:
            print(f"{tally.kind} seed {cycle.seed} FAILED: {cycle.problem[:2000]}\n"
                  f"  {reproduce(tally.kind, cycle.seed)}", file=out, flush=True)
        elif arguments.verbose:
            print(f"{tally.kind} seed {cycle.seed}: {dict(cycle.disturbances)} {cycle.seconds:.1f} s, "
                  f"{tally.count()} so far", file=out, flush=True)

    house = House(settings, arguments.inputs)
    try:
        for kind in arguments.kinds:
            tally = tallies[kind] = run_kind(house, kind, arguments.count, arguments.seed, arguments.jobs,
                                             arguments.keep_going, reproduce, tell)
            skipped = f", skipped: {'; '.join(tally.skips)}" if tally.skips else ""
            print(f"{kind}: {tally.count()} disturbances in {tally.cycles} cycles, {tally.expected} rows expected, "
                  f"{tally.lost} lost, {tally.doubled} doubled, {tally.different} different, {tally.hangs} hangs, "
                  f"{len(tally.failed)} failed seeds, {tally.seconds:.0f} s{skipped}", file=out, flush=True)
    finally:
        house.close()
    kinds = {kind: tally.as_json() for kind, tally in tallies.items()}
    total = {"disturbances": sum(tally.count() for tally in tallies.values())}
    for member in ("expected", "lost", "doubled", "different", "hangs"):
        total[member] = sum(getattr(tally, member) for tally in tallies.values())
    total["failed_seeds"] = sum(len(tally.failed) for tally in tallies.values())
    result = {"program": settings.version(), "seed": arguments.seed, "jobs": arguments.jobs, "total": total,
              "kinds": kinds, "seconds": round(time.monotonic() - begun, 1)}
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(result, indent=2) + "\n")
    if total["failed_seeds"] == 0:
        shutil.rmtree(work, ignore_errors=True)
    else:
        print(f"what failed is kept in {work}", file=out)
    return result


__all__ = ["KINDS", "House", "Problem", "run_campaign", "run_kind"]
