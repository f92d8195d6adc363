//! Drives a server through TDengine's Rust client, unmodified: queries, schemaless, statements, a consumer.
//!
//!     rust_client DSN            ws://127.0.0.1:6041 over WebSocket, taos://localhost:6030 over libtaos.so
//!
//! Prints what passed; exits 1 at the first difference.

use std::time::Duration;

use taos::taos_query::common::{SchemalessPrecision, SchemalessProtocol, SmlDataBuilder};
use taos::*;

type Outcome = Result<(), Box<dyn std::error::Error>>;

const T0: i64 = 1_700_000_000_000;

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: T, wanted: T) {
    if got != wanted {
        println!("{what}:\n  wanted {wanted:?}\n  got    {got:?}");
        std::process::exit(1);
    }
    println!("{what}: as it should be");
}

fn refused<T>(what: &str, code: i32, result: RawResult<T>) {
    match result {
        Ok(_) => same(what, "no error".to_string(), format!("{code:#06x}")),
        Err(error) => same(what, i32::from(error.code()) & 0xffff, code),
    }
}

/// Rows as the client prints their values, one text a row.
async fn rows(taos: &Taos, sql: &str) -> RawResult<Vec<String>> {
    let mut result = taos.query(sql).await?;
    let records = result.to_records().await?;
    Ok(records
        .iter()
        .map(|row| row.iter().map(text).collect::<Vec<_>>().join(" "))
        .collect())
}

fn text(value: &Value) -> String {
    if value.is_null() {
        return "NULL".to_string();
    }
    value.to_string().unwrap_or_default()
}

async fn errors(taos: &Taos) -> Outcome {
    refused(
        "a missing table",
        0x2603,
        taos.query("select * from nope").await,
    );
    refused("a syntax error", 0x2600, taos.query("selec 1").await);
    refused("a missing database", 0x0388, taos.exec("use nope").await);
    Ok(())
}

async fn every_type(taos: &Taos) -> Outcome {
    taos.exec(
        "create table types (ts timestamp, b bool, t tinyint, s smallint, i int, g bigint, tu tinyint unsigned, \
         su smallint unsigned, iu int unsigned, gu bigint unsigned, f float, d double, v varchar(20), n nchar(10), \
         vb varbinary(8), geo geometry(64))",
    )
    .await?;
    let written = taos
        .exec(format!(
            "insert into types values ({T0},true,-1,-2,-3,-4,1,2,3,18446744073709551615,1.5,-2.5,'abc','wörld中',\
             '\\x00ff','POINT(1 2)') ({}{})",
            T0 + 1,
            ",null".repeat(15)
        ))
        .await?;
    same("rows written", written, 2);
    let mut result = taos.query("select * from types").await?;
    let names: Vec<_> = result
        .fields()
        .iter()
        .map(|field| field.name().to_string())
        .collect();
    same(
        "names of fields",
        names.join(" "),
        "ts b t s i g tu su iu gu f d v n vb geo".to_string(),
    );
    let records: Vec<Vec<Value>> = result.to_records().await?;
    same("rows read", records.len(), 2);
    let wanted = vec![
        Value::Bool(true),
        Value::TinyInt(-1),
        Value::SmallInt(-2),
        Value::Int(-3),
        Value::BigInt(-4),
        Value::UTinyInt(1),
        Value::USmallInt(2),
        Value::UInt(3),
        Value::UBigInt(u64::MAX),
        Value::Float(1.5),
        Value::Double(-2.5),
        Value::VarChar("abc".into()),
        Value::NChar("wörld中".into()),
    ];
    same("a value of every type", records[0][1..14].to_vec(), wanted);
    same(
        "a time",
        rows(taos, "select cast(ts as bigint) from types limit 1").await?,
        vec![T0.to_string()],
    );
    same(
        "NULL of every type",
        records[1][1..]
            .iter()
            .filter(|value| value.is_null())
            .count(),
        15,
    );
    taos.exec("create table json_tags (ts timestamp, v int) tags (j json)")
        .await?;
    taos.exec(format!(
        "insert into j1 using json_tags tags ('{{\"k\":\"é\"}}') values ({T0}, 1)"
    ))
    .await?;
    same(
        "a JSON tag",
        rows(taos, "select j from json_tags").await?,
        vec!["{\"k\":\"é\"}".to_string()],
    );
    Ok(())
}

