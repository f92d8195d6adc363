"""Loads that are stopped and go on: the journal, --resume, --again, penstock status."""

import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time

import support
from support import T0, T0_NS

# More kills: PENSTOCK_RESUME_SEEDS=50, and another start: PENSTOCK_RESUME_SEED=1000.
SEEDS = int(os.environ.get("PENSTOCK_RESUME_SEEDS", "3"))
FIRST_SEED = int(os.environ.get("PENSTOCK_RESUME_SEED", "1"))


# What is settled is told about once a MiB: long records make a load of some MiB of few rows, which a sanitized program
# has done soon.


def lines(count, start=0, bad=True):
    """Line protocol with records that are refused, comments and blank lines."""
    out = []
    for i in range(start, start + count):
        if bad and i % 997 == 5:
            out.append(f"broken {i}")
        if i % 3001 == 7:
            out.append("# a comment\n")
        if bad and i % 1999 == 11:
            out.append(f'cpu,host=h1,region=r a="text",b=1 {T0_NS + i}')
        out.append(f'cpu,host=h{i % 23},region=r{i % 3} a={i}i,b={i}.25,note="row {i} {"x" * (90 + i % 100)}" '
                   f"{T0_NS + i * 1_000_000}")
    return "\n".join(out) + "\n"


def telnet(count):
    return "".join(("sys.broken\n" if i % 997 == 5 else "")
                   + f"sys.cpu {T0 * 1000 + i} {i % 1000} host=h{i % 23} region=somewhere-far-away-{i % 5} filler={'y' * 160}\n"
                   for i in range(count))


def opentsdb(count):
    points = []
    for i in range(count):
        tags = {"host": f"h{i % 23}", "site": "x" * 200}
        points.append(json.dumps({"metric": "sys.mem", "timestamp": T0 * 1000 + i, "value": i, "tags": tags}, indent=1))
        if i % 997 == 5:
            points.append('{"metric": "sys.mem", "value": 3}')
    return "[" + ",\n".join(points) + "]\n"


def ndjson(count):
    rows = []
    for i in range(count):
        rows.append(json.dumps({"time": f"2024-01-01T00:{i // 60 % 60:02}:{i % 60:02}.{i % 1000:03}Z", "host": f"h{i % 23}",
                                "value": i, "note": "x" * 200 + str(i)}))
        if i % 997 == 5:
            rows.append('{"time": "never", "host": "h1", "value": 1, "note": "n"}')
    return "\n".join(rows) + "\n"


def csv(count):
    rows = ["time,host,value,note"]
    for i in range(count):
        note = f'"two\nlines, ""{i}"" {"z" * 160}"' if i % 5 == 0 else f"note {i} {'z' * 160}"
        rows.append(f"{T0 * 1000 + i},h{i % 23},{i},{note}")
        if i % 997 == 5:
            rows.append(f"no time,h1,{i},bad")
    return "\n".join(rows) + "\n"


