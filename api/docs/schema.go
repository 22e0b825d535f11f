package docs

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxDepth is how deep members are listed by path; what lies deeper is called an
// object.
const maxDepth = 3

// fields lists an object's members, those of its parts (allOf) and of its inner
// objects included.
func (r reader) fields(schema *yaml.Node, prefix string, depth int) ([]field, error) {
	var out []field
	for _, part := range list(at(schema, "allOf")) {
		inner, err := r.resolve(part)
		if err != nil {
			return nil, err
		}
		more, err := r.fields(inner, prefix, depth)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	needed := list(at(schema, "required"))
	err := each(at(schema, "properties"), func(name string, n *yaml.Node) error {
		member, err := r.resolve(n)
		if err != nil {
			return err
		}
		isName := func(n *yaml.Node) bool { return n.Value == name }
		out = append(out, field{
			Name: prefix + name, Type: r.typeOf(member), Description: str(member, "description"), Required: slices.ContainsFunc(needed, isName),
		})
		if depth+1 >= maxDepth {
			return nil
		}
		inside, below := member, prefix+name+"."
		if str(member, "type") == "array" {
			if inside, err = r.resolve(at(member, "items")); err != nil {
				return err
			}
			below = prefix + name + "[]."
		}
		more, err := r.fields(inside, below, depth+1)
		out = append(out, more...)
		return err
	})
	return out, err
}

// typeOf says in a few words what a schema allows.
func (r reader) typeOf(schema *yaml.Node) string {
	if schema == nil {
		return "anything"
	}
	var words []string
	if values := list(at(schema, "enum")); len(values) > 0 {
		var names []string
		for _, v := range values {
			names = append(names, v.Value)
		}
		words = append(words, strings.Join(names, " | "))
	} else if c := at(schema, "const"); c != nil {
		words = append(words, c.Value)
	} else if t := str(schema, "type"); t != "" {
		words = append(words, t)
	} else {
		words = append(words, "object")
	}
	if format := str(schema, "format"); format != "" {
		words = append(words, format)
	}
	if most := str(schema, "maxLength"); most != "" {
		words = append(words, "at most "+most)
	}
	if otherwise := at(schema, "default"); otherwise != nil {
		words = append(words, "default "+otherwise.Value)
	}
	return strings.Join(words, ", ")
}

// resolve follows a reference within the document.
func (r reader) resolve(n *yaml.Node) (*yaml.Node, error) {
	ref := str(n, "$ref")
	if ref == "" {
		return n, nil
	}
	path, ok := strings.CutPrefix(ref, "#/")
	if !ok {
		return nil, fmt.Errorf("reference %s: leads out of the document", ref)
	}
	found := at(r.root, strings.Split(path, "/")...)
	if found == nil {
		return nil, fmt.Errorf("reference %s: leads nowhere", ref)
	}
	return r.resolve(found)
}

// at walks down the members of mappings; nil when there is no such way.
func at(n *yaml.Node, names ...string) *yaml.Node {
	for _, name := range names {
		var next *yaml.Node
		_ = each(n, func(key string, value *yaml.Node) error {
			if key == name {
				next = value
			}
			return nil
		})
		n = next
	}
	return n
}

// str is a member's scalar text; with no name the node's own.
func str(n *yaml.Node, name string) string {
	if name != "" {
		n = at(n, name)
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// list is a sequence's items.
func list(n *yaml.Node) []*yaml.Node {
	n = straight(n)
	if n == nil || n.Kind != yaml.SequenceNode {
		return nil
	}
	out := make([]*yaml.Node, len(n.Content))
	for i, item := range n.Content {
		out[i] = straight(item)
	}
	return out
}

// each visits a mapping's members in their order, those it takes over from another
// (<<) included.
func each(n *yaml.Node, visit func(key string, value *yaml.Node) error) error {
	n = straight(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	own := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		own[n.Content[i].Value] = true
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i].Value, n.Content[i+1]
		var err error
		if key != "<<" {
			err = visit(key, straight(value))
		} else {
			err = each(value, func(key string, value *yaml.Node) error {
				if own[key] {
					return nil
				}
				return visit(key, value)
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// straight follows YAML's own aliases.
func straight(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
