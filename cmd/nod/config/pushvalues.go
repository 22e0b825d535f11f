package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/nod-auth/nod/approval/account"
	"github.com/nod-auth/nod/push"
)

var truths = map[string]bool{"true": true, "false": false}

// contact reads whom push services can ask (RFC 8292 section 2.1). Apple's
// refuses a contact on this machine, and with it every message.
func contact(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "mailto" && u.Scheme != "https") {
		return "", fmt.Errorf("%q is not a contact; write it like mailto:ops@example.com or https://example.com/contact", text)
	}
	host := u.Hostname()
	if u.Scheme == "mailto" {
		address, err := mail.ParseAddress(u.Opaque)
		if err != nil {
			return "", fmt.Errorf("%q has no mail address; write it like mailto:ops@example.com", text)
		}
		host = address.Address[strings.LastIndexByte(address.Address, '@')+1:]
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, "."+localhost) {
		return "", fmt.Errorf("%q is a place on this machine or network, which push services refuse; use an address that they could reach", text)
	}
	return text, nil
}

// services reads the push services that phones may name.
func services(text string) ([]string, error) {
	entries := list(text)
	if _, err := push.ParseServices(entries); err != nil {
		return nil, err
	}
	return entries, nil
}

// webAddress reads the address of something that nod calls.
func webAddress(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", errors.New("that is not a web address; write it like https://hooks.example.com/nod") // it may hold a key
	}
	if u.User != nil {
		return "", fmt.Errorf("it has a name and a password before %s, which nod does not send; leave them out", u.Host)
	}
	return text, nil
}

// smtpURL reads where mail goes. Errors never repeat it: it holds a password.
func smtpURL(text string) (account.Secret, error) {
	if text == "" {
		return "", nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || (u.Scheme != "smtp" && u.Scheme != "smtps") {
		return "", errors.New("that is not a mail server; write it like smtp://user:password@mail.example.com:587, " +
			"with special characters of the password in %-form")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "", fmt.Errorf("%s has no port between 1 and 65535", net.JoinHostPort(u.Hostname(), port))
		}
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", fmt.Errorf("it has more than a server after %s; leave that out, or write / ? and # of the password in %%-form", u.Scheme+"://…")
	}
	return account.Secret(text), nil
}

// mailbox reads a mail address, with a name or without.
func mailbox(text string) (string, error) {
	if _, err := mail.ParseAddress(text); err != nil {
		return "", fmt.Errorf("%q is not a mail address; write it like nod <nod@example.com>", text)
	}
	return text, nil
}

// secretPrefix begins a symmetric secret, whose size is 24 to 64 bytes (Standard
// Webhooks, "Signature scheme").
const (
	secretPrefix            = "whsec_"
	leastSecret, mostSecret = 24, 64
)

// webhookSecret reads what signs webhooks.
func webhookSecret(text string) (account.Secret, error) {
	if text == "" {
		return "", nil
	}
	encoded, found := strings.CutPrefix(text, secretPrefix)
	key, err := base64.StdEncoding.DecodeString(encoded)
	if !found || err != nil || len(key) < leastSecret || len(key) > mostSecret {
		return "", fmt.Errorf("it is not %s and %d to %d bytes in base64; make one with: echo %s$(openssl rand -base64 32)",
			secretPrefix, leastSecret, mostSecret, secretPrefix)
	}
	return account.Secret(text), nil
}
