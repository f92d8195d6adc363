"""Drives the sandbox at HOST PORT through the official Python clients, unmodified: taosws (package taos-ws-py) and
taosrest (package taospy). Prints what passed; exits 1 at the first difference, 77 when a package cannot be imported."""

import datetime
import sys

try:
    import taosrest
    import taosws
except ImportError as error:
    print(f"not available: {error}")
    sys.exit(77)

HOST, PORT = sys.argv[1], sys.argv[2]
T0 = 1700000000000


def same(what, got, wanted):
    if got != wanted:
        print(f"{what}:\n  wanted {wanted!r}\n  got    {got!r}")
        sys.exit(1)
    print(f"{what}: as it should be")


def raises(what, code, call):
    try:
        call()
    except Exception as error:  # each client has classes of its own; the code stands in the text
        if code.lower() not in str(error).lower():
            same(what, str(error), f"an error with {code}")
        print(f"{what}: refused with {code}, as it should be")
        return
    same(what, "no error", f"an error with {code}")


def query_over_websocket():
    connection = taosws.connect(f"ws://root:taosdata@{HOST}:{PORT}")
    connection.execute("drop database if exists official")
    connection.execute("create database official keep 36500")
    connection.execute("use official")
    connection.execute(
        "create table t (ts timestamp, b bool, i int, g bigint, u bigint unsigned, f float, d double, "
        "s varchar(10), n nchar(10), vb varbinary(10))"
    )
    written = connection.execute(
        f"insert into t values({T0},true,1,-9223372036854775807,18446744073709551615,1.5,2.5,'abc','中文','\\x00ff')"
        f"({T0 + 1000},null,null,null,null,null,null,null,null,null)"
    )
    same("taosws: rows written", written, 2)
    result = connection.query("select * from t")
    same(
        "taosws: fields",
        [field.name() for field in result.fields],
        ["ts", "b", "i", "g", "u", "f", "d", "s", "n", "vb"],
    )
    same(
        "taosws: rows read back",
        list(result),
        [
            (
                "2023-11-14 22:13:20 +00:00",
                True,
                1,
                -9223372036854775807,
                18446744073709551615,
                1.5,
                2.5,
                "abc",
                "中文",
                b"\x00\xff",
            ),
            ("2023-11-14 22:13:21 +00:00",) + (None,) * 9,
        ],
    )
    same("taosws: an empty result", list(connection.query("select * from t where ts=0")), [])
    raises("taosws: a missing table", "0x2603", lambda: connection.query("select * from nope"))
    cursor = connection.cursor()
    cursor.execute("select i, s from official.t")
    same("taosws: cursor", cursor.fetchone(), (1, "abc"))
    rows = 10_000
    for begin in range(0, rows, 2500):
        values = "".join(f"({T0 + 10_000 + k},{k})" for k in range(begin, begin + 2500))
        connection.execute(f"insert into t(ts,i) values {values}")
    got = [row[0] for row in connection.query(f"select i from t where ts>={T0 + 10_000} order by ts")]
    same("taosws: a result of several blocks", got == list(range(rows)), True)


def schemaless_over_websocket():
    connection = taosws.connect(f"ws://root:taosdata@{HOST}:{PORT}/official")
    lines = [
        'weather,site=EWR temp=39.02,wind="NW" 1700000000000',
        'weather,site=JFK temp=38.5 1700000000000',
        'weather,site=EWR temp=39.92 1700000001000',
    ]
    connection.schemaless_insert(
        lines,
        taosws.PySchemalessProtocol.Line,
        taosws.PySchemalessPrecision.Millisecond,
        1,
        5,
    )
    same(
        "taosws: schemaless",
        list(connection.query("select _ts, site, temp, wind from weather order by site, _ts")),
        [
            ("2023-11-14 22:13:20 +00:00", "EWR", 39.02, "NW"),
            ("2023-11-14 22:13:21 +00:00", "EWR", 39.92, None),
            ("2023-11-14 22:13:20 +00:00", "JFK", 38.5, None),
        ],
    )


