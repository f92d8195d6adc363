#!/usr/bin/env python3
"""Runs the commands of a page and compares what they print with what the page says.

    readme_commands.py --program PATH/penstock [--program PATH/penstock-generate] [--link datasets] README.md

Commands are the lines that begin with `$ ` in blocks fenced by ```console (a trailing backslash goes on in the next
line); what follows up to the next command is its output, both streams as on a terminal. In it `…` stands for anything
within a line, and a line of only `…` for any number of lines. A command must succeed unless `$ echo $?` follows it.
A comment `<!-- not run: why -->` before a block excludes it. All blocks run in one temporary directory, each in a bash
of its own; what it leaves in the background is ended with it. Exit status 77: there is no such page.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

SKIPPED = 77
MARK = "@@status-of-command@@"


@dataclasses.dataclass
class Command:
    text: str
    line: int
    output: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Block:
    line: int
    excluded: str = ""
    commands: list = dataclasses.field(default_factory=list)


def blocks_of(text):
    """The console blocks of a page. Raises ValueError with the line for output before the first command."""
    blocks, block, excluded = [], None, ""
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if block is None:
            if stripped == "```console":
                block = Block(number, excluded)
            elif comment := re.fullmatch(r"<!--\s*not run:\s*(.+?)\s*-->", stripped):
                excluded = comment[1]
            elif stripped:
                excluded = ""
        elif stripped == "```":
            blocks.append(block)
            block, excluded = None, ""
        elif block.commands and not block.commands[-1].output and block.commands[-1].text.endswith("\\"):
            block.commands[-1].text += "\n" + line
        elif line.startswith("$ "):
            block.commands.append(Command(line[2:], number))
        elif block.commands:
            block.commands[-1].output.append(line)
        elif stripped:
            raise ValueError(f"line {number}: output before the first command of the block: {line}")
    if block is not None:
        raise ValueError(f"line {block.line}: the block has no end")
    return blocks


def pattern_of(lines):
    """A regular expression for the output that a page shows."""
    pattern = ""
    for line in lines:
        if line.strip() == "…":
            pattern += r"(?:[^\n]*\n)*?"
        else:
            pattern += "[^\n]*".join(re.escape(part) for part in line.rstrip().split("…")) + r"[ \t\r]*\n"
    return re.compile(pattern)


def same(expected, actual):
    expected = list(expected)
    while expected and not expected[-1].strip():
        expected.pop()
    text = "\n".join(line.rstrip("\r").split("\r")[-1] for line in actual.split("\n")).strip("\n")
    return pattern_of(expected).fullmatch(text + "\n" if text else "") is not None


def run_block(block, directory, environment, seconds):
    """Runs the commands in one bash; returns for each that ended its output and status."""
    script = ""
    for command in block.commands:
        script += f"{command.text}\nreadme_status=$?; printf '\\n{MARK}%d\\n' $readme_status; (exit $readme_status)\n"
    # A file takes the output, not a pipe: what stays in the background would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        shell = subprocess.Popen(["bash", "-c", script], cwd=directory, env=environment, stdin=subprocess.DEVNULL,
                                 stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            shell.wait(seconds)
        except subprocess.TimeoutExpired:
            pass
        finally:
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            shell.wait()
        output.seek(0)
        text = output.read().decode("utf-8", "replace")
    parts = re.split(rf"\n{MARK}(\d+)\n", text)
    return [(parts[i], int(parts[i + 1])) for i in range(0, len(parts) - 1, 2)], parts[-1]


def faults_of(block, results, rest, seconds):
    """What is wrong with a block, as texts."""
    for i, command in enumerate(block.commands):
        if i >= len(results):
            yield f"line {command.line}: $ {command.text}\n  did not end within {seconds} s; it printed:\n{rest}"
            return
        output, status = results[i]
        asked = i + 1 < len(block.commands) and block.commands[i + 1].text.strip() == "echo $?"
        if not same(command.output, output):
            yield (f"line {command.line}: $ {command.text}\n  the page says:\n" + "\n".join(command.output) +
                   f"\n  it prints:\n{output}")
        elif status != 0 and not asked:
            yield f"line {command.line}: $ {command.text}\n  ended with status {status}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=pathlib.Path)
    parser.add_argument("--program", action="append", default=[], type=pathlib.Path, help="a program that the page calls")
    parser.add_argument("--link", action="append", default=[], type=pathlib.Path, help="what the page finds in ./")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for a block")
    args = parser.parse_args()
    if not args.page.exists():
        print(f"{args.page}: not there")
        return SKIPPED
    missing = [str(program) for program in args.program if not os.access(program, os.X_OK)]
    if missing:
        print(f"cannot run: {', '.join(missing)}")
        return 1
    try:
        blocks = blocks_of(args.page.read_text(encoding="utf-8"))
    except ValueError as error:
        print(f"{args.page}: {error}")
        return 1
    faults, run, left_out = [], 0, 0
    with tempfile.TemporaryDirectory() as directory:
        for path in args.link:
            os.symlink(path.resolve(), pathlib.Path(directory, path.name))
        folders = [str(program.resolve().parent) for program in args.program]
        environment = {**os.environ, "PATH": os.pathsep.join([*folders, os.environ["PATH"]]), "HOME": directory,
                       "XDG_STATE_HOME": os.path.join(directory, ".state"),
                       "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        for block in blocks:
            if block.excluded:
                left_out += 1
                print(f"line {block.line}: not run: {block.excluded}")
                continue
            results, rest = run_block(block, directory, environment, args.timeout)
            faults += faults_of(block, results, rest, args.timeout)
            run += len(block.commands)
    for fault in faults:
        print(fault)
    print(f"{args.page}: {run} commands run, {len(faults)} wrong, {left_out} blocks not run")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
