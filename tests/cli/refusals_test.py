"""What cannot work is said before the first row: one message, exit status 2 (the user's side) or 3 (the server's), in
seconds. Passwords are shown nowhere."""

import pathlib
import re
import signal
import socket
import threading
import unittest

import support
from support import T0_NS

LINE = f"m,host=a v=1i {T0_NS}\n"
FINE = "".join(f"m,host=a v={k}i {T0_NS + k}\n" for k in range(10))  # ten rows of one millisecond


class Flags(support.Case):
    needs_server = False

    def refused(self, *arguments, parts, env=None):
        outcome = self.run_program(*arguments, status=2, timeout=10, env=env)
        self.one_message(outcome, *parts)
        self.assertEqual(outcome.out, "")
        return outcome

    def test_a_missing_target(self):
        self.refused("load", self.file("m.line", LINE), parts=["--to is missing", "ws://", "sandbox:", "null:"])

    def test_a_mistyped_flag(self):
        path = self.file("m.line", LINE)
        outcome = self.refused("load", path, "--tto", "null:", parts=["--tto", "did you mean --to?"])
        self.assertIn("penstock load --help", outcome.err)
        self.refused("load", path, "--to", "null:", "--batch-row=7", parts=["--batch-row ", "--batch-rows?"])
        self.refused("check", path, "--nonsense-of-mine", parts=["--nonsense-of-mine"])

    def test_a_mistyped_command(self):
        self.refused("laod", "m.line", parts=["'laod'", "did you mean load?"])
        self.refused("quary", "select 1", parts=["'quary'", "did you mean query?"])
        self.refused("frobnicate", parts=["'frobnicate'", "load, tail, check, query, status, bench, sandbox"])
        self.refused(parts=["subcommand"])

    def test_values_that_no_flag_takes(self):
        path = self.file("m.line", LINE)
        for flag, value, part in (
                ("--memory", "lots", "512M"), ("--memory", "1k", "16M"), ("--max-rate", "5", "200k/s"),
                ("--retry-for", "soon", "5s"), ("--linger", "-", "5s"), ("--precision", "fortnight", "ns"),
                ("--write", "faster", "schemaless"), ("--batch-rows", "0", "at least one"), ("--lanes", "many", "lanes"),
                ("--max-record", "0", "--max-record"), ("--max-rejects", "x%", "5%"), ("--type", "a=NUMBER", "NUMBER"),
                ("--header", "perhaps", "auto"), ("--delimiter", "ab", "single character"),
                ("--mapping", "nope.toml", "nope.toml"), ("--rejects", "m.line/x/", "no directory"),
                ("--format", "xml", "csv")):
            with self.subTest(flag=flag, value=value):
                self.refused("load", path, "--to", "null:", flag, value, parts=[flag.lstrip("-"), part])

    def test_targets_that_are_none(self):
        path = self.file("m.line", LINE)
        for target, part in (("mydb", "no target"), ("wsx://h/db", "wsx"), ("ws://127.0.0.1:99999/db", "99999"),
                             ("ws://127.0.0.1:6041", "name the database"), ("sandbox:", "directory"),
                             ("http://127.0.0.1:6041/db", "REST")):
            with self.subTest(target=target):
                self.refused("load", path, "--to", target, parts=[part])

    def test_help_names_every_flag_of_the_design(self):
        flags = {
            "load": "--to --format --precision --config --write --lanes --threads --batch-rows --linger --memory "
                    "--retry-for --request-timeout --max-record --table --max-rate --max-child-tables "
                    "--create-database --db-precision --keep --vgroups --report --rejects --max-rejects "
                    "--allow-precision-loss --wait --password-file --ask-password --tags --mapping --timezone "
                    "--table-name-key --child-table-tag --child-table-delimiter",
            "check": "--format --precision --threads --memory --tags --mapping --config",
            "query": "--to --format --config --password-file",
            "sandbox": "--listen --user --password-file --config",
        }
        top = self.run_program("--help", status=0).out
        for command, names in flags.items():
            with self.subTest(command=command):
                self.assertIn(command, top)
                text = self.run_program(command, "--help", status=0).out
                for name in names.split():
                    self.assertRegex(text, re.escape(name) + r"[ ,=\n]")
                # Each flag has a sentence, on its line or under it; the names in the environment are said once.
                for line, below in re.findall(r"^ {2}(?:-\w,)?--([^\n]+)\n([^\n]*)", text, re.MULTILINE):
                    self.assertTrue(re.search(r" {2,}[A-Z\w]", line) or below.startswith(" " * 20), line)
                self.assertIn("PENSTOCK_REQUEST_TIMEOUT", text)

    def test_version(self):
        self.assertRegex(self.run_program("--version", status=0).out, r"^penstock \d+\.\d+\.\d+\n$")

    def test_settings_come_from_flags_environment_and_file_in_this_order(self):
        path = self.file("m.line", LINE)
        self.file("c.toml", 'to = "null:"\nlanes = 3\nbatch_rows = 777\nquiet = false\n[load]\nlinger = "7s"\n'
                            '[query]\nformat = "csv"\n')

        def settings(*arguments, env=None):
            self.run_program("load", path, "--report", "r.json", *arguments, env=env, status=0)
            import json
            return json.loads((self.dir / "r.json").read_text())["settings"]

        got = settings("--config", "c.toml")
        self.assertEqual((got["lanes"], got["batch_rows"], got["linger"]), ("3", "777", "7s"))
        got = settings("--config=c.toml", env={"PENSTOCK_LANES": "4", "PENSTOCK_BATCH_ROWS": "888"})
        self.assertEqual((got["lanes"], got["batch_rows"], got["linger"]), ("4", "888", "7s"))
        got = settings("--config", "c.toml", "--lanes", "5", env={"PENSTOCK_LANES": "4"})
        self.assertEqual((got["lanes"], got["batch_rows"]), ("5", "777"))
        got = settings(env={"PENSTOCK_CONFIG": "c.toml"})
        self.assertEqual(got["lanes"], "3")
        got = settings(env={"PENSTOCK_TO": "null:", "PENSTOCK_RETRY_FOR": "9s"})
        self.assertEqual(got["retry_for"], "9s")

    def test_lists_in_the_configuration(self):
        path = self.file("w.csv", "time,site,room,v\n2024-01-01T00:00:00Z,a,b,NA\n")
        self.file("c.toml", 'tags = ["site", "room"]\nnull = ["NA", "-"]\n')
        text = self.run_program("check", path, "--config", "c.toml", status=0).out
        self.assertRegex(text, r"TAGS \(`site` \w+\(\d+\), `room` \w+\(\d+\)\)")

    def test_mistakes_in_the_configuration(self):
        path = self.file("m.line", LINE)
        for text, parts in (('to = "null:"\nlannes = 3\n', ["c.toml:2", "lannes", "did you mean lanes?"]),
                            ('to = "null:\n', ["c.toml:1"]), ("[load]\nkeep = {a=1}\n", ["c.toml:2", "keep"]),
                            ("[load]\nlisten = 1\n", ["c.toml:2", "listen", "load"])):
            with self.subTest(text=text):
                self.file("c.toml", text)
                self.refused("load", path, "--config", "c.toml", parts=parts)
        self.refused("load", path, "--config", "none.toml", parts=["none.toml"])
        self.refused("load", path, "--to", "null:", parts=["--lanes"], env={"PENSTOCK_LANES": "many"})

    def test_list_flags_leave_the_sources_alone(self):
        for name in ("a.csv", "b.csv"):
            self.file(name, "time,site,v\n2024-01-01T00:00:00Z,x,1\n")
        done = self.load("--tags", "site", "--table", "t", "a.csv", "b.csv", to="null:")
        self.assert_rows(done, read=2, written=2)


