"""`penstock tail`: following files as a service does, through rotation, outages, signals and restarts."""

import gzip
import json
import os
import pathlib
import shutil
import signal
import time
import urllib.request

import support
from support import T0_NS

# The time a test waits for what should take a fraction of a second.
PATIENCE = 60


class Log:
    """A log that grows as those of applications do: numbered lines, each of which is one row."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.lines = 0

    def text(self, count):
        lines = "".join(f"m,host=h{n % 3} n={n}i {T0_NS + n * 10**6}\n" for n in range(self.lines, self.lines + count))
        self.lines += count
        return lines

    def append(self, count=1):
        with open(self.path, "a") as file:
            file.write(self.text(count))


class Tail(support.Case):
    def setUp(self):
        super().setUp()
        self.log = Log(self.dir / "app.log")
        self.state = self.dir / "state"

    def start_tail(self, *arguments, to=None, env=None, log_format="json"):
        return self.start("tail", *arguments, "--to", to or self.server.dsn(self.db), "--create-database", "--log-format",
                          log_format, "--lanes", "2", env={"XDG_STATE_HOME": self.state, **(env or {})})

    def follow(self, *arguments, **more):
        running = self.start_tail(*(arguments or (self.log.path, "--format", "line")), **more)
        self.wait_for_event(running, "tail.started")
        return running

    def events(self, running):
        """The complete lines of the log, each one JSON object."""
        text = running.so_far()[1]
        events = [json.loads(line) for line in text[:text.rfind("\n") + 1].splitlines()]
        for event in events:
            self.assertLessEqual({"time", "level", "code", "message"}, event.keys())
        return events

    def wait_for_event(self, running, code, times=1):
        running.wait_for(lambda _, err: err.count(f'"code":"{code}"') >= times, timeout=PATIENCE)

    def numbers(self, to=None, table="m"):
        """The numbers that stand in the table, each row once."""
        outcome = self.run_program("query", f"select n from `{table}` order by n", "--to", to or self.server.dsn(self.db),
                                   "--format", "csv")
        if outcome.status != 0:
            return []  # not made yet
        return [int(line) for line in outcome.out.split()[1:]]

    def wait_for_rows(self, running, wanted, **more):
        end = time.monotonic() + PATIENCE
        wanted = list(range(wanted)) if isinstance(wanted, int) else wanted
        while self.numbers(**more) != wanted:
            self.assertIsNone(running.process.poll(), running.so_far())
            self.assertLess(time.monotonic(), end, (self.numbers(**more)[-5:], running.so_far()))
            time.sleep(0.02)

    def stop(self, running, number=signal.SIGTERM, status=0):
        running.signal(number)
        outcome = running.finish()
        self.assertEqual(outcome.status, status, str(outcome))
        return outcome

    def stopped(self, outcome):
        return [json.loads(line) for line in outcome.err.splitlines() if '"tail.stopped"' in line][-1]

    # Following

    def test_lines_arrive_as_they_are_written(self):
        self.log.append(10)
        running = self.follow()
        self.wait_for_rows(running, 10)
        for _ in range(5):
            self.log.append(7)
            self.wait_for_rows(running, self.log.lines)
        stopped = self.stopped(self.stop(running))
        self.assertEqual([stopped[name] for name in ("read", "written", "rejected", "not_done")],
                         [self.log.lines, self.log.lines, 0, 0])

    def test_a_line_is_a_line_when_its_end_is_there(self):
        running = self.follow()
        self.wait_for_event(running, "tail.started")
        line = self.log.text(2)
        first = line.index("\n") + 1
        with open(self.log.path, "w", buffering=1) as file:
            file.write(line[:first + 9])
            file.flush()
            self.wait_for_rows(running, 1)
            file.write(line[first + 9:-3])
            file.flush()
            file.write(line[-3:])
        self.wait_for_rows(running, 2)
        self.stop(running)

    def test_patterns_and_files_that_appear_later(self):
        running = self.follow(self.dir / "logs" / "*.line", self.dir / "later.line")
        logs = [Log(self.dir / "logs" / f"{name}.line") for name in "abc"] + [Log(self.dir / "later.line")]
        (self.dir / "logs").mkdir()
        for number, log in enumerate(logs):
            log.lines = 1000 * number
            log.append(5)
        self.wait_for_rows(running, [1000 * k + n for k in range(4) for n in range(5)])
        self.stop(running)

    def test_from_the_end_only_what_comes(self):
        self.log.append(5)
        running = self.follow(self.log.path, "--from", "end")
        self.log.append(3)
        self.wait_for_rows(running, [5, 6, 7])
        self.stop(running)
        self.log.append(2)  # while nothing follows: that is not lost
        running = self.follow(self.log.path, "--from", "end")
        self.wait_for_rows(running, [5, 6, 7, 8, 9])
        self.stop(running)

    def test_csv_json_and_telnet(self):
        csv = self.file("csv/c.csv", "time,host,n\n")
        ndjson = self.file("o/o.ndjson", "")
        telnet = self.file("t/t.telnet", "")
        running = self.follow(csv, ndjson, telnet, "--tags", "host", "--timestamp", "time", "--child-table", "{host}")
        for n in range(3):
            with open(csv, "a") as file:
                file.write(f'{1700000000 + n},"a ""{n}""",{n}\n')
            with open(ndjson, "a") as file:
                file.write(json.dumps({"time": 1700000000 + n, "host": f"o{n}", "n": n}) + "\n")
            with open(telnet, "a") as file:
                file.write(f"t {1700000000 + n} {n} host=h\n")
        self.wait_for_rows(running, 3, table="c")
        self.wait_for_rows(running, 3, table="o")
        end = time.monotonic() + PATIENCE
        while self.query("select count(*) as n from t") != [{"n": 3}]:
            self.assertLess(time.monotonic(), end, running.so_far())
        self.stop(running)

    def test_bad_lines_cost_only_themselves(self):
        running = self.follow(self.log.path, "--format", "line", "--rejects", self.dir / "bad")
        self.log.append(2)
        with open(self.log.path, "a") as file:
            file.write("no line at all\n")
        self.log.append(2)
        self.wait_for_rows(running, 4)
        self.wait_for_event(running, "rows.rejected")
        stopped = self.stopped(self.stop(running))
        self.assertEqual(stopped["rejected"], 1)
        self.assertEqual((self.dir / "bad" / "app.log.rejects.line").read_text(), "no line at all\n")
        reason = json.loads((self.dir / "bad" / "app.log.rejects.line.reasons.jsonl").read_text())
        self.assertEqual(reason["line"], 3)

    # Rotation

    def test_renamed_and_made_anew(self):
        running = self.follow()
        self.log.append(1)
        self.wait_for_rows(running, 1)
        for turn in range(3):
            self.log.append(5)
            os.rename(self.log.path, self.dir / f"app.log.{turn + 1}")
            # What an application still writes into the old file.
            with open(self.dir / f"app.log.{turn + 1}", "a") as file:
                file.write(self.log.text(2))
        self.log.append(4)
        self.wait_for_rows(running, self.log.lines)
        self.stop(running)

    def test_copied_and_truncated(self):
        running = self.follow()
        self.log.append(1)
        self.wait_for_rows(running, 1)
        for turn in range(3):
            self.log.append(6)
            shutil.copyfile(self.log.path, self.dir / f"app.log.{turn + 1}")
            os.truncate(self.log.path, 0)
            self.log.append(1)
        self.wait_for_rows(running, self.log.lines)
        self.stop(running)

    def test_rotated_and_compressed_files_are_not_read_twice(self):
        running = self.follow(self.dir / "app.log*", "--format", "line")
        self.log.append(20)
        self.wait_for_rows(running, 20)
        old = self.dir / "app.log.1"
        os.rename(self.log.path, old)
        with gzip.open(self.dir / "app.log.1.gz", "wb") as file:
            file.write(old.read_bytes())
        old.unlink()
        self.log.append(5)
        self.wait_for_rows(running, 25)
        stopped = self.stopped(self.stop(running))
        self.assertEqual(stopped["read"], 25)

    # Stopping, crashing, going on

    def test_goes_on_where_it_was(self):
        self.log.append(10)
        running = self.follow()
        self.wait_for_rows(running, 10)
        self.stop(running)
        self.log.append(5)
        running = self.follow()
        self.wait_for_rows(running, 15)
        self.assertEqual(self.stopped(self.stop(running))["read"], 5)

    def test_goes_on_after_kill_9_and_rotations_meanwhile(self):
        running = self.follow()
        self.log.append(10)
        self.wait_for_rows(running, 10)
        self.log.append(3)
        running.signal(signal.SIGKILL)
        running.process.wait()
        for turn in (2, 1):
            self.log.append(4)
            os.rename(self.log.path, self.dir / f"app.log.{turn}")
        self.log.append(2)
        running = self.follow()
        self.wait_for_rows(running, self.log.lines)
        self.stop(running)

    def test_lines_without_a_time_are_the_same_rows_after_a_crash(self):
        path = self.file("plain.log", "")
        wanted = 0
        for turn in range(4):
            running = self.follow(path, "--format", "line")
            for read in range(30):
                with open(path, "a") as file:
                    for _ in range(5):
                        file.write(f"m,host=h n={wanted}i\n")
                        wanted += 1
                if read % 10 == 9:
                    self.wait_for_rows(running, wanted)
            running.signal(signal.SIGKILL)  # as a rule before the checkpoint that settles the last lines
            running.process.wait()
        running = self.follow(path, "--format", "line")
        self.wait_for_rows(running, wanted)
        self.stop(running)

    def test_a_second_tail_with_the_same_journal_is_refused(self):
        running = self.follow()
        outcome = self.start_tail(self.log.path, "--format", "line", log_format="text").finish()
        self.assertEqual(outcome.status, 2, str(outcome))
        self.assertIn(str(running.process.pid), outcome.err)
        self.stop(running)

    def test_interrupted_before_there_is_a_server(self):
        running = self.start_tail(self.log.path, to=f"ws://127.0.0.1:{support.free_port()}/db")
        self.wait_for_event(running, "target.note")
        self.stop(running)

    # Services

    def test_reads_its_configuration_again(self):
        other = Log(self.dir / "other.log")
        config = self.file("tail.toml", f'source = ["{self.log.path}"]\nformat = "line"\n')
        running = self.follow("--config", config)
        self.log.append(3)
        self.wait_for_rows(running, 3)
        config.write_text(f'source = ["{self.log.path}", "{other.path}"]\nformat = "line"\n')
        running.signal(signal.SIGHUP)
        self.wait_for_event(running, "tail.started", 2)
        other.lines = 3
        other.append(2)
        self.wait_for_rows(running, 5)
        config.write_text("sourcee = 3\n")
        running.signal(signal.SIGHUP)
        self.wait_for_event(running, "config.refused")
        self.wait_for_event(running, "tail.started", 3)
        other.append(1)
        self.wait_for_rows(running, 6)
        self.stop(running)

    def test_metrics_and_health(self):
        running = self.follow(self.log.path, "--format", "line", "--metrics-listen", "0")
        self.log.append(4)
        self.wait_for_rows(running, 4)
        place = next(event["message"] for event in self.events(running) if event["code"] == "metrics.listening")
        url = place.split("http://")[1].split("/")[0]
        with urllib.request.urlopen(f"http://{url}/metrics") as answer:
            text = answer.read().decode()
        self.assertIn("\npenstock_rows_written_total 4\n", text)
        self.assertIn(f'penstock_source_lag_bytes{{source="{self.log.path}"}} 0\n', text)
        with urllib.request.urlopen(f"http://{url}/healthz") as answer:
            self.assertEqual((answer.status, answer.read()), (200, b"ok\n"))
        self.stop(running)

    def test_wrong_flags_end_it_before_it_starts(self):
        for flags, part in ((("--poll", "soon"), "--poll"), (("--format", "influx-csv"), "influx-csv"),
                            (("--metrics-listen", "x:y"), "--metrics-listen"), (("--form", "line"), "--format")):
            with self.subTest(flags=flags):
                outcome = self.start_tail(self.log.path, *flags, log_format="text").finish()
                self.assertEqual(outcome.status, 2, str(outcome))
                self.assertIn(part, outcome.err)
        outcome = self.start_tail("-", log_format="text").finish()
        self.assertEqual(outcome.status, 2, str(outcome))


