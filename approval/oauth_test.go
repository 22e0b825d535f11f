package approval

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nod-auth/nod/approval/account"
)

func anOAuthClient() account.Client {
	return account.Client{Type: account.ClientOAuth, OAuth: &account.OAuth{
		Grants: []account.GrantType{account.GrantDeviceCode, account.GrantCIBA}, SecretHash: []byte("hash"),
		Scopes: []account.ScopeText{{Scope: account.ScopeOpenID}, {Scope: "tv.watch", Says: "watch films"}, {Scope: "raw"}},
	}}
}

func TestCheckOAuth_fills_in_the_contract_s_defaults(t *testing.T) {
	c := anOAuthClient()
	o, err := checkOAuth(c)
	if err != nil {
		t.Fatal(err)
	}
	if o.Auth != account.AuthBasic || o.IDTokenAlg != "ES256" || o.Delivery != account.DeliverPoll || o.Hold != 0 ||
		o.DeviceCodeLife != 10*time.Minute || o.BackchannelLife != 2*time.Minute || o.AccessLife != 10*time.Minute ||
		o.IDTokenLife != 10*time.Minute || o.RefreshIdle != 30*24*time.Hour {
		t.Errorf("got %+v", o)
	}
	if o.Scopes[0].Says != "know who you are" || o.Scopes[1].Says != "watch films" || o.Scopes[2].Says != "raw" {
		t.Errorf("got scopes %+v, want each in words", o.Scopes)
	}
	if c.OAuth.Scopes[0].Says != "" || c.OAuth.AccessLife != 0 {
		t.Error("the caller's own was changed")
	}
}

func TestCheckOAuth_names_what_is_wrong(t *testing.T) {
	for name, tc := range map[string]struct {
		field  string
		change func(c *account.Client)
	}{
		"fine":                 {"", func(*account.Client) {}},
		"nothing, of a native": {"", func(c *account.Client) { c.Type, c.OAuth = account.ClientWeb, nil }},
		"a hold of 25 s":       {"", func(c *account.Client) { c.OAuth.Hold = account.MaxHold }},
		"public, device grant": {"", func(c *account.Client) { c.OAuth.Auth, c.OAuth.Grants = account.AuthNone, c.OAuth.Grants[:1] }},
		"ping": {"", func(c *account.Client) {
			c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, "https://rp.example/ping"
		}},
		"ping on this machine": {"", func(c *account.Client) {
			c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, "http://[::1]:8080/ping"
		}},
		"nothing":            {"grants", func(c *account.Client) { c.OAuth = nil }},
		"of a native client": {"type", func(c *account.Client) { c.Type = account.ClientWeb }},
		"no grant":           {"grant", func(c *account.Client) { c.OAuth.Grants = nil }},
		"unknown method":     {"auth", func(c *account.Client) { c.OAuth.Auth = "tls_client_auth" }},
		"public, CIBA":       {"auth", func(c *account.Client) { c.OAuth.Auth = account.AuthNone }},
		"no secret":          {"secret", func(c *account.Client) { c.OAuth.SecretHash = nil }},
		"a hold of 35 s":     {"hold", func(c *account.Client) { c.OAuth.Hold = 35 * time.Second }},
		"none":               {"id_token_alg", func(c *account.Client) { c.OAuth.IDTokenAlg = "none" }},
		"push":               {"delivery", func(c *account.Client) { c.OAuth.Delivery = "push" }},
		"ping to nobody":     {"notification", func(c *account.Client) { c.OAuth.Delivery = account.DeliverPing }},
		"ping in clear": {"notification", func(c *account.Client) {
			c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, "http://rp.example/"
		}},
		"ping with a password": {"notification", func(c *account.Client) {
			c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, "https://a:b@rp.example/"
		}},
		"ping to a fragment": {"notification", func(c *account.Client) {
			c.OAuth.Delivery, c.OAuth.Notification = account.DeliverPing, "https://rp.example/#a"
		}},
		"a channel without end":   {"callback", func(c *account.Client) { c.Type = account.ClientKeycloak }},
		"a scope with a space":    {"scope", func(c *account.Client) { c.OAuth.Scopes[0].Scope = "a b" }},
		"a scope with a quote":    {"scope", func(c *account.Client) { c.OAuth.Scopes[0].Scope = `a"b` }},
		"an empty scope":          {"scope", func(c *account.Client) { c.OAuth.Scopes[0].Scope = "" }},
		"deceptive words":         {"scope", func(c *account.Client) { c.OAuth.Scopes[0].Says = "read \u202email" }},
		"a device code for a day": {"device_code_life", func(c *account.Client) { c.OAuth.DeviceCodeLife = 24 * time.Hour }},
		"half an hour of CIBA":    {"backchannel_life", func(c *account.Client) { c.OAuth.BackchannelLife = 30 * time.Minute }},
		"a week of access":        {"access_life", func(c *account.Client) { c.OAuth.AccessLife = 7 * 24 * time.Hour }},
		"a second of ID token":    {"id_token_life", func(c *account.Client) { c.OAuth.IDTokenLife = time.Second }},
		"a refresh token a year":  {"refresh_idle", func(c *account.Client) { c.OAuth.RefreshIdle = 500 * 24 * time.Hour }},
	} {
		c := anOAuthClient()
		tc.change(&c)
		_, err := checkOAuth(c)
		var invalid *InvalidError
		switch {
		case tc.field == "" && err != nil:
			t.Errorf("%s: got %v", name, err)
		case tc.field != "" && (!errors.As(err, &invalid) || invalid.Field != tc.field):
			t.Errorf("%s: got %v, want it to name %s", name, err, tc.field)
		}
	}
}

