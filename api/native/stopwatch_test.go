package native_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/approval/sqlstore"
	"github.com/nod-auth/nod/approval/sqlstore/freshdb"
)

const (
	// named is how many users are asked about, and as many names of nobody.
	named = 5
	// Two answers are alike when their times differ by less than half a write, the
	// cheapest thing that could be done for one kind of name alone and be told from
	// outside, or by less than a tenth: to read a row takes longer than to find none.
	ofWrite, ofAnswer = 0.5, 0.1
	// rounds is how often a difference must show before it is believed.
	rounds = 3
)

// pairs are timed in a round. Threats B4 names 10,000, which is what NOD_SOAK is for.
func pairs() int {
	switch {
	case os.Getenv("NOD_SOAK") != "":
		return 10_000
	case testing.Short():
		return 40
	}
	return 60
}

// free is a pacer that welcomes everybody.
type free struct{ approval.Pacer }

func (free) Take(context.Context, string, int, time.Duration) time.Duration { return 0 }

func unlimited(s *apitest.Setup) {
	const many = math.MaxInt32
	s.API.Pacer, s.API.InitsPerMinute = free{}, many
	s.Core.Guesses = approval.Guesses{PerUser: many, PerUserHourly: many, PerAddress: many, PerClient: many}
}

// question asks something of a name, without a token.
type question struct {
	about string
	ready func(name string) *http.Request
}

// questions are all that anybody may ask of a name: codes that are wrong, passkeys
// that are asked for, a passkey of somebody else, a recovery code that is wrong.
func questions(app *apitest.App) []question {
	post := func(path string, body M) *http.Request {
		body["client_id"] = app.Client.ID
		text, err := json.Marshal(body)
		if err != nil {
			app.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, app.URL+path, strings.NewReader(string(text)))
		r.Header.Set("Content-Type", "application/json")
		return r
	}
	wrong := func(kind string) M { return M{"code": "not it", "type": kind} }
	of := func(path string, body func() M) question {
		return question{path, func(name string) *http.Request {
			b := body()
			b["username"] = name
			return post(path, b)
		}}
	}
	intruder := newPerson(app, "mallory")
	forged := question{"/authenticate/fido2/complete", func(name string) *http.Request {
		began := app.Post("/authenticate/fido2/init", "", M{"username": name}).Want(http.StatusOK)
		payload, _ := began.JSON["assertion_payload"].(M)
		allowed := payload["allowCredentials"]
		delete(payload, "allowCredentials")
		text, err := json.Marshal(began.JSON)
		if err != nil {
			app.Fatal(err)
		}
		began.Text = string(text)
		answer := intruder.assertion(app, began, app.URL)
		if list, _ := allowed.([]any); len(list) > 0 {
			answer["credential_id"] = list[0].(M)["id"]
		}
		return post("/authenticate/fido2/complete", M{"username": name, "assertion_payload": answer})
	}}
	recovery := question{"/recover", func(name string) *http.Request {
		form := url.Values{"username": {name}, "code": {"BCDF-GHJK-LMNP-QRST"}}
		r := httptest.NewRequest(http.MethodPost, app.URL+"/recover", strings.NewReader(form.Encode()))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return r
	}}
	return []question{
		of(waitPath, func() M { return M{"authentication_code": wrong("short")} }),
		of("/authenticate/code/wait", func() M { return M{"authentication_code": wrong("phrase"), "no_wait": true} }),
		of("/credentials/fido2/init/code", func() M { return M{"authentication_code": wrong("long")} }),
		of("/authenticate/fido2/init", func() M { return M{} }),
		of("/codes/phrase/generate/fido2/init", func() M { return M{"purpose": "add_credential"} }),
		forged, recovery,
	}
}

// difference asks n times about somebody and about nobody, in turns, and says how
// much longer the one takes than the other, in the median of the pairs: what disturbs
// the machine meanwhile meets both. They are alike between -1 and 1.
func difference(t *testing.T, h *apitest.House, q question, n int) float64 {
	t.Helper()
	known, more, write := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		names := [2]string{fmt.Sprint("user-", i%named), fmt.Sprint("none-", i%named)}
		var took [2]time.Duration
		var status [2]int
		for turn := range names {
			who := (turn + i) % 2 // who is first changes, too
			r := q.ready(names[who])
			w := httptest.NewRecorder()
			began := time.Now()
			h.Server.Config.Handler.ServeHTTP(w, r)
			took[who], status[who] = time.Since(began), w.Code
		}
		if status[0] != status[1] {
			t.Fatalf("%s: %s got %d, %s got %d", q.about, names[0], status[0], names[1], status[1])
		}
		began := time.Now()
		if err := writeOnce(h.Store); err != nil {
			t.Fatal(err)
		}
		known[i], more[i], write[i] = float64(took[0]), float64(took[1]-took[0]), float64(time.Since(began))
	}
	return median(more) / max(ofWrite*median(write), ofAnswer*median(known))
}

// writeOnce is as small as a write can be.
func writeOnce(s approval.Store) error {
	return s.Take(context.Background(), []approval.Budget{{Key: "once", Limit: math.MaxInt32, Window: time.Minute}})
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// TestUnknownUsers_takeAsLongAsKnownOnes is the stopwatch of threats B4; what it
// cannot see for noise, TestUnknownUsers_costTheStoreWhatKnownOnesDo counts.
func TestUnknownUsers_takeAsLongAsKnownOnes(t *testing.T) {
	h := open(t, unlimited)
	app := h.NewApp(account.Client{})
	for i := range named {
		name := fmt.Sprint("user-", i)
		newPerson(app, name)
		app.Generate(name, "short", nil)
	}
	for _, q := range questions(app) {
		var got float64
		for round := 0; round == 0 || math.Abs(got) >= 1 && round < rounds; round++ {
			got = difference(t, h.House, q, pairs())
		}
		if math.Abs(got) >= 1 {
			t.Errorf("%s: the times of answers about nobody and about somebody differ by %+.1f times what is alike", q.about, got)
		}
	}
}

// leaky is a store that writes something down for whoever is not there.
type leaky struct{ apitest.Store }

func (s leaky) UserByName(ctx context.Context, ns, name string) (account.User, error) {
	u, err := s.Store.UserByName(ctx, ns, name)
	if err != nil {
		err = errors.Join(err, writeOnce(s.Store))
	}
	return u, err
}

func TestUnknownUsers_whoCostAWriteMoreAreNoticed(t *testing.T) {
	s, err := sqlstore.Open(t.Context(), freshdb.File(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	h := apitest.Open(t, leaky{s}, unlimited)
	app := h.NewApp(account.Client{})
	for i := range named {
		newPerson(app, fmt.Sprint("user-", i))
	}
	all := questions(app)
	begin := all[slices.IndexFunc(all, func(q question) bool { return q.about == "/authenticate/fido2/init" })]
	var got float64
	for round := 0; got < 1 && round < rounds; round++ {
		got = difference(t, h, begin, pairs())
	}
	if got < 1 {
		t.Errorf("got a difference of %.2f, want one that is not alike any more", got)
	}
}
