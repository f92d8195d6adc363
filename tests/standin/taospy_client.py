"""Drives the stand-in library through the official Python client `taos` (package taospy), unmodified; it loads
libtaos.so by the loader's search path. Prints what passed; exits 1 at the first difference, 77 when the package cannot
be imported."""

import ctypes
import datetime
import sys
import threading

try:
    import taos
    from taos.cinterface import _UNSUPPORTED
except ImportError as error:
    print(f"not available: {error}")
    sys.exit(77)

from taos.tmq import Consumer

T0 = 1700000000000
UTC = datetime.timezone.utc


def same(what, got, wanted):
    if got != wanted:
        print(f"{what}:\n  wanted {wanted!r}\n  got    {got!r}")
        sys.exit(1)
    print(f"{what}: as it should be")


def raises(what, code, call):
    try:
        call()
    except taos.Error as error:
        same(what, hex((error.errno or 0) & 0xFFFFFFFF), hex(code))
        return
    same(what, "no error", f"an error with {code:#x}")


def rows(connection, sql):
    return connection.query(sql).fetch_all()


def connect(**more):
    return taos.connect(host="localhost", user="root", password="taosdata", port=6030, **more)


def errors(connection):
    same("client", connection.client_info, "3.3.7.5")
    same("server", connection.server_info.splitlines()[0], "ver:3.3.7.5")
    raises("a wrong password", 0x80000357, lambda: taos.connect(host="localhost", password="wrong"))
    raises("no server", 0x8000000B, lambda: taos.connect(host="nowhere.invalid"))
    raises("a missing table", 0x80002603, lambda: connection.query("select * from py.nope"))
    raises("a missing database", 0x80000388, lambda: connection.select_db("nope"))


def every_type(connection):
    connection.execute(
        "create table types (ts timestamp, b bool, t tinyint, s smallint, i int, g bigint, tu tinyint unsigned, "
        "su smallint unsigned, iu int unsigned, gu bigint unsigned, f float, d double, v varchar(20), n nchar(10), "
        "vb varbinary(8), geo geometry(64), d64 decimal(10,4), d128 decimal(30,8))"
    )
    written = connection.execute(
        f"insert into types values ({T0},true,-1,-2,-3,-4,1,2,3,18446744073709551615,1.5,-2.5,'abc','wörld中','\\x00ff',"
        f"'POINT(1 2)',-12.5,1234567890.125) ({T0 + 1}" + ",null" * 17 + ")"
    )
    same("rows written", written, 2)
    result = connection.query("select * from types")
    same("types of fields", [field.type for field in result.fields], [9, 1, 2, 3, 4, 5, 11, 12, 13, 14, 6, 7, 8, 10, 16, 20, 21, 17])
    first = [row.as_tuple() for row in result.rows_iter()][0]
    # Row by row this client cuts binary values at their first zero; block by block it does not.
    same("a row", first[1:14], (True, -1, -2, -3, -4, 1, 2, 3, 2**64 - 1, 1.5, -2.5, "abc", "wörld中"))
    same("time of a row", first[0].timestamp(), T0 / 1000)
    blocks = rows(connection, "select b, t, s, i, g, tu, su, iu, gu, f, d, v, n, vb from types")
    same("the same by blocks", blocks[0], first[1:14] + (b"\x00\xff",))
    point = rows(connection, "select geo from types")[0][0]
    same("geometry", bytes(point), bytes.fromhex("0101000000000000000000f03f0000000000000040"))
    same("DECIMAL", tuple(map(str, first[16:])), ("-12.5000", "1234567890.12500000"))
    same("NULL in every column", blocks[1], (None,) * 14)
    connection.execute("create table json_tags (ts timestamp, v int) tags (j json)")
    connection.execute(f"""insert into j1 using json_tags tags ('{{"k":"é"}}') values ({T0}, 1)""")
    same("a JSON tag", rows(connection, "select j from json_tags"), [('{"k":"é"}',)])
    connection.execute("create table blobs (ts timestamp, b blob)")
    connection.execute(f"insert into blobs values ({T0}, '\\xcafe')")
    same("a BLOB", bytes(rows(connection, "select b from blobs")[0][0]), b"\xca\xfe")


