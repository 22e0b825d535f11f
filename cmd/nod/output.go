package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/cmd/nod/config"
)

// output is the form in which a command prints data: for people or for programs.
// It is the value of the flag --output.
type output string

const (
	asText output = "text"
	asJSON output = "json"
)

func addOutput(c *cobra.Command) *output {
	o := asText
	c.Flags().Var(&o, "output", "form of what is printed, text or json")
	return &o
}

// Set takes text or json.
func (o *output) Set(s string) error {
	switch v := output(strings.ToLower(s)); v {
	case asText, asJSON:
		*o = v
		return nil
	}
	if near := config.Nearest(s, []string{string(asText), string(asJSON)}); near != "" {
		return fmt.Errorf("did you mean %s?", near)
	}
	return fmt.Errorf("use text or json")
}

func (o *output) String() string { return string(*o) }

// Type is what help texts show in place of the value.
func (*output) Type() string { return "text|json" }

// print writes data as JSON, or lets people write it as text.
func (o output) print(c *cobra.Command, data any, people func(w io.Writer)) error {
	if o == asText {
		people(c.OutOrStdout())
		return nil
	}
	e := json.NewEncoder(c.OutOrStdout())
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(data)
}

// table writes rows in columns; the first row is the heading.
func table(w io.Writer, rows ...[]string) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // as for any other print
}

// note writes a sentence for people beside the data.
func note(c *cobra.Command, format string, args ...any) {
	fmt.Fprintf(c.ErrOrStderr(), format+"\n", args...)
}

// orDash fills an empty cell, so that columns stay columns for cut and awk.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
