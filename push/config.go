package push

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push/egress"
)

// Store is what the package needs of the durable truth; approval.Store and
// approval.Outbox say what each method promises.
type Store interface {
	approval.Outbox
	approval.HookQueue
	account.Phones
	Webhook(ctx context.Context, id string) (account.Webhook, error)
	User(ctx context.Context, id string) (account.User, error)
	Find(ctx context.Context, k approval.Key) (approval.Request, error)
	Now(ctx context.Context) (time.Time, error)
}

// Config is what an operator decides, and what the house hands over. Store, Codes,
// PublicURL and Key are required; a channel whose settings are empty is off.
type Config struct {
	Store     Store
	Codes     *approval.Codes
	PublicURL string // nod's own origin, without a slash at its end
	Key       []byte // 32 bytes, derived from the master key for this package alone

	VAPID    VAPID          // Web Push; the zero pair: off
	Contact  string         // VAPID's sub: mailto: or https:; "": PublicURL
	Services []string       // see ParseServices
	Allow    []netip.Prefix // ranges that may be dialled although they are not public, servers that want answers and webhooks too

	FCMCredentials []byte // a service account's JSON
	FCMEndpoint    string // "": Google's

	SMTPURL  account.Secret // smtp://user:password@host:587 or smtps://…:465
	SMTPFrom string

	WebhookURL    string
	WebhookSecret account.Secret // whsec_…

	LogPrompts bool // writes links into the log, for development

	Log     *slog.Logger          // nil: slog.Default
	Metrics prometheus.Registerer // nil: nobody looks
}

// Push reaches people. Make one with New.
type Push struct {
	store   Store
	codes   *approval.Codes
	public  string
	vapid   VAPID
	log     *slog.Logger
	metrics *metrics
	book    book
	byKind  map[account.PhoneKind]Channel // over which a phone of a kind is reached
	shared  []road                        // the channels that need no phone
	servers *Answers
	prompts *queue
	notices *queue
	answers *queue
	hooks   *Hooks
	told    *hookQueue
	closers []func() // drop what clients keep open
}

// The names of the channels that need no phone. No phone's id is one of them.
const (
	webhookName = "webhook"
	logName     = "log"
)

// New checks everything that can be checked and reports all faults at once, each
// with what to do about it. Unless FCM is configured it calls nobody; wrong FCM
// credentials are found by using them, which takes 5 s at most. It starts nothing.
func New(ctx context.Context, c Config) (*Push, error) {
	if c.Store == nil || c.Codes == nil {
		return nil, errors.New("push: store and codes are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	c.PublicURL = strings.TrimSuffix(c.PublicURL, "/")
	p := &Push{
		store: c.Store, codes: c.Codes, public: c.PublicURL, vapid: c.VAPID, log: c.Log,
		byKind: make(map[account.PhoneKind]Channel),
	}
	p.prompts = newQueue(p, approval.TopicPrompt, promptsInFlight, promptBackoff)
	p.notices = newQueue(p, approval.TopicNotice, noticesInFlight, noticeBackoff)
	p.answers = newQueue(p, approval.TopicAnswer, answersInFlight, answerBackoff)
	services, err := ParseServices(c.Services)
	if err != nil {
		err = fmt.Errorf("push-services: %w", err)
	}
	var bookErr, answersErr, hooksErr error
	p.book, bookErr = newBook(c.Key, services)
	p.servers, answersErr = newAnswers(p, c)
	p.hooks, hooksErr = newHooks(p, c)
	p.told = newHookQueue(p)
	err = errors.Join(err, bookErr, answersErr, hooksErr, p.addWebPush(c, services), p.addFCM(ctx, c), p.addMail(c), p.addWebhook(c))
	if err != nil {
		p.close()
		return nil, err
	}
	p.addLog(c)
	p.metrics = newMetrics(c.Metrics)
	return p, nil
}

func (p *Push) addWebPush(c Config, services Services) error {
	if c.VAPID.Public() == "" {
		return nil
	}
	contact, invented := c.contact()
	channel, err := newWebPush(c.VAPID, contact, services, p.client(c, services.Ports()...))
	if err != nil {
		return fmt.Errorf("push-contact: %w", err)
	}
	if channel.warning != "" && !invented {
		p.log.Warn("push-contact: " + channel.warning)
	}
	p.byKind[account.PhoneWebPush] = channel
	return nil
}

// contact is whom push services are told to ask. Where there is neither a contact
// nor an https origin, on a developer's machine, one is invented.
func (c Config) contact() (contact string, invented bool) {
	switch {
	case c.Contact != "":
		return c.Contact, false
	case strings.HasPrefix(c.PublicURL, "https://"):
		return c.PublicURL, false
	default:
		return "mailto:nod@localhost", true
	}
}

func (p *Push) addFCM(ctx context.Context, c Config) error {
	if len(c.FCMCredentials) == 0 {
		return nil
	}
	channel, err := newFCM(ctx, c.FCMCredentials, c.FCMEndpoint)
	if err != nil {
		return fmt.Errorf("fcm-credentials-file: %w", err)
	}
	if channel.warning != "" {
		p.log.Warn("fcm-credentials-file: " + channel.warning)
	}
	p.byKind[account.PhoneFCM] = channel
	p.closers = append(p.closers, channel.close)
	return nil
}

func (p *Push) addMail(c Config) error {
	if c.SMTPURL == "" {
		return nil
	}
	channel, err := newMailer(c.SMTPURL, c.SMTPFrom, c.PublicURL)
	if err != nil {
		return err
	}
	p.byKind[account.PhoneEmail] = channel
	return nil
}

func (p *Push) addWebhook(c Config) error {
	if c.WebhookURL == "" {
		return nil
	}
	u, err := parseWebhookURL(c.WebhookURL)
	switch {
	case err != nil:
		return err
	case u.Scheme == "http" && len(c.Allow) == 0:
		return errors.New("push-webhook-url: must be https; http is spoken only to the ranges named in push-allow-networks")
	}
	channel, err := newWebhook(c.WebhookURL, c.WebhookSecret, c.PublicURL, p.client(c, webhookPort(u)))
	if err != nil {
		return err
	}
	p.shared = append(p.shared, road{name: webhookName, label: webhookName, channel: channel})
	return nil
}

func (p *Push) addLog(c Config) {
	if !c.LogPrompts {
		return
	}
	p.log.Warn("push-log writes links to waiting requests into the log: it is for development alone")
	p.shared = append(p.shared, road{name: logName, label: logName, channel: &logChannel{p.log, c.PublicURL}})
}

func (p *Push) client(c Config, ports ...uint16) *http.Client {
	client := egress.New(egress.Config{Allow: slices.Clone(c.Allow), Ports: ports, Timeout: attemptTime})
	p.closers = append(p.closers, client.CloseIdleConnections)
	return client
}

func (p *Push) close() {
	for _, f := range p.closers {
		f()
	}
}

// Key is the public key that browsers subscribe with, "" when Web Push is off.
func (p *Push) Key() string { return p.vapid.Public() }

// Kinds lists the kinds of phones that can be reached.
func (p *Push) Kinds() []account.PhoneKind {
	var kinds []account.PhoneKind
	for _, k := range account.PhoneKinds {
		if p.byKind[k] != nil {
			kinds = append(kinds, k)
		}
	}
	return kinds
}
