"""Networks that fail, between a loader and a server that is well: one path, or two of which one dies in turn."""

import time

from .cycle import Cycle
from .proxy import DOWN, UP, Fault, Proxy
from .world import Problem

# What may happen, how often, for how many seconds at most, and whether to one direction or to both. Nothing is still
# for longer than the request time-out and the time that a lane then waits (2 s and 2 s): what arrives later than that
# may overtake, as docs/acknowledged.md says.
KINDS = (
    ("cut", 14, 0, False),
    ("reset", 14, 0, False),
    ("stall", 10, 3.4, True),
    ("half-open", 6, 0, True),
    ("delay", 6, 0.6, True),
    ("throttle", 6, 0.6, True),
    ("split", 8, 0.4, True),
    ("corrupt reserved", 6, 0, False),
    ("corrupt opcode", 6, 0, False),
    ("corrupt mask", 6, 0, False),
    ("corrupt upgrade status", 3, 0, False),
    ("corrupt upgrade accept", 3, 0, False),
    ("refuse", 5, 1.0, False),
    ("close", 4, 0.6, False),
    ("busy", 4, 1.2, False),
    ("bad gateway", 3, 0.8, False),
    ("silence", 2, 1.5, False),
)

REQUEST_TIMEOUT = "2s"


def random_faults(rng, count, total_bytes):
    """So many faults, spread over the bytes of a load."""
    faults = []
    for _ in range(count):
        kind, _, seconds, ways = rng.choices(KINDS, [weight for _, weight, _, _ in KINDS])[0]
        direction = rng.choice((UP, DOWN, "both") if ways else (UP, DOWN))
        # Some in the first bytes: logins, statements, what is asked before the first row.
        at = rng.randrange(6000) if rng.random() < 0.08 else rng.randrange(int(total_bytes * 0.97))
        faults.append(Fault(kind, at, rng.uniform(0.05, seconds) if seconds else 0.0, direction,
                            rng.choice(("one", "one", "all"))))
    return faults


class Faults(Cycle):
    kind = "faults"

    def disturb(self):
        scenario = self.choose_input()
        truth = scenario.truth
        server = self.house.shared_server()
        database = f"faults_{self.seed}"
        faults = random_faults(self.rng, self.rng.randrange(2, 7), truth.up_bytes + truth.down_bytes)
        proxy = self.keep(Proxy(server.port, faults))
        seconds = self.rng.uniform(0.3, 0.8)
        for fault in proxy.faults:
            self.say(f"planned: {fault}")
        for _ in range(2 + 2 * len(faults)):
            run = self.start_load(server.dsn(database, proxy.port), seconds, "--request-timeout", REQUEST_TIMEOUT,
                                  "--retry-for", "40s", "--lanes", str(self.rng.randrange(1, 4)),
                                  resume=self.may_resume())
            status = run.finish()
            if self.not_begun(run):
                continue
            # Before its first row a loader gives up on a server that it cannot reach, as its users want.
            if status in (2, 3) and self.written_so_far() == 0 and proxy.fired():
                self.say(f"attempt {self.attempt_number} ended with {status} before its first row")
                time.sleep(max(0.0, proxy.busy_until() - time.monotonic()))
                continue
            break
        for fault in proxy.events:
            self.say(f"fired at {fault.fired - self.begun:.3f}: {fault}")
            self.did(fault.kind)
        self.expect_status(run, status, truth.status)
        self.check(server, database)


class Failover(Cycle):
    """Two ways to one server, of which one dies in turn."""

    kind = "failover"

    def disturb(self):
        scenario = self.choose_input()
        server = self.house.shared_server()
        database = f"failover_{self.seed}"
        ways = [self.keep(Proxy(server.port)) for _ in range(2)]
        hosts = ",".join(f"127.0.0.1:{way.port}" for way in ways)
        seconds = self.rng.uniform(1.0, 2.0)
        run = self.start_load(f"ws://{hosts}/{database}", seconds, "--request-timeout", REQUEST_TIMEOUT,
                              "--retry-for", "40s", "--lanes", str(self.rng.randrange(1, 4)))
        turn, deaths = self.rng.randrange(2), self.rng.randrange(4, 13)
        self._wait_for_rows(run, ways)
        while not run.sleep_or_end(self.rng.uniform(0.05, 0.4)):
            # Both may be away for a moment, never for long.
            dies, lives = ways[turn], ways[1 - turn]
            dies.go_down(reset=self.rng.random() < 0.5)
            self.did("endpoint died")
            self.say(f"endpoint {turn} died")
            if run.sleep_or_end(self.rng.uniform(0.0, 0.5)):
                break
            if lives.down:
                lives.come_up()
            turn = 1 - turn
            if sum(self.disturbances.values()) >= deaths:
                break
        for way in ways:
            if way.down:
                way.come_up()
        self.expect_status(run, run.finish(), scenario.truth.status)
        self.check(server, database)

    def _wait_for_rows(self, run, ways):
        """Until the load is past its look at the target."""
        end = time.monotonic() + self.settings.patience
        while sum(way.up_bytes for way in ways) < 20_000 and not run.sleep_or_end(0.01):
            if time.monotonic() > end:
                raise Problem("hang", "the load does not begin")
