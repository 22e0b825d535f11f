package virtual

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	pathPrefix = "/push/"
	// maxMessage is the size that services must take, and the ones in use take no
	// more (RFC 8030 section 7.2), bytes.
	maxMessage = 4096
)

// Service is a Web Push service, an http.Handler for POST /push/<id>.
type Service struct {
	faults faults

	mu            sync.Mutex
	subscriptions map[string]*Subscription // by id; nil: ended
}

// NewService makes a service without subscriptions.
func NewService() *Service {
	return &Service{subscriptions: map[string]*Subscription{}}
}

// Fail lets the next n requests fail, or all to come if n is below 0; 0 heals.
func (s *Service) Fail(n int, fault Fault) { s.faults.set(n, fault) }

// Requests is how many requests came in, whatever was answered.
func (s *Service) Requests() int { return s.faults.count() }

// ServeHTTP implements http.Handler.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if fault, fails := s.faults.next(); fails {
		fault.write(w, r, "")
		return
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		http.Error(w, fmt.Sprintf("a message has %d bytes at most", maxMessage), http.StatusRequestEntityTooLarge)
		return
	} else if err != nil {
		return // the sender is gone
	}
	if refused := s.take(r, body); refused != nil {
		http.Error(w, refused.sentence, refused.status)
		return
	}
	w.Header().Set("Location", r.URL.Path+"/message")
	w.Header().Set("TTL", r.Header.Get("TTL"))
	w.WriteHeader(http.StatusCreated)
}

// refusal is a status and why.
type refusal struct {
	status   int
	sentence string
}

// take checks a request from outside to inside and hands the message over.
func (s *Service) take(r *http.Request, body []byte) *refusal {
	if r.Method != http.MethodPost {
		return &refusal{http.StatusMethodNotAllowed, "messages are posted"}
	}
	sub, refused := s.find(r.URL.Path)
	if refused != nil {
		return refused
	}
	now := time.Now()
	subject, err := verifyVAPID(r.Header.Get("Authorization"), sub.key, sub.origin, now)
	if errors.Is(err, errForeignKey) {
		return &refusal{http.StatusForbidden, err.Error()}
	} else if err != nil {
		return &refusal{http.StatusUnauthorized, err.Error()}
	}
	d, err := readHeader(r.Header)
	if err != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	// A real service cannot look inside; here it tells the sender what a phone would
	// have dropped in silence.
	if d.Plaintext, err = Decrypt(sub.private, sub.secret, body); err != nil {
		return &refusal{http.StatusBadRequest, err.Error()}
	}
	d.Subject, d.Size, d.At = subject, len(body), now
	sub.inbox.put(d)
	return nil
}

func (s *Service) find(path string) (*Subscription, *refusal) {
	id, ok := strings.CutPrefix(path, pathPrefix)
	s.mu.Lock()
	defer s.mu.Unlock()
	sub, known := s.subscriptions[id]
	switch {
	case !ok || !known:
		return nil, &refusal{http.StatusNotFound, "there is no such subscription"}
	case sub == nil:
		return nil, &refusal{http.StatusGone, "the subscription has ended"}
	}
	return sub, nil
}

// urgencies are those of RFC 8030 section 5.3; topic is as section 5.4 has it.
var (
	urgencies = []string{"very-low", "low", "normal", "high"}
	topic     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)
)

func readHeader(h http.Header) (Delivery, error) {
	seconds, err := strconv.ParseUint(h.Get("TTL"), 10, 31)
	if err != nil {
		return Delivery{}, errors.New("the TTL header is not a number of seconds") // required: RFC 8030 section 5.2
	}
	d := Delivery{
		TTL:     time.Duration(seconds) * time.Second,
		Urgency: h.Get("Urgency"),
		Topic:   h.Get("Topic"),
	}
	if d.Urgency != "" && !slices.Contains(urgencies, d.Urgency) {
		return Delivery{}, fmt.Errorf("the urgency %q is unknown", d.Urgency)
	}
	if d.Topic != "" && !topic.MatchString(d.Topic) {
		return Delivery{}, errors.New("the topic is not 1 to 32 characters of base64url")
	}
	if encoding := h.Get("Content-Encoding"); encoding != "aes128gcm" {
		return Delivery{}, fmt.Errorf("the content encoding %q is not aes128gcm", encoding)
	}
	return d, nil
}
