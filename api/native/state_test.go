package native_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/nod-auth/nod/api/internal/apitest"
	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

func TestMetrics_tellHowQuicklyAWaiterHears(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	h := open(t, func(s *apitest.Setup) { s.API.Metrics = registry })
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	code := app.Generate("ada", "long", nil)
	held := h.Held(waitCall(app, code))
	if got := gathered(t, registry, "nod_waits_held"); got != 1 {
		t.Errorf("got %v held, want 1", got)
	}
	app.Authorize(code)
	h.Answer(held).Want(http.StatusOK)
	app.Wait(code, nil).Want(http.StatusOK) // again, and not slept for
	h.Until("the counters are written", func() bool { return gathered(t, registry, "nod_waits_total") == 2 })
	if got := gathered(t, registry, "nod_decision_to_reply_seconds"); got != 1 {
		t.Errorf("got %v observations, want 1", got)
	}
}

// gathered is a metric's value, or its number of observations.
func gathered(t *testing.T, from prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return 0
}

func TestState_followsARequestWithoutCollectingIt(t *testing.T) {
	h := open(t)
	app, u := h.NewApp(account.Client{}), h.NewUser("ada")
	code := app.Generate("ada", "short", nil)
	ask := func(since int64, code apitest.Code) Call {
		return Call{
			Path:   fmt.Sprintf("/api/native/requests/%s/state?since=%d", code.RequestID, since),
			Header: map[string]string{"Authorization": "Code " + code.Code},
		}
	}
	var st struct {
		State      string
		Version    int64
		ApprovedAs string `json:"approved_as"`
	}
	h.Do(ask(0, code)).Want(http.StatusOK).Into(&st)
	if st.State != "pending" {
		t.Fatalf("got %+v, want pending", st)
	}
	held := h.Held(ask(st.Version, code))
	handle := account.Secret(code.ApprovalURL[strings.LastIndex(code.ApprovalURL, "/")+1:])
	_, err := h.Service.Opened(t.Context(), approval.Ref{Way: approval.Scanned, Secret: handle}, approval.Viewer{User: u})
	must(app, err)
	h.Answer(held).Want(http.StatusOK).Into(&st)
	if st.State != "opened" {
		t.Fatalf("got %+v, want opened", st)
	}
	held = h.Held(ask(st.Version, code))
	app.Authorize(code).Want(http.StatusOK)
	h.Answer(held).Want(http.StatusOK).Into(&st)
	if st.State != "approved" || st.ApprovedAs != "ada" {
		t.Fatalf("got %+v, want approved as ada", st)
	}
	app.Wait(code, nil).Want(http.StatusOK) // still there to be collected
	h.Do(ask(0, code)).Want(http.StatusOK).Into(&st)
	if st.State != "approved" {
		t.Errorf("got %+v after it was collected, want approved", st)
	}

	declined := app.Generate("ada", "long", nil)
	decline(h, declined, u)
	h.Do(ask(0, declined)).Want(http.StatusOK).Into(&st)
	if st.State != "denied" {
		t.Errorf("got %+v, want denied", st)
	}
	expired := app.Generate("ada", "long", nil)
	h.advance(11 * time.Minute)
	h.Do(ask(0, expired)).Want(http.StatusOK).Into(&st)
	if st.State != "expired" {
		t.Errorf("got %+v, want expired", st)
	}
}

func TestState_isToldOnlyToTheHolderOfTheCode(t *testing.T) {
	h := open(t)
	app := h.NewApp(account.Client{})
	h.NewUser("ada")
	mine, other := app.Generate("ada", "long", nil), app.Generate("ada", "long", nil)
	at := "/requests/" + mine.RequestID + "/state"
	for header, want := range map[string]int{
		"":                         http.StatusUnauthorized,
		"Bearer " + mine.Code:      http.StatusUnauthorized,
		"Code ":                    http.StatusUnauthorized,
		"Code " + other.Code:       http.StatusNotFound,
		"Code " + mine.MatchNumber: http.StatusNotFound,
		"Code " + mine.ApprovalURL[len(mine.ApprovalURL)-43:]: http.StatusNotFound,
		"Code " + mine.Code: http.StatusOK,
	} {
		h.Do(Call{Path: at, Header: map[string]string{"Authorization": header}}).Want(want)
	}
	h.Do(Call{Path: at + "?since=soon", Header: map[string]string{"Authorization": "Code " + mine.Code}}).Want(http.StatusBadRequest, "request_validation_error")
	nobody := "/requests/00000000-0000-4000-8000-000000000000/state"
	h.Do(Call{Path: nobody, Header: map[string]string{"Authorization": "Code " + mine.Code}}).Want(http.StatusNotFound, "verification_code_not_found")
}
