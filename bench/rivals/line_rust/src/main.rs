//! Line protocol with the crate influxdb-line-protocol: `line_rust FILE COLUMN [--threads N]`. Every line is parsed and
//! every field value read; prints what tools/compare reads. The file lies in memory before anything is timed.

use influxdb_line_protocol::{parse_lines, FieldValue};
use std::hint::black_box;
use std::time::Instant;

#[repr(C)]
struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

extern "C" {
    fn clock_gettime(clock: i32, time: *mut Timespec) -> i32;
}

/// Processor time of all threads of the process.
fn cpu_seconds() -> f64 {
    const CLOCK_PROCESS_CPUTIME_ID: i32 = 2;
    let mut time = Timespec {
        seconds: 0,
        nanoseconds: 0,
    };
    // SAFETY: the struct has the layout of timespec on 64-bit Linux and outlives the call.
    unsafe { clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.seconds as f64 + time.nanoseconds as f64 * 1e-9
}

fn number(value: &FieldValue) -> f64 {
    match value {
        FieldValue::I64(v) => *v as f64,
        FieldValue::U64(v) => *v as f64,
        FieldValue::F64(v) => *v,
        FieldValue::Boolean(v) => *v as u8 as f64,
        FieldValue::String(v) => v.len() as f64,
    }
}

/// Rows, and the sum of a column where one is given.
fn parse(text: &str, column: Option<&str>) -> (u64, f64) {
    let (mut rows, mut sum) = (0, 0.0);
    for line in parse_lines(text) {
        let line = line.unwrap_or_else(|error| panic!("a line is bad: {error}"));
        rows += 1;
        match column {
            Some(name) => {
                sum += line
                    .field_set
                    .iter()
                    .filter(|field| field.0 == name)
                    .map(|field| number(&field.1))
                    .sum::<f64>()
            }
            None => {
                black_box(&line);
            }
        }
    }
    (rows, sum)
}

fn parse_parts(parts: &[&str], column: Option<&str>) -> (u64, f64) {
    if let [part] = parts {
        return parse(part, column);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = parts
            .iter()
            .map(|part| scope.spawn(move || parse(part, column)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .fold((0, 0.0), |a, b| (a.0 + b.0, a.1 + b.1))
    })
}

/// As many parts as there are threads, each but the last ending behind a newline.
fn parts_of(mut text: &str, threads: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    for left in (2..=threads).rev() {
        let Some(end) = text.as_bytes()[text.len() / left..]
            .iter()
            .position(|byte| *byte == b'\n')
        else {
            break;
        };
        let (part, rest) = text.split_at(text.len() / left + end + 1);
        parts.push(part);
        text = rest;
    }
    parts.push(text);
    parts
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let threads = arguments.get(4).map_or(1, |text| text.parse().unwrap());
    let text = std::fs::read_to_string(&arguments[1]).unwrap();
    let parts = parts_of(&text, threads);
    let (rows, sum) = parse_parts(&parts, Some(&arguments[2]));
    let (began, used) = (Instant::now(), cpu_seconds());
    let (again, _) = parse_parts(&parts, None);
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - used);
    assert_eq!(rows, again);
    println!(
        "{{\"rows\": {rows}, \"sum\": {sum}, \"seconds\": {seconds}, \"cpu_seconds\": {cpu}}}"
    );
}