def statements_over_websocket():
    connection = taosws.connect(f"ws://root:taosdata@{HOST}:{PORT}/official")
    connection.execute("create table stb (ts timestamp, a int, b float, c varchar(10)) tags (t1 int, t2 nchar(10))")

    def table(name, tag, text, first):
        return taosws.stmt2_bind_param_view(
            table_name=name,
            tags=[taosws.int_to_tag(tag), taosws.nchar_to_tag(text)],
            columns=[
                taosws.millis_timestamps_to_column([first, first + 1]),
                taosws.ints_to_column([tag * 10, None]),
                taosws.floats_to_column([1.5, None]),
                taosws.varchar_to_column(["a", None]),
            ],
        )

    statement = connection.stmt2_statement()
    statement.prepare("insert into ? using stb tags (?, ?) values (?, ?, ?, ?)")
    statement.bind([table("x1", 1, "北京", T0)])
    same("taosws: stmt2, one table", statement.execute(), 2)
    statement.bind([table(f"x{k}", k, "", T0 + 10 * k) for k in (1, 2, 3)])
    same("taosws: stmt2, three tables", statement.execute(), 6)
    statement.close()
    same(
        "taosws: rows bound",
        list(connection.query("select tbname, ts, a, b, c, t1, t2 from stb where a is not null order by tbname, ts")),
        [
            ("x1", "2023-11-14 22:13:20 +00:00", 10, 1.5, "a", 1, "北京"),
            ("x1", "2023-11-14 22:13:20.010 +00:00", 10, 1.5, "a", 1, "北京"),
            ("x2", "2023-11-14 22:13:20.020 +00:00", 20, 1.5, "a", 2, ""),
            ("x3", "2023-11-14 22:13:20.030 +00:00", 30, 1.5, "a", 3, ""),
        ],
    )
    asking = connection.stmt2_statement()
    asking.prepare("select ts, a, c from stb where a > ? order by ts")
    asking.bind(
        [
            taosws.stmt2_bind_param_view(
                table_name="", tags=[], columns=[taosws.ints_to_column([15])]
            )
        ]
    )
    asking.execute()
    same(
        "taosws: prepared query",
        list(asking.result_set()),
        [("2023-11-14 22:13:20.020 +00:00", 20, "a"), ("2023-11-14 22:13:20.030 +00:00", 30, "a")],
    )
    asking.close()
    broken = connection.stmt2_statement()
    raises("taosws: stmt2 on a missing table", "0x022B", lambda: broken.prepare("insert into nope values (?, ?)"))