class Servers(support.Case):
    def refused(self, to, status, *parts, arguments=(), env=None, seconds=8):
        path = self.file("m.line", LINE)
        outcome = self.run_program("load", path, "--to", to, *arguments, status=status, timeout=20, env=env)
        self.one_message(outcome, *parts)
        if not support.OPTIONS.sanitized:
            self.assertLess(outcome.seconds, seconds)
        return outcome

    def listener(self, talk):
        """A port that speaks something else."""
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                try:
                    talk(client)
                except OSError:
                    pass

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    def test_a_wrong_password(self):
        outcome = self.refused(self.server.dsn("db", user="root:Geheim-1@"), 2, "refused the login", "root")
        self.assertNotIn("Geheim-1", outcome.out + outcome.err)
        self.refused(self.server.dsn("db", user="nobody:x@"), 2, "nobody")

    def test_a_wrong_port(self):
        self.refused(f"ws://127.0.0.1:{support.free_port()}/db", 3, "cannot reach", "6041")

    def test_ports_of_other_protocols(self):
        held = []

        def mail(client):
            client.sendall(b"220 mail.example ESMTP\r\n")
            held.append(client)

        def web(client):
            client.recv(4096)
            client.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno\n")
            client.close()

        def hang_up(client):
            client.recv(4096)
            client.close()

        for name, talk in (("silent", held.append), ("mail", mail), ("web", web), ("hangs up", hang_up)):
            with self.subTest(protocol=name):
                self.refused(f"ws://127.0.0.1:{self.listener(talk)}/db", 3, "127.0.0.1")
        with self.subTest(protocol="TLS expected"):
            self.refused(f"wss://127.0.0.1:{self.server.port}/db", 3, "ws://")

    def test_a_host_that_does_not_exist(self):
        self.refused("ws://nowhere.invalid:6041/db", 3, "nowhere.invalid")

    def test_a_missing_database(self):
        self.refused(self.server.dsn("nowhere"), 2, "nowhere", "--create-database")
        self.assertNotIn("nowhere", [row["name"] for row in self.query("show databases", self.server.dsn())])

    def test_create_database_says_what_it_does(self):
        done = self.load(self.file("m.line", "m v=1i\n"), "--db-precision", "us", "--keep", "400d", "--precision", "us",
                         "--vgroups", "2")
        self.assertIn(f"CREATE DATABASE IF NOT EXISTS `{self.db}` PRECISION 'us' KEEP 400d VGROUPS 2", done.err)
        rows = self.query(f"select `precision`, `keep` from information_schema.ins_databases where name='{self.db}'")
        self.assertEqual([(row["precision"], row["keep"].split(",")[0]) for row in rows], [("us", "400d")])

    def test_nanoseconds_into_a_millisecond_database(self):
        path = self.file("m.line", FINE)
        self.load(self.file("none.line", ""), "--db-precision", "ms")
        outcome = self.load(path, status=2, create=False)
        self.one_message(outcome, "ns", "ms", "--allow-precision-loss")
        self.assertEqual(self.query("show stables"), [])
        done = self.load(path, "--allow-precision-loss", create=False)
        self.assert_rows(done, read=10, written=10)
        self.assertEqual((done.total["merged"], done.total["merged_by_precision"]), (9, 9))
        self.assertEqual(self.query_one("select last(v) from m"), 9)
        self.assertEqual(self.count("m"), 1)
        self.assertIn("precision is coarser", done.out)

    def test_a_request_id_used_as_a_tag(self):
        path = self.file("m.line", "".join(f"m,id=r{k} v={k}i {T0_NS + k}\n" for k in range(20000)))
        done = self.load(path, "--max-child-tables", "1000", "--threads", "1", status=3)
        self.assertIn("--max-child-tables", done.out)
        self.assertIn("1,000", done.out)
        self.assertLessEqual(done.total["written"], 1000)
        self.assertLessEqual(self.count_child_tables(), 1000)
        self.assert_rows(self.load(path, "--max-child-tables", "20000"), read=20000, written=20000)
        self.assertEqual(self.count_child_tables(), 20000)

    def count_child_tables(self):
        return len(self.query(f"select table_name from information_schema.ins_tables where db_name='{self.db}'"))

    def test_queries_that_the_server_refuses(self):
        outcome = self.run_program("query", "selct 1", "--to", self.server.dsn(), status=3)
        self.one_message(outcome, "0x2600", "selct")
        outcome = self.run_program("query", "select 1", "--to", f"ws://127.0.0.1:{support.free_port()}/", status=3)
        self.one_message(outcome, "cannot reach")


