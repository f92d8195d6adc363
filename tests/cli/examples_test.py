"""The client library as others meet it: every example against a sandbox and natively, also with its connections cut under
it, and a project that knows only what `cmake --install --component client` put down."""

import pathlib
import random
import shutil
import socket
import subprocess
import threading

import support

EXAMPLES = ("bind_rows", "bind_columns", "insert_lines", "json_tags", "subscribe", "all_types_query",
            "all_types_statement", "rest")
# Over native connections there is no adapter whose REST interface could be asked.
NATIVE = tuple(name for name in EXAMPLES if name != "rest")


class Cutter:
    """Passes bytes between clients and a server and ends the connections that `plan` says, after so many bytes."""

    def __init__(self, port, plan):
        self.server, self.plan = port, plan
        self.cut = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        number = 0
        while True:
            try:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.server))
            except OSError:
                return
            left = [self.plan(number)]
            number += 1
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(source, target, left), daemon=True).start()

    def _pump(self, source, target, left):
        try:
            while data := source.recv(65536):
                if left[0] is not None:
                    left[0] -= len(data)
                    if left[0] < 0:
                        self.cut += 1
                        left[0] = None
                        break
                target.sendall(data)
        except OSError:
            pass
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()


class Examples(support.Case):
    needs_server = False

    def example(self, name, dsn, **env):
        program = pathlib.Path(support.OPTIONS.build) / "examples" / name
        done = support.Running([program, dsn], cwd=self.dir, env=env).finish(timeout=150)
        self.assertEqual(done.status, 0, done)
        self.assertIn("all well", done.out, done)
        return done

    def test_every_example_over_websocket_and_rest(self):
        server = support.Sandbox(self.dir / "sandbox")
        self.addCleanup(server.stop)
        for name in EXAMPLES:
            for scheme in ("ws", "http"):
                with self.subTest(example=name, scheme=scheme):
                    self.example(name, f"{scheme}://root:taosdata@127.0.0.1:{server.port}")

    def test_every_example_natively(self):
        for name in NATIVE:
            with self.subTest(example=name):
                self.example(name, f"taos://root:taosdata@127.0.0.1:6030/?library={support.OPTIONS.standin}")

    def test_every_example_with_its_connections_cut(self):
        server = support.Sandbox(self.dir / "sandbox")
        self.addCleanup(server.stop)
        cuts = 0
        for name in EXAMPLES:
            for seed in range(3):
                with self.subTest(example=name, seed=seed):
                    chance = random.Random(f"{name} {seed}")
                    # Four connections in a row may break; behind them there is one that holds.
                    plan = [chance.randrange(200, 20_000) if chance.random() < 0.7 else None for _ in range(4)]
                    cutter = Cutter(server.port, lambda number: plan[number] if number < len(plan) else None)
                    self.addCleanup(cutter.close)
                    self.example(name, f"ws://root:taosdata@127.0.0.1:{cutter.port}")
                    cuts += cutter.cut
        self.assertGreater(cuts, 10, "the connections were not cut")

    def test_a_wrong_command_line(self):
        program = pathlib.Path(support.OPTIONS.build) / "examples" / "bind_rows"
        self.assertEqual(support.Running([program], cwd=self.dir).finish().status, 2)
        for dsn, words in (("nonsense", "scheme"), ("ws://127.0.0.1:1/?nope=1", "nope"),
                           ("taos://127.0.0.1/?library=/nowhere/libtaos.so", "/nowhere/libtaos.so")):
            with self.subTest(dsn=dsn):
                done = support.Running([program, dsn], cwd=self.dir).finish(timeout=60)
                self.assertEqual(done.status, 1, done)
                self.assertIn(words, done.err)


class Installed(support.Case):
    needs_server = False

    def run_tool(self, *command):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=400)
        self.assertEqual(done.returncode, 0, done.stdout[-3000:] + done.stderr[-3000:])

    def test_a_project_that_knows_only_what_is_installed(self):
        prefix, project, build = self.dir / "prefix", self.dir / "outside", self.dir / "outside-build"
        self.run_tool("cmake", "--install", support.OPTIONS.build, "--prefix", prefix, "--component", "client")
        shutil.copytree(support.PROJECT / "tests" / "client" / "outside", project)
        # Every header must do alone.
        headers = sorted(path.relative_to(prefix / "include") for path in (prefix / "include").rglob("*.h"))
        self.assertGreater(len(headers), 10)
        (project / "headers.cpp").write_text("".join(f"#include <{header}>\n" for header in headers))
        for number, header in enumerate(headers):
            (project / f"alone_{number}.cpp").write_text(f"#include <{header}>\n")
        with open(project / "CMakeLists.txt", "a") as out:
            out.write("file(GLOB alone alone_*.cpp)\ntarget_sources(outside PRIVATE ${alone})\n")
        # As the libraries were made; and nothing of the tree may be found.
        flags = "-fsanitize=address,undefined" if support.OPTIONS.sanitized else ""
        self.run_tool("cmake", "-S", project, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
                      "-DCMAKE_BUILD_TYPE=Debug", f"-DCMAKE_CXX_FLAGS={flags} -Wall -Wextra -Werror")
        self.run_tool("ninja", "-C", build)
        self.assertNotIn(str(support.PROJECT / "src"), (build / "build.ninja").read_text())
        server = support.Sandbox(self.dir / "sandbox")
        self.addCleanup(server.stop)
        done = support.Running([build / "outside", f"ws://root:taosdata@127.0.0.1:{server.port}"], cwd=self.dir).finish()
        self.assertEqual(done.status, 0, done)


if __name__ == "__main__":
    support.main()
