"""Servers that die and come back, or stop answering for a while, under a load that has to ride it out."""

import signal
import time

from .cycle import Cycle
from .proxy import Proxy
from .world import Problem, Server


class Restarts(Cycle):
    kind = "restarts"

    def disturb(self):
        scenario = self.choose_input()
        server = self.keep(Server(self.settings, self.directory / "server"))
        database = "restarts"
        # Only counts bytes, and tells so when the load is past its look at the target.
        proxy = self.keep(Proxy(server.port))
        run = self.start_load(server.dsn(database, proxy.port), self.rng.uniform(0.8, 2.0), "--retry-for", "60s",
                              "--request-timeout", "2s", "--lanes", str(self.rng.randrange(1, 4)))
        end = time.monotonic() + self.settings.patience
        while proxy.up_bytes < 15_000 and not run.sleep_or_end(0.01):
            if time.monotonic() > end:
                raise Problem("hang", "the load does not begin")
        for _ in range(self.rng.randrange(2, 7)):
            if run.sleep_or_end(self.rng.uniform(0.02, 0.5)):
                break
            choice = self.rng.random()
            if choice < 0.65:
                server.kill()
                what = "kill -9"
            elif choice < 0.85:
                server.stop()
                what = "SIGTERM"
            else:
                frozen = self.rng.uniform(0.1, 3.2)
                self.say(f"server stands still for {frozen:.2f} s")
                server.signal(signal.SIGSTOP)
                run.sleep_or_end(frozen)
                server.signal(signal.SIGCONT)
                self.did("frozen")
                continue
            away = self.rng.choice((0.0, 0.0, self.rng.uniform(0.0, 1.2)))
            self.say(f"server ended by {what}, away for {away:.2f} s")
            time.sleep(away)
            server.start()
            self.did(what)
        self.expect_status(run, run.finish(), scenario.truth.status)
        self.check(server, database)
