"""CSV to typed columns in memory: read_csv.py pyarrow|duckdb|polars FILE COLUMN [--threads N]; prints what tools/compare
reads. All three find the types themselves and end with a table of all columns; pyarrow reads from memory, the others
from the file in the page cache. A first pass, which is not timed, warms up and gives the sum.
"""

import json
import os
import sys
import time

library, path, column = sys.argv[1:4]
threads = int(sys.argv[5]) if len(sys.argv) > 5 else 1
os.environ["POLARS_MAX_THREADS"] = str(threads)  # read when polars is imported

if library == "pyarrow":
    import pyarrow
    import pyarrow.compute
    import pyarrow.csv

    pyarrow.set_cpu_count(threads)
    with open(path, "rb") as file:
        text = pyarrow.py_buffer(file.read())

    def read():
        return pyarrow.csv.read_csv(pyarrow.BufferReader(text), pyarrow.csv.ReadOptions(use_threads=threads > 1))

    def found(table):
        return table.num_rows, pyarrow.compute.sum(table[column]).as_py()

elif library == "duckdb":
    import duckdb
    import pyarrow.compute

    connection = duckdb.connect(config={"threads": threads})

    def read():
        return connection.read_csv(path).to_arrow_table()

    def found(table):
        return table.num_rows, pyarrow.compute.sum(table[column]).as_py()

else:
    import polars

    def read():
        return polars.read_csv(path)

    def found(table):
        return table.height, table[column].sum()


rows, total = found(read())
began, used = time.monotonic(), time.process_time()
table = read()
seconds, cpu = time.monotonic() - began, time.process_time() - used
assert found(table)[0] == rows
print(json.dumps({"rows": rows, "sum": float(total), "seconds": seconds, "cpu_seconds": cpu}))