async fn many_rows(taos: &Taos) -> Outcome {
    taos.exec("create table many (ts timestamp, v int)").await?;
    let count = 10_000;
    let values: String = (0..count).map(|i| format!("({},{i})", T0 + i)).collect();
    same(
        "rows written in one statement",
        taos.exec(format!("insert into many values {values}"))
            .await?,
        count as usize,
    );
    let read = rows(taos, "select v from many").await?;
    same(
        "rows in several blocks",
        read,
        (0..count).map(|i| i.to_string()).collect(),
    );
    Ok(())
}

async fn schemaless(taos: &Taos) -> Outcome {
    let put = |protocol, precision, lines: Vec<String>| {
        SmlDataBuilder::default()
            .protocol(protocol)
            .precision(precision)
            .data(lines)
            .ttl(100)
            .req_id(7u64)
            .build()
    };
    let lines = vec![
        format!("line,host=a v=1i64 {T0}"),
        format!("line,host=b v=2i64 {T0}"),
    ];
    taos.put(&put(
        SchemalessProtocol::Line,
        SchemalessPrecision::Millisecond,
        lines,
    )?)
    .await?;
    let telnet = vec![format!("tel {T0} 1.5 host=a")];
    taos.put(&put(
        SchemalessProtocol::Telnet,
        SchemalessPrecision::Millisecond,
        telnet,
    )?)
    .await?;
    let json = vec![format!(
        "[{{\"metric\":\"js\",\"timestamp\":{T0},\"value\":2,\"tags\":{{\"host\":\"a\"}}}}]"
    )];
    taos.put(&put(
        SchemalessProtocol::Json,
        SchemalessPrecision::Millisecond,
        json,
    )?)
    .await?;
    let wanted = vec!["1 a".to_string(), "2 b".to_string()];
    same(
        "lines read back",
        rows(taos, "select v, host from line order by v").await?,
        wanted,
    );
    same(
        "telnet read back",
        rows(taos, "select count(*) from tel").await?,
        vec!["1".to_string()],
    );
    same(
        "JSON read back",
        rows(taos, "select count(*) from js").await?,
        vec!["1".to_string()],
    );
    let bad = put(
        SchemalessProtocol::Line,
        SchemalessPrecision::Millisecond,
        vec!["bad".to_string()],
    )?;
    refused("a bad line", 0x3002, taos.put(&bad).await);
    Ok(())
}

async fn statements(taos: &Taos) -> Outcome {
    taos.exec(
        "create table st (ts timestamp, b bool, t tinyint, s smallint, i int, g bigint, tu tinyint unsigned, \
         su smallint unsigned, iu int unsigned, gu bigint unsigned, f float, d double, v varchar(20), n nchar(10)) \
         tags (place varchar(20))",
    )
    .await?;
    let mut statement = Stmt::init(taos).await?;
    statement
        .prepare(&format!(
            "insert into ? using st tags(?) values({})",
            vec!["?"; 14].join(",")
        ))
        .await?;
    for table in ["s1", "s2"] {
        statement.set_tbname(table).await?;
        statement
            .set_tags(&[Value::VarChar(format!("place of {table}"))])
            .await?;
        let columns = [
            ColumnView::from_millis_timestamp(vec![T0, T0 + 1]),
            ColumnView::from_bools(vec![Some(true), None]),
            ColumnView::from_tiny_ints(vec![Some(-1), None]),
            ColumnView::from_small_ints(vec![Some(-2), None]),
            ColumnView::from_ints(vec![Some(-3), None]),
            ColumnView::from_big_ints(vec![Some(-4), None]),
            ColumnView::from_unsigned_tiny_ints(vec![Some(1), None]),
            ColumnView::from_unsigned_small_ints(vec![Some(2), None]),
            ColumnView::from_unsigned_ints(vec![Some(3), None]),
            ColumnView::from_unsigned_big_ints(vec![Some(u64::MAX), None]),
            ColumnView::from_floats(vec![Some(1.5), None]),
            ColumnView::from_doubles(vec![Some(-2.5), None]),
            ColumnView::from_varchar::<&str, _, _, _>(vec![Some("abc"), None]),
            ColumnView::from_nchar::<&str, _, _, _>(vec![Some("wörld中"), None]),
        ];
        statement.bind(&columns).await?.add_batch().await?;
    }
    same("rows by statement", statement.execute().await?, 4);
    let first = "true -1 -2 -3 -4 1 2 3 18446744073709551615 1.5 -2.5 abc wörld中";
    let nulls = vec!["NULL"; 13].join(" ");
    let wanted: Vec<String> = ["s1", "s2"]
        .iter()
        .flat_map(|table| {
            [
                format!("{first} place of {table}"),
                format!("{nulls} place of {table}"),
            ]
        })
        .collect();
    let sql = "select b, t, s, i, g, tu, su, iu, gu, f, d, v, n, place from st order by place, ts";
    same(
        "rows by statement read back",
        rows(taos, sql).await?,
        wanted,
    );

    let mut broken = Stmt::init(taos).await?;
    let refusal = match broken.prepare("insert into nope values(?,?)").await {
        Ok(broken) => {
            let columns = [
                ColumnView::from_millis_timestamp(vec![T0]),
                ColumnView::from_ints(vec![1]),
            ];
            broken.bind(&columns).await.map(|_| ())
        }
        Err(error) => Err(error),
    };
    refused("a missing table by statement", 0x2603, refusal);
    Ok(())
}