def many_rows(connection):
    connection.execute("create table many (ts timestamp, v int)")
    count = 10_000
    connection.execute("insert into many values " + "".join(f"({T0 + i},{i})" for i in range(count)))
    same("10,000 rows in blocks", [row[0] for row in rows(connection, "select v from many")], list(range(count)))
    cursor = connection.cursor()
    cursor.execute("select v from many where v < 3")
    same("a cursor", cursor.fetchall(), [(0,), (1,), (2,)])
    same("dictionaries", connection.query("select v from many limit 1").fetch_all_into_dict(), [{"v": 0}])


def precisions(connection):
    for precision, factor in (("us", 10**3), ("ns", 10**6)):
        connection.execute(f"create database py_{precision} precision '{precision}' keep 36500")
        connection.execute(f"create table py_{precision}.t (ts timestamp, v int)")
        connection.execute(f"insert into py_{precision}.t values ({T0 * factor + 5}, 1)")
        result = connection.query(f"select ts from py_{precision}.t")
        same(f"precision {precision}", result.precision, 1 if precision == "us" else 2)
        time = result.fetch_all()[0][0]
        if precision == "us":
            same("time in us", time.microsecond, 5)
        else:
            same("time in ns, a number to this client", time, T0 * factor + 5)


def asynchronous(connection):
    connection.execute("create table later (ts timestamp, v int)")
    connection.execute(f"insert into later values ({T0}, 7)")
    done = threading.Event()
    seen = []

    def answered(param, result, code):
        seen.append((result, code))
        done.set()

    callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int)(answered)
    connection.query_a("select v from later", callback, ctypes.c_void_p(None))
    same("an answer by callback", done.wait(30), True)
    result, code = seen[0]
    same("its code", code, 0)
    same("its rows", taos.TaosResult(result, close_after=True).fetch_all(), [(7,)])


def schemaless(connection):
    lines = [f"line,host=a v=1i64 {T0}", f"line,host=b v=2i64 {T0}"]
    kept = taos.SmlProtocol.LINE_PROTOCOL, taos.SmlPrecision.MILLI_SECONDS
    same("lines", connection.schemaless_insert(lines, *kept), 2)
    same("lines with a time to live", connection.schemaless_insert(lines, *kept, 7, 1), 2)
    same("lines in one text", connection.schemaless_insert_raw("\n".join(lines), *kept), 2)
    same(
        "telnet",
        connection.schemaless_insert(
            [f"tel {T0} 1.5 host=a"], taos.SmlProtocol.TELNET_PROTOCOL, taos.SmlPrecision.NOT_CONFIGURED
        ),
        1,
    )
    same(
        "JSON",
        connection.schemaless_insert(
            [f'{{"metric":"js","timestamp":{T0},"value":2,"tags":{{"host":"a"}}}}'],
            taos.SmlProtocol.JSON_PROTOCOL,
            taos.SmlPrecision.NOT_CONFIGURED,
        ),
        1,
    )
    same("lines read back", rows(connection, "select v, host from line order by v"), [(1, "a"), (2, "b")])
    try:
        connection.schemaless_insert(["bad"], *kept)
    except taos.SchemalessError as error:
        same("a bad line", hex(error.errno & 0xFFFFFFFF), "0x80003002")
    else:
        same("a bad line", "no error", "SchemalessError")


def first_generation(connection):
    connection.execute("create table s1 (ts timestamp, v int, s varchar(10)) tags (g int)")
    statement = connection.statement("insert into ? using s1 tags(?) values(?,?,?)")
    tags = taos.new_bind_params(1)
    tags[0].int(3)
    statement.set_tbname_tags("s1a", tags)
    columns = taos.new_multi_binds(3)
    columns[0].timestamp((T0, T0 + 1, T0 + 2))
    columns[1].int((1, None, 3))
    columns[2].binary(("a", "long text", None))
    statement.bind_param_batch(columns)
    statement.execute()
    same("rows by statement", statement.affected_rows, 3)
    statement.close()
    wanted = [(1, "a", 3), (None, "long text", 3), (3, None, 3)]
    same("rows by statement read back", rows(connection, "select v, s, g from s1"), wanted)
    query = connection.statement("select v from s1 where v > ?")
    limit = taos.new_bind_params(1)
    limit[0].int(1)
    query.bind_param(limit)
    query.execute()
    same("a query by statement", list(query.use_result()), [(3,)])
    query.close()
    raises("a missing table by statement", 0x80002603, lambda: missing(connection))


