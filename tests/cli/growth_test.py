"""Schemas that grow while rows are under way: one loader, two at once, other types, TTL, limits."""

import random
import threading

import support

T0 = support.T0_NS


def growing(seed, lines, tables=3, children=12, prefix="f"):
    """Lines whose fields, tags and widths change every hundred lines or so; each with a time of its own."""
    rand = random.Random(seed)
    text = []
    for i in range(lines):
        phase = i // 120
        table = f"grow{rand.randrange(tables)}"
        tags = f"host=h{rand.randrange(children)}"
        if phase % 3 == 1:
            tags += f",zone={'z' * (1 + phase)}"
        if phase % 4 == 2:
            tags += f",tag{phase}=x"
        fields = [f"{prefix}{k}={i}i" for k in {rand.randrange(phase + 1), phase}]
        fields.append(f"shared{phase}={i}.5")
        if i % 5 == 0:
            fields.append(f'text="{"t" * rand.randrange(1 + 3 * phase)}"')
        if i % 7 == 0:
            fields.append(f'wide=L"{"é" * rand.randrange(1 + 2 * phase)}"')
        text.append(f"{table},{tags} {','.join(fields)} {T0 + i * 1_000_000 + seed}")
    return text


class Growth(support.Case):

    def plain(self, database):
        """Everything in the database, without the widths of texts and the order of columns."""
        seen = {}
        for name, (declared, rows) in self.tables(self.server.dsn(database)).items():
            columns = sorted((c["field"], c["type"], c["note"]) for c in declared)
            seen[name] = (columns, rows)
        return seen

    def test_many_lanes_make_the_tables_of_one(self):
        lines = growing(1, support.scaled(2500))
        path = self.file("grow.line", "\n".join(lines) + "\n")
        for name, flags in {
            "one": ["--lanes", 1, "--threads", 1],
            "many": ["--lanes", 8, "--threads", 4, "--batch-rows", 9, "--linger", "1ms", "--memory", "16M"],
            "large": ["--lanes", 3, "--threads", 3, "--batch-rows", 700],
            "schemaless": ["--write", "schemaless", "--lanes", 1],
        }.items():
            with self.subTest(name):
                outcome = self.load(path, *flags, to=self.server.dsn(f"{self.db}_{name}"))
                self.assert_rows(outcome, read=len(lines), written=len(lines))
                self.assertEqual(self.plain(f"{self.db}_{name}"), self.plain(f"{self.db}_one"))

    def test_two_loaders_at_once_lose_nothing(self):
        # The same tables, children and texts, different columns.
        sides = {side: growing(seed, support.scaled(1200), prefix=side) for seed, side in enumerate(("left", "right"))}
        paths = {side: self.file(f"{side}.line", "\n".join(lines) + "\n") for side, lines in sides.items()}
        self.run_program("query", f"create database {self.db} precision 'ns'", "--to", self.server.dsn(), status=0)
        running = [self.start("load", paths[side], "--to", self.server.dsn(self.db), "--report", f"{side}.json", "--lanes", 4,
                              "--batch-rows", 11, "--rejects", f"rejects-{side}") for side in sides]
        for run in running:
            outcome = run.finish(240)
            self.assertEqual(outcome.status, 0, str(outcome))
        # One after the other it is the same.
        for side in sides:
            self.load(paths[side], to=self.server.dsn(self.db + "_after"))
        self.assertEqual(self.plain(self.db), self.plain(self.db + "_after"))

    def test_two_types_are_told_or_converted(self):
        path = self.file("types.line", "\n".join([
            f"m,t=a i=1i,d=1.5,s=\"x\" {T0}",
            f"m,t=a i=2,d=2i,s=3i {T0 + 1}",
            f"m,t=a i=2.5 {T0 + 2}",
            f"m,t=a d=9007199254740993i {T0 + 3}",
            f"m,t=a s=true {T0 + 4}",
        ]) + "\n")
        told = self.load(path, status=1)
        self.assert_rows(told, read=5, written=1, rejected=4)
        self.assertIn("is DOUBLE here, but column", told.out)
        self.assertIn("BIGINT", told.out)
        self.assertIn("--coerce", told.out)
        converted = self.load(path, "--coerce", to=self.server.dsn(self.db + "_coerced"), status=1)
        self.assert_rows(converted, read=5, written=3, rejected=2)
        rows = self.query("select i, d, s from m order by _ts", self.server.dsn(self.db + "_coerced"))
        self.assertEqual([(r["i"], r["d"], r["s"]) for r in rows], [(1, 1.5, "x"), (2, 2.0, "3"), (None, None, "true")])
        reasons = next((self.dir / "penstock-rejects").glob("*.reasons.jsonl")).read_text()
        self.assertIn("field 'i' is DOUBLE here, but column 'i' of super table 'm' is BIGINT, and 2.5 cannot be converted "
                      "without loss", reasons)
        checked = self.run_program("check", path, "--coerce", status=1)
        self.assertIn("2 rejected", checked.out)

    def test_ttl_is_that_of_new_child_tables_only(self):
        self.load(self.file("old.line", f"m,t=old f=1 {T0}\n"))
        both = self.file("both.line", f"m,t=old f=1 {T0 + 1}\nm,t=it's\\ new f=1 {T0}\n")
        self.load(both, "--ttl", 7)
        ttl = sorted(r["ttl"] for r in self.query(
            f"select `ttl` from information_schema.ins_tables where db_name = '{self.db}'"))
        self.assertEqual(ttl, [0, 7])
        self.load(self.file("lines.line", f"m,t=third f=1 {T0}\n"), "--write", "schemaless", "--ttl", 9)
        ttl = sorted(r["ttl"] for r in self.query(
            f"select `ttl` from information_schema.ins_tables where db_name = '{self.db}'"))
        self.assertEqual(ttl, [0, 7, 9])
        for wrong in ("0", "-1", "x", "1d", "99999999999"):
            with self.subTest(wrong):
                outcome = self.load(both, f"--ttl={wrong}", status=2)
                self.one_message(outcome, "--ttl", wrong, "number of days")

    def test_a_row_beyond_a_limit_costs_only_itself(self):
        path = self.file("limits.line", "\n".join([
            f"m,t=a s=\"short\",u=\"{'x' * 2000}\" {T0}",
            f"m,t=a s=\"{'y' * 65000}\",u=\"x\" {T0 + 1}",
            f"m,t=a s=\"z\",u=\"z\" {T0 + 2}",
            f"m,t=a {','.join(f'c{i}=1' for i in range(4090))} {T0 + 3}",
            f"m,t=a c1=2 {T0 + 4}",
        ]) + "\n")
        outcome = self.load(path, status=1)
        self.assert_rows(outcome, read=5, written=4, rejected=1)
        codes = [group["code"] for group in outcome.report["rejects"]]
        self.assertEqual(codes, [0x263E], str(outcome))

    def test_coerce_is_not_for_lines_that_the_server_reads(self):
        path = self.file("x.line", f"m f=1 {T0}\n")
        self.one_message(self.load(path, "--coerce", "--write", "schemaless", status=2), "--coerce", "--write stmt")


if __name__ == "__main__":
    support.main()
