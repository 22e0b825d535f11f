package push

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

func testConfig(t *testing.T) Config {
	t.Helper()
	store, err := sqlstore.Open(t.Context(), freshdb.File(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	codes, err := approval.NewCodes(bytes.Repeat([]byte{1}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return Config{Store: store, Codes: codes, PublicURL: "https://nod.example", Key: bytes.Repeat([]byte{2}, 32)}
}

func TestNew_faults_are_reported_all_at_once(t *testing.T) {
	c := testConfig(t)
	c.Key = c.Key[1:]
	c.VAPID, c.Contact = newTestVAPID(t), "the operator"
	c.Services = []string{"not a host"}
	c.FCMCredentials = []byte(`{"private_key":"secret-4711"}`)
	c.SMTPURL, c.SMTPFrom = "mail.example.org:secret-4711", "nod@example.com"
	c.WebhookURL, c.WebhookSecret = "http://hooks.example.org/secret-4711", "secret-4711"
	_, err := New(t.Context(), c)
	if err == nil {
		t.Fatal("new: got no error")
	}
	for _, want := range []string{
		"push key: 31 bytes", "push-contact:", "push-services:", "fcm-credentials-file:", "smtp-url:", "push-webhook-url:",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("new: got\n%v\nwant %q in it", err, want)
		}
	}
	if strings.Contains(err.Error(), "secret-4711") {
		t.Errorf("new: got\n%v\nwant no secret in it", err)
	}
}

func TestNew_each_setting_is_judged(t *testing.T) {
	for _, c := range []struct {
		name string
		set  func(*Config)
		want string // "": it is right
	}{
		{"nothing", func(*Config) {}, ""},
		{"a webhook", func(c *Config) { c.WebhookURL, c.WebhookSecret = "https://hooks.example.org/nod", hookSecret }, ""},
		{"no secret", func(c *Config) { c.WebhookURL = "https://hooks.example.org/nod" }, "push-webhook-secret"},
		{"a secret without its prefix", func(c *Config) {
			c.WebhookURL, c.WebhookSecret = "https://hooks.example.org/nod", account.Secret(hookSecret[6:])
		}, "push-webhook-secret"},
		{"a short secret", func(c *Config) { c.WebhookURL, c.WebhookSecret = "https://hooks.example.org/nod", "whsec_MDEy" }, "push-webhook-secret"},
		{"a password", func(c *Config) {
			c.WebhookURL, c.WebhookSecret = "https://nod:pass@hooks.example.org/nod", hookSecret
		}, "must not carry"},
		{"a mail server", func(c *Config) { c.SMTPURL, c.SMTPFrom = "smtps://nod:pass@mail.example.org", "nod@example.org" }, ""},
		{"no sender", func(c *Config) { c.SMTPURL = "smtps://mail.example.org" }, "smtp-from"},
		{"a mail port", func(c *Config) { c.SMTPURL, c.SMTPFrom = "smtp://mail.example.org:99999", "nod@example.org" }, "port"},
		{"another scheme", func(c *Config) { c.SMTPURL, c.SMTPFrom = "imap://mail.example.org", "nod@example.org" }, "smtp-url"},
	} {
		config := testConfig(t)
		c.set(&config)
		_, err := New(t.Context(), config)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.want)
		}
	}
}

func TestNew_kinds_are_those_with_a_channel(t *testing.T) {
	c := testConfig(t)
	c.VAPID = newTestVAPID(t)
	c.SMTPURL, c.SMTPFrom = "smtp://localhost:2525", "nod@example.org"
	p, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]account.PhoneKind{account.PhoneWebPush, account.PhoneEmail}, p.Kinds()); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
	if got := p.Key(); got != c.VAPID.Public() {
		t.Errorf("key: got %s, want %s", got, c.VAPID.Public())
	}
}

func TestNew_without_FCM_calls_nobody(t *testing.T) {
	c := testConfig(t)
	c.VAPID = newTestVAPID(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := New(ctx, c); err != nil {
		t.Fatal(err)
	}
}
