// Line protocol with github.com/influxdata/line-protocol/v2: line_go FILE COLUMN [--threads N]. Every tag, field value
// and timestamp is decoded; prints what tools/compare reads. The file lies in memory before anything is timed.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/influxdata/line-protocol/v2/lineprotocol"
)

// What keeps the compiler from leaving out work whose result nobody wants.
var sink int

type found struct {
	rows uint64
	sum  float64
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "line_go:", err)
		os.Exit(1)
	}
}

func number(value lineprotocol.Value) float64 {
	switch value.Kind() {
	case lineprotocol.Int:
		return float64(value.IntV())
	case lineprotocol.Uint:
		return float64(value.UintV())
	case lineprotocol.Float:
		return value.FloatV()
	}
	return 0
}

func parse(text []byte, column []byte) found {
	var result found
	kept := 0
	decoder := lineprotocol.NewDecoderWithBytes(text)
	for decoder.Next() {
		measurement, err := decoder.Measurement()
		must(err)
		kept += len(measurement)
		for {
			key, value, err := decoder.NextTag()
			must(err)
			if key == nil {
				break
			}
			kept += len(value)
		}
		for {
			key, value, err := decoder.NextField()
			must(err)
			if key == nil {
				break
			}
			if column == nil {
				kept += int(value.Kind())
			} else if bytes.Equal(key, column) {
				result.sum += number(value)
			}
		}
		at, err := decoder.Time(lineprotocol.Nanosecond, time.Time{})
		must(err)
		kept += at.Nanosecond()
		result.rows++
	}
	must(decoder.Err())
	if kept < 0 {
		panic("lengths below zero")
	}
	return result
}

func parseParts(parts [][]byte, column []byte) found {
	results := make([]found, len(parts))
	var threads sync.WaitGroup
	for i := range parts {
		threads.Add(1)
		go func(i int) {
			defer threads.Done()
			results[i] = parse(parts[i], column)
		}(i)
	}
	threads.Wait()
	var all found
	for _, result := range results {
		all.rows += result.rows
		all.sum += result.sum
	}
	return all
}

// As many parts as there are threads, each but the last ending behind a newline.
func partsOf(text []byte, threads int) [][]byte {
	var parts [][]byte
	for left := threads; left > 1; left-- {
		end := bytes.IndexByte(text[len(text)/left:], '\n')
		if end < 0 {
			break
		}
		end += len(text)/left + 1
		parts = append(parts, text[:end])
		text = text[end:]
	}
	return append(parts, text)
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	must(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) * 1e-9
}

func main() {
	threads := 1
	if len(os.Args) > 4 {
		var err error
		threads, err = strconv.Atoi(os.Args[4])
		must(err)
	}
	runtime.GOMAXPROCS(threads)
	text, err := os.ReadFile(os.Args[1])
	must(err)
	parts := partsOf(text, threads)
	expected := parseParts(parts, []byte(os.Args[2]))
	used, began := cpuSeconds(), time.Now()
	again := parseParts(parts, nil)
	seconds, cpu := time.Since(began).Seconds(), cpuSeconds()-used
	if again.rows != expected.rows {
		must(fmt.Errorf("two passes over the same file gave other rows"))
	}
	sink += int(again.rows)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"rows": expected.rows, "sum": expected.sum, "seconds": seconds, "cpu_seconds": cpu}))
}
