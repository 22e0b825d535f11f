package docs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is what the page shows.
type document struct {
	Title, Summary, Description string
	Groups                      []group
}

// group is a tag with its operations.
type group struct {
	Name, Description string
	Operations        []operation
}

// operation is one method at one path.
type operation struct {
	ID, Method, Path, Summary, Description string
	Also                                   []string // further base paths
	Auth                                   []string // what may authorize it; empty: nothing is needed
	Optional                               bool     // it goes without, too
	Inputs                                 []input
	Replies                                []reply
}

// input is a body of some type, or the parameters.
type input struct {
	Kind    string
	Note    string
	Fields  []field
	Example string
}

// reply is one outcome.
type reply struct {
	Status, Description string
	Kinds               []string
	Fields              []field
	Example             string
}

// field is a member of an object, named by its path from the outside, or a
// parameter.
type field struct {
	Name, Type, Description string
	Required                bool
}

// reader resolves references within one document.
type reader struct{ root *yaml.Node }

func read(text []byte) (document, error) {
	var top yaml.Node
	if err := yaml.Unmarshal(text, &top); err != nil {
		return document{}, err
	}
	if top.Kind != yaml.DocumentNode {
		return document{}, errors.New("empty")
	}
	r := reader{top.Content[0]}
	info := at(r.root, "info")
	d := document{Title: str(info, "title"), Summary: str(info, "summary"), Description: str(info, "description")}
	for _, tag := range list(at(r.root, "tags")) {
		d.Groups = append(d.Groups, group{Name: str(tag, "name"), Description: str(tag, "description")})
	}
	err := each(at(r.root, "paths"), func(path string, item *yaml.Node) error {
		return r.path(&d, path, item)
	})
	return d, err
}

var methods = []string{"get", "put", "post", "delete"}

func (r reader) path(d *document, path string, item *yaml.Node) error {
	return each(item, func(method string, op *yaml.Node) error {
		if !slices.Contains(methods, method) {
			return nil
		}
		o, err := r.operation(item, op)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		o.Method, o.Path = strings.ToUpper(method), path
		tag := str(list(at(op, "tags"))[0], "")
		i := slices.IndexFunc(d.Groups, func(g group) bool { return g.Name == tag })
		if i < 0 {
			return fmt.Errorf("%s %s: no tag %q", method, path, tag)
		}
		d.Groups[i].Operations = append(d.Groups[i].Operations, o)
		return nil
	})
}

func (r reader) operation(item, op *yaml.Node) (operation, error) {
	o := operation{ID: str(op, "operationId"), Summary: str(op, "summary"), Description: str(op, "description")}
	if len(list(at(op, "tags"))) != 1 {
		return o, errors.New("not one tag")
	}
	for _, s := range list(at(item, "servers")) {
		if url := str(s, "url"); url != "/" {
			o.Also = append(o.Also, url)
		}
	}
	o.auth(at(op, "security"))
	if params, err := r.parameters(append(list(at(item, "parameters")), list(at(op, "parameters"))...)); err != nil {
		return o, err
	} else if len(params) > 0 {
		o.Inputs = append(o.Inputs, input{Kind: "Parameters", Fields: params})
	}
	err := each(at(op, "requestBody", "content"), func(kind string, media *yaml.Node) error {
		schema, err := r.resolve(at(media, "schema"))
		if err != nil {
			return err
		}
		fields, err := r.fields(schema, "", 0)
		o.Inputs = append(o.Inputs, input{
			Kind: kind, Note: str(schema, "description"), Fields: fields, Example: example(kind, at(media, "example")),
		})
		return err
	})
	if err != nil {
		return o, err
	}
	o.Replies, err = r.replies(at(op, "responses"))
	return o, err
}

// auth notes the alternatives of a security requirement.
func (o *operation) auth(security *yaml.Node) {
	for _, requirement := range list(security) {
		if len(requirement.Content) == 0 {
			o.Optional = true
		}
		_ = each(requirement, func(scheme string, scopes *yaml.Node) error {
			word := map[string]string{"serviceToken": "service token", "code": "the code", "session": "session cookie", "client": "client authentication",
				"accessToken": "access token", "keycloak": "Keycloak's token"}[scheme]
			for _, s := range list(scopes) {
				word += " of type `" + s.Value + "`"
			}
			o.Auth = append(o.Auth, word)
			return nil
		})
	}
}

func (r reader) parameters(nodes []*yaml.Node) ([]field, error) {
	var out []field
	for _, n := range nodes {
		p, err := r.resolve(n)
		if err != nil {
			return nil, err
		}
		schema, err := r.resolve(at(p, "schema"))
		if err != nil {
			return nil, err
		}
		out = append(out, field{
			Name: str(p, "name"), Type: str(p, "in") + ", " + r.typeOf(schema),
			Description: str(p, "description"), Required: str(p, "required") == "true",
		})
	}
	return out, nil
}

func (r reader) replies(responses *yaml.Node) ([]reply, error) {
	var out []reply
	err := each(responses, func(status string, n *yaml.Node) error {
		res, err := r.resolve(n)
		if err != nil {
			return err
		}
		one := reply{Status: status, Description: str(res, "description")}
		err = each(at(res, "content"), func(kind string, media *yaml.Node) error {
			one.Kinds = append(one.Kinds, kind)
			one.Example = example(kind, at(media, "example"))
			schema, err := r.resolve(at(media, "schema"))
			if err != nil || !strings.HasPrefix(status, "2") {
				return err
			}
			one.Fields, err = r.fields(schema, "", 0)
			return err
		})
		out = append(out, one)
		return err
	})
	return out, err
}
