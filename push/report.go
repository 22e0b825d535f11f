package push

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/nod-auth/nod/approval/account"
)

// testLife is how long a test still matters: whoever asked for it is looking.
const testLife = 2 * time.Minute

// Test sends a test to one phone and says in a sentence what its provider answered
// and what to do about it. A phone without a kind stands for the channels that need
// no phone (webhook, log). It takes attemptTime, ten seconds, at most, and changes
// nothing.
func (p *Push) Test(ctx context.Context, phone account.Phone) (answer string, sent bool) {
	roads := p.roadsTo(phone)
	if len(roads) == 0 {
		return "This server has no channel for it. An operator has to configure one.", false
	}
	u, err := p.store.User(ctx, phone.UserID)
	var now time.Time
	if err == nil {
		now, err = p.store.Now(ctx)
	}
	if err != nil {
		p.log.WarnContext(ctx, "push test", "error", err)
		return "Nothing was sent: nod could not read its own data. Try again in a moment.", false
	}
	m := Message{ID: uuid.NewString(), Kind: Test, At: now, Until: now.Add(testLife), User: u}
	for _, r := range roads {
		err = errors.Join(err, p.send(ctx, r, m, testLife))
	}
	return tested(err), err == nil
}

func (p *Push) roadsTo(phone account.Phone) []road {
	if phone.Kind == "" {
		return p.shared
	}
	if c := p.byKind[phone.Kind]; c != nil {
		return []road{{name: phone.ID, label: string(phone.Kind), channel: c, phone: phone}}
	}
	return nil
}

func tested(err error) string {
	retry, later := errors.AsType[*RetryError](err)
	switch {
	case err == nil:
		return "The provider took it. If nothing shows within a few seconds, look at the phone's own notification settings."
	case errors.Is(err, ErrGone):
		return "The provider does not know this phone any more. Remove it here and turn notifications on again on that phone."
	case later && retry.After > 0:
		return fmt.Sprintf("The provider did not take it: %s. It asks to be tried again in %s.", plain(err), retry.After.Round(time.Second))
	case later, errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("The provider did not take it: %s. This may pass: try again in a moment.", plain(err))
	default:
		return fmt.Sprintf("It was refused: %s.", plain(err))
	}
}

// Finding is what can be said of one channel.
type Finding struct {
	Name string // the phones' kind or the channel's name
	OK   bool
	Says string // what it answered, as part of a sentence
	Do   string // what to do about it; "" when it is OK
}

// checker is a channel that can be asked without a phone.
type checker interface {
	// check ends with ctx and says, in part of a sentence, what is well. Its errors
	// are Send's.
	check(ctx context.Context) (says string, err error)
}

// Report asks every configured channel how it is, all at once and for attemptTime
// at most. The receiver of webhooks gets a signed nod.test that is about nobody.
func (p *Push) Report(ctx context.Context) []Finding {
	ctx, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var roads []road
	for _, kind := range p.Kinds() {
		roads = append(roads, road{name: string(kind), channel: p.byKind[kind]})
	}
	roads = append(roads, p.shared...)
	if len(roads) == 0 {
		return []Finding{{
			Name: "push", Says: "no channel is configured: nobody is prompted",
			Do: "set up Web Push, FCM, mail or a webhook; the QR code and the list of waiting requests work without",
		}}
	}
	out := make([]Finding, len(roads))
	var asking sync.WaitGroup
	for i, r := range roads {
		asking.Go(func() { out[i] = ask(ctx, r) })
	}
	asking.Wait()
	return out
}

func ask(ctx context.Context, r road) Finding {
	f := Finding{Name: r.name, OK: true, Says: "configured"}
	c, able := r.channel.(checker)
	if !able {
		return f
	}
	var err error
	if f.Says, err = c.check(ctx); err == nil {
		return f
	}
	f.OK, f.Do = false, advice[f.Name]
	if retry, later := errors.AsType[*RetryError](err); later {
		err, f.Do = retry.Err, "this may pass: try again in a moment; if it stays, "+advice[f.Name]
	}
	f.Says = plain(err)
	return f
}

// advice is where to look first.
var advice = map[string]string{
	string(account.PhoneWebPush): "set push-contact to an address under which push services find you, such as mailto:push@example.org",
	string(account.PhoneFCM):     "check fcm-credentials-file: a service account of the Firebase project, with the Cloud Messaging API (V1) switched on there",
	string(account.PhoneEmail):   "check smtp-url: the host, its port, user and password, and whether the server may be reached from here",
	webhookName:                  "check push-webhook-url and that its receiver answers 2xx within ten seconds; an address that is not public has to be in push-allow-networks",
}