def missing(connection):
    statement = connection.statement("insert into py.nope values(?,?)")
    columns = taos.new_multi_binds(2)
    columns[0].timestamp((T0,))
    columns[1].int((1,))
    statement.bind_param_batch(columns)


def second_generation(connection):
    connection.execute(
        "create table s2 (ts timestamp, b bool, t tinyint, s smallint, i int, g bigint, f float, d double, "
        "tu tinyint unsigned, su smallint unsigned, iu int unsigned, gu bigint unsigned, v varchar(20), n nchar(10), "
        "vb varbinary(8)) tags (g1 int, place nchar(8))"
    )
    statement = connection.statement2("insert into ? using s2 tags(?,?) values(" + ",".join("?" * 15) + ")")
    full = [True, -1, -2, -3, -4, 1.5, -2.5, 1, 2, 3, 4, "text", "中文", b"\x00\xff"]
    columns = [[T0, T0 + 1]] + [[value, None] for value in full]
    statement.bind_param(["s2a", "s2b"], [[1, "北"], [2, None]], [columns, columns])
    same("rows of two tables by stmt2", statement.execute(), 4)
    statement.close()
    got = rows(connection, "select b, t, s, i, g, f, d, tu, su, iu, gu, v, n, vb, g1, place from s2 order by g1, ts")
    same("a row of stmt2", got[0], tuple(full) + (1, "北"))
    same("NULL by stmt2", got[1], (None,) * 14 + (1, "北"))
    same("a NULL tag", got[2][14:], (2, None))

    super_table = connection.statement2("insert into s2 (tbname, ts, i, g1) values (?,?,?,?)")
    super_table.bind_param(None, None, [["s2c", T0, 9, 5]])
    same("a row by the super table", super_table.execute(), 1)
    super_table.close()
    query = connection.statement2("select i from s2 where g1 = ? and i < ?")
    query.set_columns_type([4, 4])
    query.bind_param(None, None, [[[5], [100]]])
    query.execute()
    same("a query by stmt2", list(query.result()), [(9,)])
    query.close()


def subscription(connection):
    connection.execute("create table watched (ts timestamp, v int, s nchar(8)) tags (g int)")
    connection.execute("create topic py_topic as select ts, v, s from watched")
    consumer = Consumer(
        {
            "group.id": "g",
            "td.connect.ip": "localhost",
            "td.connect.port": "6030",
            "td.connect.user": "root",
            "td.connect.pass": "taosdata",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": "false",
            "msg.with.table.name": "true",
        }
    )
    consumer.subscribe(["py_topic"])
    same("topics", consumer.list_topics(), ["py_topic"])
    connection.execute(f"insert into w1 using watched tags(1) values ({T0}, 1, 'é')({T0 + 1}, null, null)")
    connection.execute(f"insert into w2 using watched tags(2) values ({T0}, 2, 'b')")
    seen = []
    for _ in range(50):
        message = consumer.poll(0.2)
        if not message:
            continue
        same("topic of a message", message.topic(), "py_topic")
        same("database of a message", message.database(), "py")
        for block in message.value():
            seen += [row[1:] for row in block.fetchall()]
        consumer.commit(message)
        if len(seen) >= 3:
            break
    same("rows of a topic", sorted(seen, key=str), sorted([(1, "é"), (None, None), (2, "b")], key=str))
    places = consumer.assignment()
    same("something is assigned", len(places) >= 1, True)
    same("all of it was read", sum(place.offset < place.end for place in consumer.position(places)), 0)
    for place in consumer.assignment():
        place.offset = place.begin
        consumer.seek(place)
    same("something comes again after a seek", any(consumer.poll(0.5) for _ in range(10)), True)
    consumer.unsubscribe()
    consumer.close()
    connection.execute("drop topic py_topic")


def main():
    connection = connect()
    connection.execute("create database py keep 36500")
    connection.select_db("py")
    errors(connection)
    every_type(connection)
    many_rows(connection)
    precisions(connection)
    asynchronous(connection)
    schemaless(connection)
    first_generation(connection)
    second_generation(connection)
    subscription(connection)
    connection.close()
    same("functions that only other versions have", sorted(_UNSUPPORTED), OTHER_VERSIONS)


# Of version 2, and of later ones than this library's.
OTHER_VERSIONS = [
    "taos_connect_test",
    "taos_connect_token",
    "taos_connect_totp",
    "taos_consume",
    "taos_subscribe",
    "taos_unsubscribe",
]

main()
