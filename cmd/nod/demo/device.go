package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"time"
)

// device is the new device in software. It does what the sample application's
// page does in a browser: asks its own backend for a code, waits at nod, and
// hands its backend the token.
type device struct {
	acme, nod, client, username string
	http                        *http.Client
}

// code is what the device shows.
type code struct {
	Code        string `json:"code"`
	Type        string `json:"type"`
	ApprovalURL string `json:"approval_url"`
	Seconds     int    `json:"seconds"`
}

// errDeclined and errRanOut are the two ways a wait ends without a token.
var (
	errDeclined = errors.New("the sign-in was declined")
	errRanOut   = errors.New("the code has run out")
)

func newDevice(acme, nod, client, username string) (*device, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	// nod answers a wait within 120 s
	return &device{acme, nod, client, username, &http.Client{Jar: jar, Timeout: 130 * time.Second}}, nil
}

func (d *device) start(ctx context.Context) (code, error) {
	var c code
	_, err := d.post(ctx, d.acme+"/start", nil, &c)
	return c, err
}

// wait holds the request open, again after each time-out, and signs in.
func (d *device) wait(ctx context.Context, c code) error {
	for {
		var got struct {
			JWT  string `json:"jwt"`
			Code string `json:"code"`
		}
		status, err := d.post(ctx, d.nod+"/authenticate/code/wait", map[string]any{
			"client_id": d.client, "username": d.username,
			"authentication_code": map[string]string{"code": c.Code, "type": c.Type},
		}, &got)
		switch {
		case err == nil:
			_, err = d.post(ctx, d.acme+"/session", map[string]string{"jwt": got.JWT}, &struct{}{})
			return err
		case got.Code == "remote_session_timeout":
		case got.Code == "failed_to_authenticate":
			return errDeclined
		case got.Code == "verification_code_expired":
			return errRanOut
		default:
			return fmt.Errorf("wait: status %d: %w", status, err)
		}
	}
}

// post sends JSON and reads JSON, whatever the status; an error when it is not 200.
func (d *device) post(ctx context.Context, url string, in, into any) (int, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Acme TV (demo)")
	res, err := d.http.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return res.StatusCode, err
	}
	parseErr := json.Unmarshal(answer, into)
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, fmt.Errorf("%s: %s", url, answer)
	}
	return res.StatusCode, parseErr
}