class TailOutages(support.Case):
    """The server comes late, goes, and comes back."""

    needs_server = False

    def setUp(self):
        super().setUp()
        self.port = support.free_port()
        self.log = Log(self.dir / "app.log")

    def serve(self):
        self.server = support.Sandbox(self.dir / "sandbox", port=self.port)
        self.addCleanup(self.server.stop)

    def test_a_server_that_comes_late_and_restarts(self):
        target = f"ws://127.0.0.1:{self.port}/db"
        running = self.start("tail", self.log.path, "--format", "line", "--to", target, "--create-database",
                             "--log-format", "json", "--request-timeout", "2s",
                             env={"XDG_STATE_HOME": self.dir / "state"})
        self.log.append(5)
        running.wait_for(lambda _, err: "waiting for the server" in err)
        self.serve()
        for _ in range(3):
            self.wait_for_count(running, self.log.lines)
            self.server.kill()
            self.log.append(4)
            running.wait_for(lambda _, err, lost=running.so_far()[1].count("target.trouble"):
                             err.count("target.trouble") > lost)
            self.serve()
        self.wait_for_count(running, self.log.lines)
        running.wait_for(lambda _, err: err.count("target.back") >= 3)
        running.signal(signal.SIGTERM)
        outcome = running.finish()
        self.assertEqual(outcome.status, 0, str(outcome))
        stopped = json.loads(outcome.err.splitlines()[-1])
        self.assertEqual((stopped["read"], stopped["written"]), (self.log.lines, self.log.lines))

    def test_ends_at_once_while_the_server_is_away(self):
        self.serve()
        target = f"ws://127.0.0.1:{self.port}/db"
        command = ("tail", self.log.path, "--format", "line", "--to", target, "--create-database", "--log-format", "json")
        running = self.start(*command, env={"XDG_STATE_HOME": self.dir / "state"})
        self.log.append(5)
        self.wait_for_count(running, 5)
        self.server.kill()
        self.log.append(4)
        running.wait_for(lambda _, err: "target.trouble" in err)
        running.signal(signal.SIGTERM)
        outcome = running.finish(timeout=20)
        self.assertEqual(outcome.status, 0, str(outcome))
        self.assertEqual(json.loads(outcome.err.splitlines()[-1])["not_done"], 4)
        self.serve()
        running = self.start(*command, env={"XDG_STATE_HOME": self.dir / "state"})
        self.wait_for_count(running, 9)
        running.signal(signal.SIGTERM)
        self.assertEqual(running.finish().status, 0)

    def wait_for_count(self, running, wanted):
        end = time.monotonic() + PATIENCE
        while True:
            outcome = self.run_program("query", "select count(*) from m", "--to", self.server.dsn("db"), "--format", "csv")
            if outcome.status == 0 and outcome.out.split()[-1] == str(wanted):
                return
            self.assertIsNone(running.process.poll(), running.so_far())
            self.assertLess(time.monotonic(), end, running.so_far())
            time.sleep(0.02)


if __name__ == "__main__":
    support.main()