def influx_csv(count, tables=30):
    out = []
    for table in range(tables):
        out.append("#datatype,string,long,dateTime:RFC3339,double,string,string,string")
        out.append("#group,false,false,false,false,true,true,true")
        out.append("#default,_result,,,,,,")
        out.append(",result,table,_time,_value,_field,_measurement,host")
        for i in range(count // tables):
            stamp = f"2024-01-01T{i // 3600 % 24:02}:{i // 60 % 60:02}:{i % 60:02}Z"
            value = "no number" if i % 499 == 5 else f"{i}.5"
            out.append(f",,{table},{stamp},{value},f{table},m{table % 4},host-with-a-long-name-{table:0160}")
        out.append("")
    return "\r\n".join(out) + "\r\n"


def dump(count):
    out = ["# DDL", 'CREATE DATABASE "water" WITH NAME autogen', 'CREATE DATABASE "air" WITH NAME autogen', "# DML"]
    block = count // 8
    for part in range(8):
        out.append(f"# CONTEXT-DATABASE:{'water' if part % 2 == 0 else 'air'}")
        out.append("# CONTEXT-RETENTION-POLICY:autogen")
        out.append(lines(block, part * block).rstrip("\n"))
    return "\n".join(out) + "\n"


def timeless(count):
    return "".join(f"cpu,host=h{i % 23} a={i}i,filler=\"{'t' * 230}\"\n" for i in range(count))


class Journaled(support.Case):
    """A state folder for each test, and what its journal says."""

    def setUp(self):
        super().setUp()
        self.env = {"XDG_STATE_HOME": str(self.dir / "state")}

    def journal(self):
        found = sorted((self.dir / "state" / "penstock").glob("*.journal"))
        return found[0] if len(found) == 1 else None

    def settled(self):
        """What the journal says: (offset, finished) by source; None while there is none."""
        journal = self.journal()
        if journal is None:
            return None
        try:
            with sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5) as db:
                return db.execute("SELECT settled, finished FROM sources ORDER BY position").fetchall()
        except sqlite3.OperationalError:
            return None

    def start_slow(self, *arguments, **more):
        more.setdefault("env", self.env)
        return self.start_load(*arguments, "--batch-rows", "1000", "--linger", "50ms", "--lanes", "2",
                               "--checkpoint-every", "20ms", "--max-rate", "20k/s", **more)

    @staticmethod
    def ended(running):
        """Whether a program has ended; how is left to who waits for it."""
        return os.waitid(os.P_PID, running.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def kill_on_the_way(self, running):
        """Kills a load when more of it is settled than before, but not all. False: it came to its end."""
        end = time.monotonic() + 60
        before = sum(offset for offset, _ in self.settled() or [])
        while time.monotonic() < end:
            if self.ended(running):
                return False
            state = self.settled()
            if state and sum(offset for offset, _ in state) > before and not all(finished for _, finished in state):
                running.process.kill()
                running.process.wait()
                return True
            time.sleep(0.005)
        self.fail("nothing is ever settled: " + "\n".join(running.so_far()))

    def rejects_of(self, folder):
        """Everything in a folder of rejects, as a set of lines by file."""
        seen = {}
        for path in sorted((self.dir / folder).glob("*")):
            text = path.read_bytes().replace(folder.encode(), b"REJECTS").replace(str(self.dir).encode() + b"/", b"")
            seen[path.name] = sorted(text.splitlines())
        return seen

    def assert_same(self, wanted, wanted_rejects, done, rejects):
        for member in ("read", "written", "rejected", "left_out", "not_done", "bytes"):
            self.assertEqual(done.total[member], wanted.total[member], (member, str(done)))
        self.assertEqual(self.rejects_of(rejects), self.rejects_of(wanted_rejects))

    def undisturbed(self, sources, flags, status, stdin=None):
        self.name = self.name if hasattr(self, "name") else self.db[:50]
        self.db = self.name + "_whole"
        done = self.load(*sources, *flags, "--rejects", "rejects-whole", "--no-journal", status=status, stdin=stdin)
        return done, self.tables()

    def check_going_on(self, sources, flags=(), status=1, stdin=None, compare=None, anew=False):
        wanted, truth = self.undisturbed(sources, flags, status, stdin)
        self.db = self.name + "_parts"
        kills, how = 0, ()
        while True:
            running = self.start_slow(*sources, *flags, "--rejects", "rejects-parts", *how, stdin=stdin)
            if kills == 2 or not self.kill_on_the_way(running):
                break
            kills += 1
            how = ("--resume",)
        done = self.finish_load(running, status=status)
        self.assertGreater(kills, 0, "it was too fast to be killed")
        self.assertIn("goes on at ", done.err)
        if not anew:
            self.assertEqual(done.report["resumed"]["run"], kills + 1)
        self.assert_same(wanted, "rejects-whole", done, "rejects-parts")
        there = self.tables()
        if compare:
            truth, there = compare(truth), compare(there)
        self.assertEqual(there, truth)
        again = self.start_load(*sources, *flags, "--rejects", "rejects-parts", stdin=stdin, env=self.env).finish()
        if stdin is None:
            self.assertEqual(again.status, 0, str(again))
            self.assertIn("already loaded on ", again.err)
        return done


class Stopped(Journaled):
    """Loads that are killed and gone on with, beside one that nobody disturbs."""

    def test_line_protocol(self):
        self.check_going_on([self.file("a.line", lines(15_000))])

    def test_telnet(self):
        self.check_going_on([self.file("a.telnet", telnet(15_000))], ["--format", "telnet"])

    def test_opentsdb_json(self):
        self.check_going_on([self.file("a.json", opentsdb(9_000))], ["--format", "json"])

    def test_ndjson(self):
        self.check_going_on([self.file("a.ndjson", ndjson(12_000))])

    def test_csv_with_header_and_quoted_newlines(self):
        self.check_going_on([self.file("a.csv", csv(16_000))], ["--tags", "host"])

    def test_annotated_csv(self):
        self.check_going_on([self.file("a.csv", influx_csv(13_500))])

    def test_a_database_of_a_dump(self):
        done = self.check_going_on([self.file("a.line", dump(16_000))], ["--context-db", "water"])
        self.assertGreater(done.total["left_out"], 5_000)

    def test_compressed(self):
        text = lines(14_000).encode()
        path = self.file("a.line", text)
        forms = {"a.line.gz": gzip.compress(text, 1),
                 "b.line.gz": b"".join(gzip.compress(text[i:i + 300_000], 1) for i in range(0, len(text), 300_000))}
        for name, tool in (("a.line.zst", ["zstd", "-qc"]), ("a.line.lz4", ["lz4", "-qc"])):
            if shutil.which(tool[0]):
                forms[name] = subprocess.run([*tool, path], stdout=subprocess.PIPE, check=True).stdout
        for number, (name, content) in enumerate(forms.items()):
            with self.subTest(name=name):
                self.env = {"XDG_STATE_HOME": str(self.dir / f"state{number}")}
                self.dir_state(number)
                self.check_going_on([self.file(name, content)])
                self.clean()

    def dir_state(self, number):
        self.journal = lambda: next(iter((self.dir / f"state{number}" / "penstock").glob("*.journal")), None)

    def clean(self):
        for folder in ("rejects-whole", "rejects-parts"):
            shutil.rmtree(self.dir / folder, ignore_errors=True)
        for part in ("whole", "parts"):
            self.run_program("query", f"drop database {self.name}_{part}", "--to", self.server.dsn(), status=0)

    def test_several_sources_and_a_folder(self):
        for i in range(4):
            self.file(f"in/{i}.line", lines(4_000, i * 4_000))
        self.file("in/empty.line", "")
        self.check_going_on(["in"])

    def test_standard_input(self):
        text = lines(15_000).encode()
        self.check_going_on(["-"], ["--format", "line"], stdin=text)

    def test_rows_outside_the_window_and_the_limit(self):
        self.check_going_on([self.file("a.line", lines(15_000))],
                            ["--since", str(T0_NS + 2_500_000_000) + "ns", "--limit", "10500"])

    def test_lines_without_a_time(self):
        def shape(tables):
            # The time differs from load to load; that each line is a row of its own does not.
            return {name: (declared, sorted(json.dumps({k: v for k, v in json.loads(row).items() if k != "_ts"},
                                                       sort_keys=True) for row in rows))
                    for name, (declared, rows) in tables.items()}
        self.check_going_on([self.file("a.line", timeless(14_000))], status=0, compare=shape)

    def test_types_that_prove_too_narrow(self):
        # Of compressed data the first 8 MiB are looked at; what contradicts them comes behind.
        rows = ["time,host,value,filler"] + [f"{T0 * 1000 + i},h{i % 23},{i},{'f' * 640}" for i in range(15_000)]
        rows[14_400] = f"{T0 * 1000 + 14_399},h3,not a number at all,"
        path = self.file("a.csv.gz", gzip.compress(("\n".join(rows) + "\n").encode(), 1))
        done = self.check_going_on([path], ["--tags", "host"], status=0, anew=True)
        self.assertEqual(len(done.report["restarts"]), 1)


class Killed(Journaled):
    """Kills at random moments, however little was settled."""

    def test_random_kills(self):
        path = self.file("a.line", lines(15_000))
        other = self.file("b.line", lines(10_000, 15_000))
        wanted, truth = self.undisturbed([path, other], (), 1)
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
            with self.subTest(seed=seed):
                random.seed(seed)
                self.db = f"kill{seed}"
                self.env = {"XDG_STATE_HOME": str(self.dir / f"state-{seed}")}
                shutil.rmtree(self.dir / "rejects-kill", ignore_errors=True)
                how, kills = (), 0
                while True:
                    running = self.start_slow(path, other, "--rejects", "rejects-kill", *how)
                    if kills < 6:
                        end = time.monotonic() + random.uniform(0.05, 1.2)
                        while time.monotonic() < end and not self.ended(running):
                            time.sleep(0.005)
                        if not self.ended(running):
                            running.process.kill()
                            running.process.wait()
                            kills += 1
                            if list((self.dir / f"state-{seed}").glob("penstock/*.journal")):
                                state = self.run_program("status", "--json", env=self.env, status=0)
                                if json.loads(state.out):
                                    # Killed behind its last checkpoint, while it took its leave: all is there.
                                    done = None
                                    if json.loads(state.out)[0]["state"] == "finished":
                                        break
                                    self.assertEqual(json.loads(state.out)[0]["state"], "killed")
                                    how = ("--resume",)
                            continue
                    done = self.finish_load(running, status=1)
                    break
                if done is not None:
                    self.assert_same(wanted, "rejects-whole", done, "rejects-kill")
                self.assertEqual(self.tables(), truth)


class Decisions(Journaled):
    """What a load says and does that finds a journal."""

    def run_load(self, *arguments, status=0, **more):
        more.setdefault("env", self.env)
        outcome = self.start_load(*arguments, **more).finish()
        self.assertEqual(outcome.status, status, str(outcome))
        return outcome

    def stopped_load(self, name="a.line", count=30_000):
        self.path = self.file(name, lines(count))
        running = self.start_slow(self.path)
        self.assertTrue(self.kill_on_the_way(running))

    def test_a_finished_load_is_not_made_again(self):
        path = self.file("a.line", lines(100, bad=False))
        self.run_load(path)
        journal = self.journal()
        self.assertEqual(journal.stat().st_mode & 0o777, 0o600)
        self.assertEqual(journal.parent.stat().st_mode & 0o777, 0o700)
        self.assertTrue(journal.name.startswith("a-"))
        for more in ((), ("--resume",)):
            done = self.run_load(path, *more)
            self.assertIn("already loaded on ", done.err)
            self.assertIn("100 rows written", done.err)
            self.assertIn("--again", done.err)
            self.assertNotIn("result", done.out)
            report = json.loads((self.dir / "report.json").read_text())
            self.assertIn("already loaded", report["outcome"])
            self.assertEqual(report["total"]["written"], 100)
        done = self.run_load(path, "--again")
        self.assertIn("100 written", done.out)
        done = self.run_load(path, "--no-journal")
        self.assertIn("100 written", done.out)

    def test_changed_sources_settings_or_databases_load_again(self):
        path = self.file("a.line", lines(100, bad=False))
        self.run_load(path)
        path.write_text(lines(120, bad=False))
        done = self.run_load(path)
        self.assertIn("have changed since", done.err)
        self.assertIn("120 written", done.out)
        done = self.run_load(path, "--max-record", "1M")
        self.assertIn("--max-record: not given then, '1M' now", done.err)
        self.assertIn("120 written", done.out)
        self.run_program("query", f"drop database {self.db}", "--to", self.server.dsn(), status=0)
        time.sleep(0.01)
        done = self.run_load(path, "--max-record", "1M")
        self.assertIn("it is another one", done.err)
        self.assertIn("120 written", done.out)

    def test_without_resume_it_begins_anew_and_says_so(self):
        self.stopped_load()
        done = self.run_load(self.path, status=1)
        self.assertIn("stopped at ", done.err)
        self.assertIn("begins anew (--resume goes on)", done.err)
        self.assertRegex(done.err, r"stopped at \d+ %, byte [0-9,]+ \(line [0-9,]+\) of ")
        self.assertEqual(self.count("cpu"), 30_000)

    def test_resume_needs_a_journal(self):
        path = self.file("a.line", lines(10, bad=False))
        done = self.run_load(path, "--resume", status=2)
        self.one_message(done, "--resume", "there is no journal", "load without --resume")
        self.assertIsNone(self.journal())
        done = self.run_load(path, "--resume", "--no-journal", status=2)
        self.one_message(done, "--no-journal")
        done = self.run_load(path, "--resume", "--again", status=2)
        self.one_message(done, "--again")
        done = self.run_load(path, "--resume", to="null:", status=2)
        self.one_message(done, "null:")

    def test_resume_refuses_other_settings(self):
        self.stopped_load()
        done = self.run_load(self.path, "--resume", "--precision", "us", "--since", "5s", status=2)
        self.one_message(done, "--precision: not given then, 'us' now", "--since", "--again")
        self.run_load(self.path, "--resume", status=1)
        self.assertEqual(self.count("cpu"), 30_000)

    def test_resume_refuses_another_content(self):
        self.stopped_load()
        whole = self.path.read_bytes()
        offset = self.settled()[0][0]
        cases = {"its first": b"x" + whole[1:],
                 "before byte": whole[:offset - 10] + b"9" + whole[offset - 9:],
                 "was cut or replaced": whole[:offset - 1]}
        for words, content in cases.items():
            with self.subTest(words=words):
                self.path.write_bytes(content)
                done = self.run_load(self.path, "--resume", status=2)
                self.one_message(done, "--resume", words, "--again")
        # A copy with another inode and time is the same file.
        self.path.unlink()
        self.path.write_bytes(whole)
        done = self.run_load(self.path, "--resume", status=1)
        self.assertIn("touched, moved or copied", done.err)
        self.assertEqual(self.count("cpu"), 30_000)

    def test_resume_refuses_a_database_that_was_made_anew(self):
        self.stopped_load()
        self.run_program("query", f"drop database {self.db}", "--to", self.server.dsn(), status=0)
        done = self.run_load(self.path, "--resume", status=2)
        self.one_message(done, "it is another one", "--again")

    def test_resume_refuses_when_a_source_is_missing(self):
        self.file("in/a.line", lines(10_000))
        self.file("in/b.line", lines(10_000, 10_000))
        running = self.start_slow("in")
        self.assertTrue(self.kill_on_the_way(running))
        text = (self.dir / "in/b.line").read_text()
        (self.dir / "in/b.line").unlink()
        done = self.run_load("in", "--resume", status=2)
        self.one_message(done, "in/b.line is not among the sources now")
        self.file("in/b.line", text)
        self.file("in/c.line", lines(1000, 20_000))
        done = self.run_load("in", "--resume", status=1)
        self.assertIn("in/c.line was not among the sources before", done.err)
        self.assertEqual(self.count("cpu"), 21_000)

    def test_a_signal_and_then_on(self):
        for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            with self.subTest(signal=number.name):
                self.db = "by_" + number.name.lower()
                self.path = self.file("a.line", lines(30_000))
                running = self.start_slow(self.path)
                running.wait_for(lambda out, err: any(offset for offset, _ in self.settled_of(self.db)))
                running.signal(number)
                done = self.finish_load(running, status=status)
                self.assertIn("--resume goes on", done.report["outcome"])
                done = self.finish_load(self.start_load(self.path, "--resume", env=self.env), status=1)
                self.assertEqual(done.total["not_done"], 0)
                self.assertEqual(self.count("cpu"), 30_000)
                self.assertLess(done.report["requests"]["bytes"], 30_000 * 60)

    def settled_of(self, database):
        for journal in (self.dir / "state" / "penstock").glob("*.journal"):
            try:
                with sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=5) as db:
                    target = db.execute("SELECT value FROM head WHERE name = 'target'").fetchone()
                    if target and target[0].endswith("/" + database):
                        return db.execute("SELECT settled, finished FROM sources").fetchall()
            except sqlite3.OperationalError:
                pass
        return []

    def test_an_unreadable_source_is_tried_again(self):
        good = self.file("a.line", lines(1000, bad=False))
        bad = self.file("b.line.gz", gzip.compress(lines(1000, 1000, bad=False).encode(), mtime=0)[:-200])
        done = self.run_load(good, bad, status=3)
        self.assertIn("--resume", done.out)
        bad.write_bytes(gzip.compress(lines(1000, 1000, bad=False).encode(), mtime=0))
        done = self.run_load(good, bad, "--resume")
        self.assertEqual(self.count("cpu"), 2000)

    def test_two_loaders_do_not_share_a_journal(self):
        self.path = self.file("a.line", lines(60_000))
        running = self.start_slow(self.path)
        running.wait_for(lambda out, err: self.settled())
        done = self.run_load(self.path, status=2)
        self.one_message(done, f"another penstock (process {running.process.pid})", "--journal")
        state = json.loads(self.run_program("status", "--json", env=self.env, status=0).out)
        self.assertEqual((state[0]["state"], state[0]["pid"]), ("running", running.process.pid))
        done = self.run_load(self.path, "--journal", "other.journal", status=1)
        self.finish_load(running, status=1)

    def test_status(self):
        self.stopped_load()
        text = self.run_program("status", env=self.env, status=0).out
        for part in ("load, killed", f"/{self.db}", "settled", "a.line: byte "):
            self.assertIn(part, text)
        journal = self.journal()
        one = json.loads(self.run_program("status", journal, "--json", env=self.env, status=0).out)
        self.assertEqual(one["state"], "killed")
        self.assertEqual(one["sources"][0]["offset"], self.settled()[0][0])
        self.assertGreater(one["sources"][0]["size"], one["sources"][0]["offset"])
        self.run_load(self.path, "--resume", status=1)
        text = self.run_program("status", journal, env=self.env, status=0).out
        self.assertIn("finished with status 1", text)
        self.assertIn("run 2", text)
        done = self.run_program("status", "nothing.journal", env=self.env, status=2)
        self.one_message(done, "nothing.journal", "no such file")
        done = self.run_program("status", self.path, env=self.env, status=2)
        self.one_message(done, "is no journal")
        empty = self.run_program("status", env={"XDG_STATE_HOME": str(self.dir / "none")}, status=0)
        self.assertIn("no journals", empty.out)

    def test_places_that_others_could_write_to_are_refused(self):
        path = self.file("a.line", lines(10, bad=False))
        state = self.dir / "state" / "penstock"
        state.mkdir(parents=True)
        state.chmod(0o777)
        done = self.run_load(path, status=2)
        self.one_message(done, "may be written by others", "--no-journal")
        state.chmod(0o700)
        real = self.file("real.journal", "")
        link = self.dir / "link.journal"
        link.symlink_to(real)
        done = self.run_load(path, "--journal", link, status=2)
        self.one_message(done, "symbolic link")
        done = self.run_load(path, "--journal", path, status=2)
        self.one_message(done, "no journal of penstock")
        self.assertEqual(path.read_text(), lines(10, bad=False))
        done = self.run_load(path, "--journal", "nowhere/x.journal", status=2)
        self.one_message(done, "nowhere")
        self.file("file", "")
        done = self.run_load(path, env={"XDG_STATE_HOME": str(self.dir / "file")})
        self.assertIn("warning: no journal is kept", done.err)

    def test_no_secret_in_the_journal(self):
        path = self.file("a.line", lines(10, bad=False))
        self.run_load(path, to=self.server.dsn(self.db, user="root:taosdata@"), create=True)
        self.assertNotIn(b"taosdata", self.journal().read_bytes())



if __name__ == "__main__":
    support.main()
