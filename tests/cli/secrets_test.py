"""Secrets stay where they were given: not in the list of processes, not in any output or file of penstock."""

import os
import pathlib
import socket
import threading
import unittest

import support

RARE = "q7Zk-rare.secret"
TOKEN = "t9Xw-rare.token"


class Secrets(support.Case):
    def setUp(self):
        super().setUp()
        self.path = self.file("cpu.line", "cpu,host=a usage=1 1626006833639000000\n" * 3)

    def closed_port(self):
        return support.free_port()

    def peer(self, answer):
        """A server that reads something, answers with these bytes and ends; its port."""
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)

        def serve():
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        connection.recv(4096)
                        connection.sendall(answer)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return listener.getsockname()[1]

    def assert_clean(self, outcome, *secrets):
        texts = [outcome.out, outcome.err]
        for file in pathlib.Path(self.dir).rglob("*"):
            if file.is_file() and not file.name.startswith("given") and file.suffix != ".db":
                texts.append(file.read_bytes().decode(errors="replace"))
        for text in texts:
            for secret in secrets or (RARE, TOKEN):
                self.assertNotIn(secret, text, str(outcome))

    def test_every_failure_keeps_the_secret(self):
        at = f"me:{RARE}@"
        good = f"127.0.0.1:{self.server.port}"
        unavailable = self.peer(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n")
        nonsense = self.peer(b"\x00\x01\x02")
        ways = {
            "nobody there": f"ws://{at}127.0.0.1:{self.closed_port()}/db",
            "no such host": f"ws://{at}no-such-host.invalid/db",
            "login refused": f"ws://{at}{good}/db",
            "no TLS there": f"wss://{at}{good}/db?token={TOKEN}",
            "not ready": f"ws://{at}127.0.0.1:{unavailable}/db",
            "not an adapter": f"ws://{at}127.0.0.1:{nonsense}/db",
            "token, nobody there": f"wss://127.0.0.1:{self.closed_port()}/db?token={TOKEN}",
            "CA missing": f"wss://{at}{good}/db?token={TOKEN}&tls_ca=/no/such/file",
            "no database": f"ws://{at}{good}",
            "unknown option": f"ws://{at}{good}/db?token={TOKEN}&colour=red",
            "wrong port": f"ws://{at}{good}x/db?token={TOKEN}",
            "unknown scheme": f"mqtt://{at}{good}/db?bearer_token={TOKEN}",
            "another transport": f"http://{at}{good}/db?token={TOKEN}",
            "no scheme": f"{at}{good}/db?token={TOKEN}",
            "bad percent": f"ws://me:{RARE}%zz@{good}/db?token={TOKEN}",
            "at and slash in the password": f"ws://me:{RARE}/x@y@127.0.0.1:{self.closed_port()}/db",
            "several hosts": f"ws://{at}127.0.0.1:{self.closed_port()},127.0.0.1:{self.closed_port()}/db",
        }
        for name, to in ways.items():
            for command in (["load", self.path, "--report", "report.json", "--retry-for", "1s"],
                            ["query", "select 1"], ["check", self.path]):
                with self.subTest(way=name, command=command[0]):
                    outcome = self.run_program(*command, "--to", to)
                    self.assertIn(outcome.status, (2, 3), str(outcome))
                    self.assert_clean(outcome)

    def test_mistyped_flags_keep_the_secret(self):
        to = f"ws://me:{RARE}@127.0.0.1:{self.server.port}/db?token={TOKEN}"
        for arguments in (["load", self.path, "--too", to], ["load", self.path, f"--too={to}"], ["load", to],
                          ["load", self.path, to], ["query", "--to"], [to], ["query", to, "--tto", to],
                          ["load", self.path, "--to", to, "--lanes", to], ["load", self.path, "--to", to, "--wrong"],
                          ["check", self.path, "--to", to, "--format", to], ["load", "--config", to],
                          ["query", "select 1", "--to", to, "--request-timeout", to],
                          ["load", self.path, "--to", to, "--tls-verify", to]):
            with self.subTest(arguments=arguments):
                outcome = self.run_program(*arguments)
                self.assertNotEqual(outcome.status, 0)
                self.assert_clean(outcome)

    def test_a_configuration_file_and_the_environment_keep_the_secret(self):
        port = self.closed_port()
        to = f"ws://me:{RARE}@127.0.0.1:{port}/db?token={TOKEN}"
        for content in (f'to = "{to}"\n', f'to = "{to}"\nwrong = 1\n', f'to = "{to}\n', f'too = "{to}"\n',
                        f'to = "{to}"\nlanes = "{to}"\n', f'[load]\nto = ["{to}", "{to}"]\n'):
            with self.subTest(content=content):
                config = self.file("given.toml", content)
                outcome = self.run_program("load", self.path, "--config", config)
                self.assertIn(outcome.status, (2, 3), str(outcome))
                self.assert_clean(outcome)
        outcome = self.run_program("load", self.path, env={"PENSTOCK_TO": to})
        self.assertEqual(outcome.status, 3, str(outcome))
        self.assert_clean(outcome)
        outcome = self.run_program("query", "select 1", "--to", f"ws://me@127.0.0.1:{self.server.port}/db",
                                   env={"PENSTOCK_PASSWORD": RARE}, status=2)
        self.assert_clean(outcome)

    def test_a_load_with_rejects_keeps_the_secret(self):
        # The sandbox's own password, long enough to look for: everything a load leaves behind is searched.
        path = self.file("bad.line", "cpu,host=a usage=1 1626006833639000000\ncpu,host=a usage=nonsense 5\n")
        outcome = self.run_program("load", path, "--to", self.server.dsn(self.db, "root:taosdata@"),
                                   "--create-database", "--report", "report.json", "--max-rejects", "100", status=1)
        self.assert_clean(outcome, "taosdata")

    def test_the_list_of_processes_shows_no_secret(self):
        reader, writer = os.pipe()
        for to in (f"--to=ws://me:{RARE}@127.0.0.1:{self.closed_port()}/db?token={TOKEN}&app=mine",
                   f"ws://me:{RARE}/x@y@127.0.0.1:{self.closed_port()}/db?totp_code={TOKEN}&bearer%5Ftoken={TOKEN}"):
            arguments = ["--to", to] if to.startswith("ws") else [to]
            running = self.start("load", self.path, *arguments, "--wait")
            running.wait_for(lambda out, err: "waiting for the server" in err)
            shown = pathlib.Path(f"/proc/{running.process.pid}/cmdline").read_bytes().decode()
            self.assertNotIn(RARE, shown)
            self.assertNotIn(TOKEN, shown)
            self.assertIn("@127.0.0.1:", shown)
            self.assertIn("--wait", shown)
            if "app" in to:
                self.assertIn("&app=mine", shown)
            running.signal(15)
            outcome = running.finish(timeout=60)
            self.assertEqual(outcome.status, 143, str(outcome))
            self.assert_clean(outcome)
        os.close(reader)
        os.close(writer)

    def test_a_password_file_that_others_can_read_is_told(self):
        file = self.file("given.password", "taosdata\n")
        for mode, told in ((0o644, "everybody"), (0o640, "its group"), (0o600, None)):
            file.chmod(mode)
            outcome = self.run_program("query", "select 1", "--to", f"ws://127.0.0.1:{self.server.port}/",
                                       "--password-file", file)
            self.assertEqual("can be read by" in outcome.err, told is not None, str(outcome))
            if told:
                self.assertIn(told, outcome.err)
                self.assertIn("chmod 600", outcome.err)
        outcome = self.run_program("query", "select 1", "--to", "ws://127.0.0.1/", "--password-file", "none", status=2)
        self.one_message(outcome, "none", "no such file")

    def test_the_report_is_its_owners(self):
        os.umask(0o022)
        self.load(self.path)
        self.run_program("load", self.path, "--to", "null:", "--report", "mine.json", status=0)
        self.assertEqual((self.dir / "mine.json").stat().st_mode & 0o777, 0o600)

    def test_tls_flags(self):
        to = f"ws://127.0.0.1:{self.server.port}/{self.db}"
        for flag, value in (("--tls-ca", "ca.pem"), ("--tls-verify", "none"), ("--tls-cert", "c.pem")):
            for command in (["load", self.path], ["query", "select 1"], ["check", self.path]):
                outcome = self.run_program(*command, "--to", to, flag, value, status=2)
                self.one_message(outcome, flag, "wss://")
        to = to.replace("ws:", "wss:")
        outcome = self.run_program("query", "select 1", "--to", to, "--tls-cert", "c.pem", status=2)
        self.one_message(outcome, "--tls-cert", "--tls-key", "together")
        outcome = self.run_program("load", self.path, "--to", to, "--tls-ca", "none.pem", status=2)
        self.one_message(outcome, "none.pem", "no such file")
        outcome = self.run_program("load", self.path, "--to", to, "--tls-verify", "some", status=2)
        self.one_message(outcome, "--tls-verify")


if __name__ == "__main__":
    support.main()
