package virtual

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// App is an application installed on one phone.
type App struct {
	fcm   *FCM
	token string
	inbox *inbox[Notification]
}

// Notification is one message as FCM took it for an application.
type Notification struct {
	Title, Body string
	Data        map[string]string
	Android     struct {
		Priority string
		TTL      time.Duration
		Tag      string
	}
	APNS    map[string]string // headers
	Webpush map[string]string // headers
	Raw     json.RawMessage   // the message as it was sent
	At      time.Time
}

// Install puts the application on a phone, which gives it a registration token.
func (f *FCM) Install() *App {
	app := &App{fcm: f, token: rand.Text() + ":" + rand.Text(), inbox: newInbox[Notification]()}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apps[app.token] = app
	return app
}

// Token is the application's registration token.
func (a *App) Token() string { return a.token }

// Receive waits for the oldest message that was not received yet. The error is
// the context's.
func (a *App) Receive(ctx context.Context) (Notification, error) { return a.inbox.receive(ctx) }

// Pending is how many messages were not received yet.
func (a *App) Pending() int { return a.inbox.len() }

// Uninstall removes the application: FCM answers UNREGISTERED from now on.
func (a *App) Uninstall() {
	a.fcm.mu.Lock()
	defer a.fcm.mu.Unlock()
	a.fcm.apps[a.token] = nil
}

// sendRequest is what messages:send takes, as far as a phone sees it.
type sendRequest struct {
	ValidateOnly bool            `json:"validate_only"`
	Message      json.RawMessage `json:"message"`
}

type wireMessage struct {
	Token        string            `json:"token"`
	Data         map[string]string `json:"data"`
	Notification struct {
		Title string `json:"title"`
		Body  string `json:"body"`
	} `json:"notification"`
	Android struct {
		Priority     string `json:"priority"`
		TTL          string `json:"ttl"` // "300s" or "1.500000000s"
		Notification struct {
			Tag string `json:"tag"`
		} `json:"notification"`
	} `json:"android"`
	APNS struct {
		Headers map[string]string `json:"headers"`
	} `json:"apns"`
	Webpush struct {
		Headers map[string]string `json:"headers"`
	} `json:"webpush"`
}

func (f *FCM) deliver(w http.ResponseWriter, body []byte) {
	var request sendRequest
	var m wireMessage
	if json.Unmarshal(body, &request) != nil || json.Unmarshal(request.Message, &m) != nil {
		writeAPIError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "message")
		return
	}
	n, err := m.notification()
	if err != nil {
		writeAPIError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "message.android.ttl")
		return
	}
	f.mu.Lock()
	app, known := f.apps[m.Token]
	f.mu.Unlock()
	switch {
	case !known:
		writeAPIError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "message.token")
		return
	case app == nil:
		writeAPIError(w, http.StatusNotFound, "UNREGISTERED", "")
		return
	}
	if !request.ValidateOnly {
		n.Raw = request.Message
		app.inbox.put(n)
	}
	writeJSON(w, http.StatusOK, map[string]string{"name": "projects/" + project + "/messages/" + rand.Text()})
}

func (m wireMessage) notification() (Notification, error) {
	n := Notification{
		Title: m.Notification.Title, Body: m.Notification.Body, Data: m.Data,
		APNS: m.APNS.Headers, Webpush: m.Webpush.Headers, At: time.Now(),
	}
	n.Android.Priority, n.Android.Tag = m.Android.Priority, m.Android.Notification.Tag
	if m.Android.TTL == "" {
		return n, nil
	}
	var err error
	n.Android.TTL, err = time.ParseDuration(m.Android.TTL)
	return n, err
}

// canonical are Google's status words for HTTP's numbers.
var canonical = map[int]string{
	http.StatusBadRequest:          "INVALID_ARGUMENT",
	http.StatusUnauthorized:        "UNAUTHENTICATED",
	http.StatusForbidden:           "PERMISSION_DENIED",
	http.StatusNotFound:            "NOT_FOUND",
	http.StatusTooManyRequests:     "RESOURCE_EXHAUSTED",
	http.StatusInternalServerError: "INTERNAL",
	http.StatusServiceUnavailable:  "UNAVAILABLE",
}

// apiError is an error as the HTTP v1 API writes it: code is FCM's own, field the
// member of the request that is at fault; each may be empty.
func apiError(status int, code, field string) string {
	details := []map[string]any{}
	if code != "" {
		details = append(details, map[string]any{
			"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": code,
		})
	}
	if field != "" {
		details = append(details, map[string]any{
			"@type":           "type.googleapis.com/google.rpc.BadRequest",
			"fieldViolations": []map[string]string{{"field": field, "description": "invalid"}},
		})
	}
	text, err := json.Marshal(map[string]any{"error": map[string]any{
		"code": status, "message": http.StatusText(status), "status": canonical[status], "details": details,
	}})
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	return string(text)
}

func writeAPIError(w http.ResponseWriter, status int, code, field string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprint(w, apiError(status, code, field)) // the caller may be gone: then nobody minds
}
