package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// report is what a measurement prints: rows of a table, and the same as JSON.
type report struct {
	Title string `json:"title"`
	Rows  []row  `json:"rows"`
}

type row struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
}

func (r *report) add(name string, value float64, unit string) {
	r.Rows = append(r.Rows, row{name, value, unit})
}

// quantiles adds a row for the half that was quickest and one for all but the
// slowest hundredth.
func (r *report) quantiles(name string, samples []time.Duration) {
	r.add(name+", p50", micros(quantile(samples, .5)), "us")
	r.add(name+", p99", micros(quantile(samples, .99)), "us")
}

func (r *report) write(out io.Writer, asJSON bool) error {
	fmt.Fprintf(out, "%s\n", r.Title)
	for _, row := range r.Rows {
		fmt.Fprintf(out, "  %-60s %12.3f %s\n", row.Name, row.Value, row.Unit)
	}
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	return nil
}

func quantile(d []time.Duration, q float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(q*float64(len(d))))]
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// is says whether a call was refused with that code of the contract.
func is(err error, code string) bool {
	answer := struct {
		Code string `json:"code"`
	}{}
	no, ok := errors.AsType[*refused](err)
	return ok && json.Unmarshal(no.body, &answer) == nil && answer.Code == code
}
