package storetest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAudits_coverEveryEffect reads the core's source: its effects are the types
// with the method of the interface, which is not exported.
func TestAudits_coverEveryEffect(t *testing.T) {
	files, err := filepath.Glob("../*.go")
	if err != nil {
		t.Fatal(err)
	}
	var declared, named []string
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "effect" || f.Recv == nil || strings.HasSuffix(path, "_test.go") {
				continue
			}
			receiver, ok := f.Recv.List[0].Type.(*ast.Ident)
			if !ok {
				t.Fatalf("%s: an effect is a type of its own, and no pointer", path)
			}
			declared = append(declared, receiver.Name)
		}
	}
	for e, is := range audits {
		named = append(named, e.Name())
		if is.silent != "" && len(is.by) > 0 {
			t.Errorf("%s is silent, and has rows", e.Name())
		}
	}
	slices.Sort(declared)
	slices.Sort(named)
	if len(declared) < 30 {
		t.Fatalf("found %d effects only: %v", len(declared), declared)
	}
	if !slices.Equal(declared, named) {
		t.Errorf("effects of the core:\n%v\nof which is known how they are audited:\n%v\n"+
			"say in audited.go which rows the new one has, or why none", declared, named)
	}
}
