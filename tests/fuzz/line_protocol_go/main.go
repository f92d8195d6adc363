// Reads line protocol from standard input with InfluxData's own parser and writes what it understood, a JSON object a
// line: measurement, tags, fields as [type, value], time in nanoseconds; or the error.
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"strconv"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

type record struct {
	Measurement string               `json:"measurement"`
	Tags        map[string]string    `json:"tags"`
	Fields      map[string][2]string `json:"fields"`
	Time        string               `json:"time"`
	Error       string               `json:"error,omitempty"`
}

func value(v lineprotocol.Value) [2]string {
	switch x := v.Interface().(type) {
	case int64:
		return [2]string{"int", strconv.FormatInt(x, 10)}
	case uint64:
		return [2]string{"uint", strconv.FormatUint(x, 10)}
	case float64:
		return [2]string{"float", strconv.FormatFloat(x, 'g', -1, 64)}
	case bool:
		return [2]string{"bool", strconv.FormatBool(x)}
	case string:
		return [2]string{"string", x}
	default:
		return [2]string{"?", ""}
	}
}

func read(line []byte) (out record) {
	out.Tags, out.Fields = map[string]string{}, map[string][2]string{}
	decoder := lineprotocol.NewDecoderWithBytes(line)
	fail := func(err error) record { out.Error = err.Error(); return out }
	if !decoder.Next() {
		out.Error = "no record"
		return out
	}
	name, err := decoder.Measurement()
	if err != nil {
		return fail(err)
	}
	out.Measurement = string(name)
	for {
		key, tag, err := decoder.NextTag()
		if err != nil {
			return fail(err)
		}
		if key == nil {
			break
		}
		out.Tags[string(key)] = string(tag)
	}
	for {
		key, field, err := decoder.NextField()
		if err != nil {
			return fail(err)
		}
		if key == nil {
			break
		}
		out.Fields[string(key)] = value(field)
	}
	at, err := decoder.Time(lineprotocol.Nanosecond, time.Time{})
	if err != nil {
		return fail(err)
	}
	out.Time = strconv.FormatInt(at.UnixNano(), 10)
	return out
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 1<<20)
	out := json.NewEncoder(os.Stdout)
	out.SetEscapeHTML(false)
	for lines.Scan() {
		if err := out.Encode(read(lines.Bytes())); err != nil {
			panic(err)
		}
	}
}