def first_generation_statements():
    connection = taosws.connect(f"ws://root:taosdata@{HOST}:{PORT}/official")
    connection.execute(
        "create table old (ts timestamp, b bool, ti tinyint, si smallint, i int, g bigint, f float, d double, "
        "s varchar(10), n nchar(10)) tags (t1 int, t2 nchar(10))"
    )
    statement = connection.statement()
    statement.prepare("insert into ? using old tags (?, ?) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    for k in (1, 2):
        statement.set_tbname(f"o{k}")
        statement.set_tags([taosws.int_to_tag(k), taosws.nchar_to_tag("标签")])
        statement.bind_param(
            [
                taosws.millis_timestamps_to_column([T0 + k, T0 + 10 + k]),
                taosws.bools_to_column([True, None]),
                taosws.tiny_ints_to_column([-128, None]),
                taosws.small_ints_to_column([-32768, None]),
                taosws.ints_to_column([k, None]),
                taosws.big_ints_to_column([-(1 << 62), None]),
                taosws.floats_to_column([1.5, None]),
                taosws.doubles_to_column([2.5, None]),
                taosws.varchar_to_column(["abc", None]),
                taosws.nchar_to_column(["中文", None]),
            ]
        )
        statement.add_batch()
    same("taosws: stmt, two tables in one execute", statement.execute(), 4)
    same(
        "taosws: stmt, rows bound",
        list(connection.query("select tbname, b, ti, si, i, g, f, d, s, n, t1, t2 from old order by tbname, ts")),
        [
            ("o1", True, -128, -32768, 1, -(1 << 62), 1.5, 2.5, "abc", "中文", 1, "标签"),
            ("o1",) + (None,) * 9 + (1, "标签"),
            ("o2", True, -128, -32768, 2, -(1 << 62), 1.5, 2.5, "abc", "中文", 2, "标签"),
            ("o2",) + (None,) * 9 + (2, "标签"),
        ],
    )
    wrong = connection.statement()
    wrong.prepare("insert into ? using old tags (?, ?) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
    raises("taosws: stmt, an empty table name", "0x022B", lambda: wrong.set_tbname(""))


def canned_rows():
    connection = taosws.connect(f"ws://root:taosdata@{HOST}:{PORT}")
    rows = list(connection.query("select * from canned.rows limit 9000"))
    same("taosws: canned rows", len(rows), 9000)
    same(
        "taosws: a canned row",
        rows[8192],
        ("2023-11-14 22:13:28.192 +00:00", False, 8192, 8192 * 1000003, (1 << 63) + 8192, 2048.0, 1024.0)
        + ("text 8192", "文8192"),
    )
    same("taosws: a canned row without values", rows[8191][1:], (True,) + (None,) * 7)
    same("taosws: all canned rows", sum(1 for _ in connection.query("select * from canned.rows")), 100_000)


def consumers():
    connection = taosws.connect(f"ws://root:taosdata@{HOST}:{PORT}")
    connection.execute("create database subscribed vgroups 3 keep 36500")
    connection.execute("use subscribed")
    connection.execute("create table m (ts timestamp, v int, s nchar(8), d double) tags (g int)")
    connection.execute("create topic whole with meta as database subscribed")
    connection.execute("create topic asked as select ts, v, s, tbname from m where v < 1000")
    for k in range(20):
        connection.execute(f"insert into c{k} using m tags({k}) values({T0},{k},'中{k}',0.5)({T0 + 1},null,null,null)")
        connection.execute(f"insert into c{k} values({T0 + 2},{1000 + k},'x',null)")

    def consumer(group, topics, **more):
        made = taosws.Consumer(
            {
                "td.connect.websocket.scheme": "ws",
                "td.connect.ip": HOST,
                "td.connect.port": PORT,
                "td.connect.user": "root",
                "td.connect.pass": "taosdata",
                "group.id": group,
                "client.id": "official",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": "false",
                "msg.with.table.name": "true",
                **more,
            }
        )
        made.subscribe(topics)
        return made

    def drain(reader, commit=True):
        rows = []
        while (message := reader.poll(timeout=0.1)) is not None:
            for block in message:
                rows += block.fetchall()
            if commit:
                reader.commit(message)
        return rows

    def offsets(reader, topic):
        return {a.vg_id(): (a.offset(), a.begin(), a.end()) for t in reader.assignment() if t.topic() == topic
                for a in t.assignments()}

    reader = consumer("g", ["asked"])
    same("taosws: consumer, list_topics", reader.list_topics(), ["asked"])
    before = offsets(reader, "asked")
    same("taosws: consumer, vgroups", len(before), 3)
    same("taosws: consumer, nothing committed", {reader.committed("asked", v) for v in before}, {-2147467247})
    rows = drain(reader)
    same("taosws: consumer, rows of a query", sorted((r[1], r[2], r[3]) for r in rows),
         sorted((k, f"中{k}", f"c{k}") for k in range(20)))
    after = offsets(reader, "asked")
    same("taosws: consumer, committed is the end", {v: reader.committed("asked", v) for v in after},
         {v: reader.position("asked", v) for v in after})
    connection.execute(f"insert into c1 values({T0 + 9},9,'neu',1)")
    same("taosws: consumer, new rows", [r[1:] for r in drain(reader, commit=False)], [(9, "neu", "c1")])
    reader.unsubscribe()
    reader.close()
    reader = consumer("g", ["asked"])
    same("taosws: consumer, goes on behind its commit", [r[1:] for r in drain(reader)], [(9, "neu", "c1")])
    for vgroup, (_, begin, end) in offsets(reader, "asked").items():
        reader.seek("asked", vgroup, begin)
        reader.commit_offset("asked", vgroup, end)
        same("taosws: consumer, commit_offset", reader.committed("asked", vgroup), end)
    same("taosws: consumer, after seek all comes again", len(drain(reader)), 21)
    # Both hold vgroups of their own.
    first, second = consumer("shared", ["whole"]), consumer("shared", ["whole"])
    parts = [drain(first), drain(second)]
    same("taosws: two consumers share a topic", (sum(map(len, parts)), all(parts)), (61, True))
    raises("taosws: consumer, a missing topic", "0x03E1", lambda: consumer("g", ["nope"]))
    raises("taosws: consumer, a wrong password", "init tscObj failed",
           lambda: consumer("g", ["asked"], **{"td.connect.pass": "x"}))
    for each in (reader, first, second):
        each.unsubscribe()
        each.close()


def rest():
    connection = taosrest.connect(url=f"http://{HOST}:{PORT}", user="root", password="taosdata", database="official")
    same("taosrest: server version", connection.server_info, "3.3.7.5")
    result = connection.query(f"select ts, i, s, n from t where ts<{T0 + 5000}")
    same(
        "taosrest: fields",
        [tuple(field.values()) if isinstance(field, dict) else tuple(field) for field in result.fields],
        [("ts", "TIMESTAMP", 8), ("i", "INT", 4), ("s", "VARCHAR", 10), ("n", "NCHAR", 10)],
    )
    first = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.timezone.utc)
    rows = [[row[0].replace(tzinfo=datetime.timezone.utc), *row[1:]] for row in result.data]
    same(
        "taosrest: rows read back",
        rows,
        [[first, 1, "abc", "中文"], [first + datetime.timedelta(seconds=1), None, None, None]],
    )
    same("taosrest: rows written", connection.execute(f"insert into t(ts,i) values({T0 + 2000},5)"), 1)
    raises("taosrest: a missing table", "0x2603", lambda: connection.execute("select * from nope"))
    raises(
        "taosrest: a wrong password",
        "0x0357",
        lambda: taosrest.connect(url=f"http://{HOST}:{PORT}", user="root", password="wrong").query("select 1"),
    )


def tokens():
    connection = taosws.connect(f"ws://{HOST}:{PORT}/official?token=cloud-token")
    same("taosws: a token logs in", list(connection.query("select count(*) from t where ts < 0")), [(0,)])
    raises("taosws: a wrong token", "0xE006", lambda: taosws.connect(f"ws://{HOST}:{PORT}?token=wrong&conn_retries=1"))
    connection = taosrest.connect(url=f"http://{HOST}:{PORT}", token="cloud-token")
    same("taosrest: a token logs in", connection.query("select 1").data, [[1]])
    raises(
        "taosrest: a wrong token",
        "401",
        lambda: taosrest.connect(url=f"http://{HOST}:{PORT}", token="wrong").query("select 1"),
    )


query_over_websocket()
schemaless_over_websocket()
statements_over_websocket()
consumers()
first_generation_statements()
canned_rows()
tokens()
rest()
print("all as it should be")
