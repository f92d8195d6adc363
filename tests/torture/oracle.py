"""What must stand in the database after any disturbance: the same as after a load that nobody disturbed."""

import collections
import json
import pathlib
import re

from .world import Problem

PORT = re.compile(r"127\.0\.0\.1:\d+")
# Declared widths of texts depend on where chunks end; the texts themselves are compared.
OF_ANY_WIDTH = ("VARCHAR", "NCHAR", "BINARY", "VARBINARY", "GEOMETRY")


def snapshot(server, database, key=None):
    """Everything that a user can see: {super table: {"columns", "children", "rows"}}.

    Rows are {(child table, timestamp): [row, ...]}, rows as sorted (name, value) pairs; more than one row under a key
    would be a row that stands twice. With `key` that column tells rows apart, and their timestamps are left out.
    """
    seen = {}
    for (table,) in server.sql("show stables", database)[1]:
        _, declared = server.sql(f"describe `{table}`", database)
        columns = sorted((name, kind, None if kind in OF_ANY_WIDTH else length, note)
                         for name, kind, length, note, *_ in declared)
        time = declared[0][0]
        names, rows = server.sql(f"select tbname, * from `{table}`", database)
        order = sorted((i for i in range(len(names)) if key is None or names[i] != time), key=lambda i: names[i])
        child, stamp = names.index("tbname"), names.index(key or time)
        found = collections.defaultdict(list)
        for row in rows:
            found[(row[child], row[stamp])].append(tuple((names[i], row[i]) for i in order))
        _, tags = server.sql("select table_name, tag_name, tag_value from information_schema.ins_tags "
                             f"where db_name='{database}' and stable_name='{table}'")
        seen[table] = {"columns": columns, "children": sorted(map(tuple, tags), key=repr), "rows": dict(found)}
    return seen


def rejects(folder):
    """What was rejected: (records, reasons), each counted."""
    records, reasons = collections.Counter(), collections.Counter()
    for path in sorted(pathlib.Path(folder).rglob("*")):
        if not path.is_file() or path.name.endswith(".toml"):
            continue
        lines = path.read_bytes().split(b"\n")
        if path.name.endswith(".reasons.jsonl"):
            for line in filter(None, lines):
                try:
                    reason = json.loads(line)
                except ValueError as error:
                    raise Problem("rejects", f"{path.name}: no JSON: {line[:200]!r}") from error
                reason["reason"] = PORT.sub("127.0.0.1:PORT", reason["reason"])
                reasons[json.dumps({k: reason[k] for k in ("source", "line", "offset", "column", "reason", "code")},
                                   sort_keys=True)] += 1
        else:
            if ".rejects" in path.name and path.suffix == ".csv":
                lines = lines[1:]  # the header
            records.update(line for line in lines if line)
    return records, reasons


class Truth:
    """What an undisturbed load of a scenario leaves behind."""

    def __init__(self, tables, report, folder, seconds, up_bytes=0, down_bytes=0):
        self.tables, self.report, self.status = tables, report, report["exit_status"]
        self.records, self.reasons = rejects(folder)
        self.seconds, self.up_bytes, self.down_bytes = seconds, up_bytes, down_bytes
        self.rows = sum(len(table["rows"]) for table in tables.values())


class Difference:
    """What differs from the truth."""

    def __init__(self):
        self.expected = self.lost = self.doubled = self.different = 0
        self.notes = []

    def note(self, text):
        if len(self.notes) < 12:
            self.notes.append(text)

    def rows(self, table, wanted, seen):
        for key, rows in wanted.items():
            got = seen.get(key, [])
            if not got:
                self.lost += 1
                self.note(f"{table}: lost {key}")
            elif len(got) > len(rows):
                self.doubled += 1
                self.note(f"{table}: doubled {key}")
            elif got != rows:
                self.different += 1
                pairs = [(a, b) for a, b in zip(rows[0], got[0]) if a != b]
                self.note(f"{table}: different {key}: wanted and got {pairs[:4]}")
        for key in seen.keys() - wanted.keys():
            self.doubled += 1
            self.note(f"{table}: not in the input: {key}")


def compare(wanted, seen):
    """The Difference between two snapshots."""
    found = Difference()
    found.expected = sum(len(table["rows"]) for table in wanted.values())
    for name in sorted(wanted.keys() | seen.keys()):
        one, other = wanted.get(name), seen.get(name)
        if one is None or other is None:
            found.note(f"super table {name}: {'missing' if other is None else 'not in the input'}")
            found.lost += len(one["rows"]) if one else 0
            found.doubled += len(other["rows"]) if other else 0
            continue
        if one["columns"] != other["columns"]:
            found.different += 1
            found.note(f"{name}: columns {sorted(set(one['columns']) ^ set(other['columns']))}")
        if one["children"] != other["children"]:
            found.different += 1
            found.note(f"{name}: tags {sorted(set(one['children']) ^ set(other['children']), key=repr)[:6]}")
        found.rows(name, one["rows"], other["rows"])
    return found


def check_ledger(report, truth):
    """The ledger adds up and counts the whole input, each row once."""
    for tally in (report["total"], *report["sources"]):
        if tally["read"] != tally["written"] + tally["rejected"] + tally["left_out"] + tally["not_done"]:
            raise Problem("ledger", f"does not add up: {tally}")
    for member in ("read", "written", "rejected", "left_out", "not_done", "bytes"):
        total = report["total"][member]
        if total != sum(source[member] for source in report["sources"]):
            raise Problem("ledger", f"{member} is not the sum over the sources")
        if total != truth.report["total"][member]:
            raise Problem("ledger", f"{member} {total}, an undisturbed load tells {truth.report['total'][member]}")
    wanted = {source["name"]: source["read"] for source in truth.report["sources"]}
    got = {source["name"]: source["read"] for source in report["sources"]}
    if wanted != got:
        raise Problem("ledger", f"rows read per source {got}, an undisturbed load {wanted}")
    if report["total"]["rejected"] != sum(group["count"] for group in report["rejects"]):
        raise Problem("ledger", "the reasons do not add up to the rejected rows")


def check_rejects(folder, truth):
    """The same records and reasons as sets; how many stand there more often is returned."""
    records, reasons = rejects(folder)
    for name, wanted, got in (("records", truth.records, records), ("reasons", truth.reasons, reasons)):
        missing, more = wanted.keys() - got.keys(), got.keys() - wanted.keys()
        if missing or more:
            raise Problem("rejects", f"{name}: {len(missing)} missing {sorted(missing, key=repr)[:2]}, "
                                     f"{len(more)} of no input {sorted(more, key=repr)[:2]}")
    return sum((reasons - truth.reasons).values())
