module penstock.bench/line_go

go 1.18

require github.com/influxdata/line-protocol/v2 v2.2.1