async fn consumer(taos: &Taos, dsn: &str) -> Outcome {
    taos.exec("create table watched (ts timestamp, v int, s nchar(8)) tags (g int)")
        .await?;
    taos.exec("drop topic if exists rust_topic").await?;
    taos.exec("create topic rust_topic as stable watched")
        .await?;
    let options =
        "group.id=rust&client.id=c&timeout=1s&auto.offset.reset=earliest&enable.auto.commit=false";
    let mut consumer = TmqBuilder::from_dsn(format!("{dsn}?{options}"))?
        .build()
        .await?;
    consumer.subscribe(["rust_topic"]).await?;
    taos.exec(format!(
        "insert into w1 using watched tags(1) values ({T0}, 1, 'é')({}, null, null)",
        T0 + 1
    ))
    .await?;
    taos.exec(format!(
        "insert into w2 using watched tags(2) values ({T0}, 2, 'b')"
    ))
    .await?;
    let mut seen = Vec::new();
    for _ in 0..50 {
        let Some((offset, message)) = consumer.recv_timeout(Timeout::from_millis(300)).await?
        else {
            continue;
        };
        same("topic of a message", offset.topic(), "rust_topic");
        same("database of a message", offset.database(), "rust");
        if let Some(data) = message.into_data() {
            while let Some(block) = data.fetch_raw_block().await? {
                let table = block.table_name().unwrap_or("?").to_string();
                for row in block.to_values() {
                    seen.push(format!("{table} {} {}", text(&row[1]), text(&row[2])));
                }
            }
        }
        consumer.commit(offset).await?;
        if seen.len() >= 3 {
            break;
        }
    }
    seen.sort();
    same(
        "rows of a topic",
        seen,
        vec![
            "w1 1 é".to_string(),
            "w1 NULL NULL".to_string(),
            "w2 2 b".to_string(),
        ],
    );
    let places = consumer.assignments().await.unwrap_or_default();
    same("a topic is assigned", places.len(), 1);
    for (topic, parts) in places {
        for part in parts {
            let position = consumer.position(&topic, part.vgroup_id()).await?;
            same("all of it was read", position, part.end());
            consumer
                .offset_seek(&topic, part.vgroup_id(), part.begin())
                .await?;
        }
    }
    let mut again = false;
    for _ in 0..20 {
        again = again
            || consumer
                .recv_timeout(Timeout::from_millis(300))
                .await?
                .is_some();
    }
    same("messages come again after a seek", again, true);
    consumer.unsubscribe().await;
    for _ in 0..50 {
        if taos.exec("drop topic rust_topic").await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await; // the consumer leaves in its own time
    }
    Err("the topic stays in use".into())
}

#[tokio::main]
async fn main() -> Outcome {
    let dsn = std::env::args().nth(1).ok_or("usage: rust_client DSN")?;
    let builder = TaosBuilder::from_dsn(&dsn)?;
    same(
        "version of the server",
        builder.server_version().await?,
        "3.3.7.5",
    );
    let first = builder.build().await?;
    first
        .exec_many([
            "drop database if exists rust",
            "create database rust keep 36500",
        ])
        .await?;
    // Over WebSocket lines and statements have connections of their own, in the database that the DSN names.
    let taos = TaosBuilder::from_dsn(format!("{dsn}/rust"))?
        .build()
        .await?;
    errors(&taos).await?;
    every_type(&taos).await?;
    many_rows(&taos).await?;
    schemaless(&taos).await?;
    statements(&taos).await?;
    consumer(&taos, &dsn).await?;
    println!("all of it passed");
    Ok(())
}