class Passwords(support.Case):
    """A password gets in by four ways and never out."""

    SECRET = "Gruen-7-Tuer"
    needs_server = False

    def setUp(self):
        super().setUp()
        self.server = support.Sandbox(self.dir / "sandbox", env={"PENSTOCK_SANDBOX_PASSWORD": self.SECRET})
        self.addCleanup(self.server.stop)
        self.path = self.file("m.line", FINE)

    def test_never_shown(self):
        self.file("password", self.SECRET + "\n")
        plain, with_password = self.server.dsn("db"), self.server.dsn("db", user=f"root:{self.SECRET}@")
        for to, flags, env in ((plain, (), {"PENSTOCK_PASSWORD": self.SECRET}),
                               (plain, ("--password-file", "password"), {}),
                               (with_password, (), {}), (None, (), {"PENSTOCK_TO": with_password})):
            with self.subTest(flags=flags, env=sorted(env)):
                command = ["load", self.path, "--create-database", "--report", "r.json", *flags]
                outcome = self.run_program(*command, *(["--to", to] if to else []), env=env, status=0)
                report = (self.dir / "r.json").read_text()
                self.assertNotIn(self.SECRET, outcome.out + outcome.err + report)
                self.assertIn("ws://", report)
        with self.subTest("refusals"):
            for arguments in (["load", "m.line", "--to", with_password + "x"],
                              ["query", "select 1", with_password], ["load", "m.line", "--tto=" + with_password],
                              ["load", "none.line", "--to", with_password], [with_password],
                              ["load", "m.line", "--to", with_password.replace("ws:", "wx:")],
                              ["load", "m.line", "--to", f"ws://root:{self.SECRET}@127.0.0.1:{support.free_port()}/db"],
                              ["query", "selct", "--to", with_password]):
                outcome = self.run_program(*arguments)
                self.assertIn(outcome.status, (2, 3), str(outcome))
                self.assertNotIn(self.SECRET, outcome.out + outcome.err)

    def test_not_in_the_process_list_beyond_what_the_user_typed(self):
        running = self.start_load(self.path, "--max-rate", "1/s", to=self.server.dsn("db"),
                                  env={"PENSTOCK_PASSWORD": self.SECRET})
        running.wait_for(lambda _, err: "CREATE DATABASE" in err)
        line = pathlib.Path(f"/proc/{running.process.pid}/cmdline").read_bytes()
        names = [p.read_text() for p in pathlib.Path(f"/proc/{running.process.pid}/task").glob("*/comm")]
        self.assertNotIn(self.SECRET, line.decode() + "".join(names))
        running.signal(signal.SIGINT)
        running.signal(signal.SIGINT)
        running.finish(30)


if __name__ == "__main__":
    support.main()