func TestCIBACode_is_one_user_s_however_it_is_spelled(t *testing.T) {
	c := testCodes(t)
	ada, bob := account.User{ID: "ada", NamespaceID: "ns"}, account.User{ID: "bob", NamespaceID: "ns"}
	if string(c.CIBACode(ada, "BCDF-GHJK")) != string(c.CIBACode(ada, "bcdf ghjk")) {
		t.Error("its spelling counts")
	}
	if string(c.CIBACode(ada, "BCDF-GHJK")) == string(c.CIBACode(bob, "BCDF-GHJK")) {
		t.Error("it is everybody's")
	}
}

func TestDetails_are_shown_as_they_are_carried_or_refused(t *testing.T) {
	for in, want := range map[string]string{
		"":     "",
		"null": "null",
		" [ { \"type\" : \"pay\" , \"amount\" : 1e2 } ] ": `[{"type":"pay","amount":1e2}]`,
		`[{"to":"<Bob> & co","n":[1,{"a":{"b":null}}]}]`:  `[{"to":"<Bob> & co","n":[1,{"a":{"b":null}}]}]`,
		`[{"a":{"x":1},"b":{"x":1}},{"a":2}]`:             `[{"a":{"x":1},"b":{"x":1}},{"a":2}]`,
		`[{"to":"\u4f60"}]`:                               `[{"to":"\u4f60"}]`,
	} {
		got, err := cleanDetails(json.RawMessage(in))
		if err != nil || string(got) != want {
			t.Errorf("%q: got %q, %v; want %q", in, got, err, want)
		}
	}
	for name, in := range map[string]string{
		"no JSON": "{", "two values": "{} {}", "half of it": `[{"a":1}`, "broken UTF-8": "\"\xff\"",
		"a member twice": `{"to":"Bob","to":"Eve"}`, "twice, spelled differently": `[{"to":"Bob","\u0074o":"Eve"}]`, "twice, deep": `[[{"a":{"b":1,"b":2}}]]`,
		"an override": `["a\u202eb"]`, "one in a name": `{"a\u202eb":1}`, "a raw one": "[\"a\u202eb\"]", "a line end": `["a\nb"]`, "a NUL": `["\u0000"]`,
		"too long": `["` + strings.Repeat("x", maxDetails) + `"]`,
	} {
		var invalid *InvalidError
		if got, err := cleanDetails(json.RawMessage(in)); !errors.As(err, &invalid) || invalid.Field != detailsField {
			t.Errorf("%s: got %q, %v; want it refused", name, got, err)
		}
	}
}

func TestDetails_that_were_taken_are_stable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.OneOf(rapid.String(), rapid.StringMatching(`[\[\]{}:,"a0 \\u]{0,20}`)).Draw(t, "in")
		out, err := cleanDetails(json.RawMessage(in))
		if err != nil || len(in) == 0 {
			return
		}
		if !json.Valid(out) {
			t.Fatalf("%q became %q", in, out)
		}
		if twice, err := cleanDetails(out); err != nil || string(twice) != string(out) {
			t.Fatalf("%q became %q, %v", out, twice, err)
		}
	})
}
