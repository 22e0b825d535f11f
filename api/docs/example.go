package docs

import (
	"encoding/json"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// example writes an example as it goes over the wire, with line breaks to read it: a
// form as its pairs, anything else as JSON. "" for none.
func example(kind string, n *yaml.Node) string {
	var out strings.Builder
	switch {
	case n == nil:
	case kind == "application/x-www-form-urlencoded":
		_ = each(n, func(name string, value *yaml.Node) error {
			if out.Len() > 0 {
				out.WriteString("\n&")
			}
			out.WriteString(url.QueryEscape(name) + "=" + url.QueryEscape(value.Value))
			return nil
		})
	default:
		writeJSON(&out, n, "\n")
	}
	return out.String()
}

// writeJSON keeps the members in their order. Each line begins with newline, which
// ends in the indentation.
func writeJSON(out *strings.Builder, n *yaml.Node, newline string) {
	between, inside := "", newline+"  "
	switch n.Kind {
	case yaml.MappingNode:
		out.WriteString("{")
		_ = each(n, func(name string, value *yaml.Node) error {
			out.WriteString(between + inside + quoted(name) + ": ")
			writeJSON(out, value, inside)
			between = ","
			return nil
		})
		out.WriteString(newline + "}")
	case yaml.SequenceNode:
		out.WriteString("[")
		for _, item := range list(n) {
			out.WriteString(between)
			writeJSON(out, item, newline)
			between = ", "
		}
		out.WriteString("]")
	default:
		if n.Tag == "!!str" {
			out.WriteString(quoted(n.Value))
		} else {
			out.WriteString(n.Value)
		}
	}
}

func quoted(s string) string {
	text, _ := json.Marshal(s) // a string can be encoded
	return string(text)
}
