package oauth

import (
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/api/wire"
)

const formType = "application/x-www-form-urlencoded"

func read(kind, body string) (form, error) {
	gin.SetMode(gin.ReleaseMode)
	c, _ := gin.CreateTestContext(httptest.NewRecorder())
	c.Request = httptest.NewRequest(http.MethodPost, "/oauth/token?grant_type=from+the+query", strings.NewReader(body))
	c.Request.Header.Set("Content-Type", kind)
	return readForm(c)
}

func TestReadForm_takesOneFormAndNothingElse(t *testing.T) {
	const secret = "hunter2"
	for name, c := range map[string]struct {
		kind, body string
		status     int // 0: it is read
	}{
		"a form":                 {formType, "a=1&b=x+y%26z", 0},
		"with a charset":         {formType + "; charset=UTF-8", "a=1&b=x+y%26z", 0},
		"empty values":           {formType, "a=1&b=x+y%26z&c=&d", 0},
		"unknown parameters":     {formType, "a=1&b=x+y%26z&whatever=7", 0},
		"JSON":                   {"application/json", `{"a":"` + secret + `"}`, 400},
		"JSON that says form":    {formType, `{"a":"` + secret + `"}` + "%", 400},
		"multipart":              {"multipart/form-data; boundary=x", "--x--", 400},
		"no type":                {"", "a=1", 400},
		"a broken type":          {"; ;", "a=1", 400},
		"a repeated parameter":   {formType, "a=1&a=1&b=" + secret, 400},
		"repeated and empty":     {formType, "a=1&a=", 400},
		"repeated and unknown":   {formType, "a=1&x=1&x=" + secret, 400},
		"a repeat, encoded":      {formType, "a=1&%61=2", 400},
		"a semicolon":            {formType, "a=1;b=" + secret, 400},
		"broken percent":         {formType, "a=%zz" + secret, 400},
		"broken UTF-8":           {formType, "a=%ff" + secret, 400},
		"broken UTF-8 in a name": {formType, "%ff=" + secret, 400},
		"a NUL":                  {formType, "a=%00" + secret, 400},
		"too large":              {formType, "a=" + strings.Repeat("x", 16<<10), 413},
	} {
		in, err := read(c.kind, c.body)
		e, _ := errors.AsType[*wire.Error](err)
		switch {
		case c.status == 0 && err != nil:
			t.Errorf("%s: got %v, want a form", name, err)
		case c.status == 0 && (in.get("a") != "1" || in.get("b") != "x y&z" || in.get("c") != "" || in.get("grant_type") != ""):
			t.Errorf("%s: got %v", name, in)
		case c.status != 0 && (e == nil || e.Status != c.status || e.Code != codeInvalidRequest):
			t.Errorf("%s: got %v, want %d %s", name, err, c.status, codeInvalidRequest)
		case c.status != 0 && strings.Contains(e.Message+e.Error(), secret):
			t.Errorf("%s: the error repeats what was sent: %s, %s", name, e.Message, e)
		}
	}
}

func TestForm_wordsAreListedOnce(t *testing.T) {
	in, err := parseForm("scope=+b++a+b+c")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := in.words("scope"), []string{"b", "a", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := in.words("other"); got != nil {
		t.Errorf("got %q, want none", got)
	}
}

func FuzzReadForm(f *testing.F) {
	for _, body := range []string{"a=1&b=2", "a=1&a=2", "a=%ff", "a;b", "=", "&&", "a=%00", "%41=1&A=2", "a=b=c", "+=+"} {
		f.Add(formType, body)
	}
	f.Add("application/json", `{"a":1}`)
	f.Fuzz(func(t *testing.T, kind, body string) {
		in, err := read(kind, body)
		if err != nil {
			if _, ok := errors.AsType[*wire.Error](err); !ok {
				t.Errorf("got %v, want a reply", err)
			}
			return
		}
		want, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("got a form from what is none: %v", err)
		}
		for _, name := range slices.Sorted(maps.Keys(want)) {
			value := want[name]
			if len(value) != 1 || in.get(name) != value[0] || !utf8.ValidString(value[0]) {
				t.Errorf("%q: got %q from %q", name, in.get(name), value)
			}
		}
	})
}

func TestAskedDetails_areObjectsWithATypeAndNoNameTwice(t *testing.T) {
	for text, right := range map[string]bool{
		`[{"type":"payment","amount":{"value":"1"}}]`:        true,
		`[{"type":"a"},{"type":"b","x":[{"y":1},{"y":2}]}]`:  true,
		`[{"type":"a","x":{"y":"y","z":["y","y"]},"y":"y"}]`: true,
		`[]`: false, `{}`: false, `{"type":"a"}`: false, `[{}]`: false, `["a"]`: false, `[null]`: false, `null`: false,
		`[{"type":1}]`: false, `[{"type":""}]`: false, `[{"type":null}]`: false, `[{"type":"a"}`: false, `[{"type":"a"}]x`: false,
		`[{"Type":"a"}]`: false, `[{"type":"a","type":"b"}]`: false, `[{"type":"a","x":{"y":1,"y":2}}]`: false,
		`[{"type":"a","x":[{"y":1,"\u0079":2}]}]`: false, `[{"type":"a","x":[[],{}],"x":1}]`: false,
	} {
		got, err := askedDetails(form{url.Values{"authorization_details": {text}}})
		if right && (err != nil || string(got) != text) {
			t.Errorf("%s: got %s, %v", text, got, err)
		}
		if e, _ := errors.AsType[*wire.Error](err); !right && (e == nil || e.Code != codeInvalidDetails) {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, codeInvalidDetails)
		}
	}
}

func FuzzAskedDetails(f *testing.F) {
	for _, text := range []string{`[{"type":"a"}]`, `[{"type":"a","x":[{"y":1,"y":2}]}]`, `[[[`, `]`, `[{"type":"a"}]]`, `{"a"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := askedDetails(form{url.Values{"authorization_details": {text}}}); err != nil {
			if e, ok := errors.AsType[*wire.Error](err); !ok || e.Code != codeInvalidDetails {
				t.Errorf("got %v, want %s", err, codeInvalidDetails)
			}
		}
	})
}
