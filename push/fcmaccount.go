package push

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// serviceAccount is a Google service account's key file, as the Firebase console
// hands it out.
type serviceAccount struct {
	Type         string `json:"type"`
	ProjectID    string `json:"project_id"`
	PrivateKeyID string `json:"private_key_id"`
	PrivateKey   string `json:"private_key"`
	ClientEmail  string `json:"client_email"`
	TokenURI     string `json:"token_uri"`
}

const getServiceAccount = "get the right file in the Firebase console under Project settings, " +
	"Service accounts, Generate new private key"

// parseServiceAccount refuses every other kind of credentials: some of them name
// programs to run or addresses to ask. Its errors say what to do and repeat
// nothing of the file.
func parseServiceAccount(credentials []byte) (serviceAccount, error) {
	var a serviceAccount
	if err := json.Unmarshal(credentials, &a); err != nil {
		return serviceAccount{}, errors.New("the credentials are not JSON: " + getServiceAccount)
	}
	switch {
	case a.Type == "" && strings.Contains(string(credentials), `"project_info"`):
		return serviceAccount{}, errors.New("the credentials are google-services.json, the application's half: " + getServiceAccount)
	case a.Type != "service_account":
		return serviceAccount{}, errors.New("the credentials are not a service account's: " + getServiceAccount)
	case a.ProjectID == "" || a.ClientEmail == "" || a.PrivateKey == "" || a.TokenURI == "":
		return serviceAccount{}, errors.New("the credentials lack project_id, client_email, private_key or token_uri: " + getServiceAccount)
	}
	if url.PathEscape(a.ProjectID) != a.ProjectID {
		return serviceAccount{}, errors.New("the credentials' project_id is none: " + getServiceAccount)
	}
	if !holdsRSAKey(a.PrivateKey) {
		return serviceAccount{}, errors.New("the credentials' private_key is not an RSA key in PEM, it may have been cut: " + getServiceAccount)
	}
	if err := checkOperatorURL(a.TokenURI); err != nil {
		return serviceAccount{}, errors.New("the credentials' token_uri " + err.Error())
	}
	return a, nil
}

func holdsRSAKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		_, ok := key.(*rsa.PrivateKey)
		return ok
	}
	_, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	return err == nil
}

// checkOperatorURL wants https, or http to this very machine, for emulators and
// tests: access tokens travel there.
func checkOperatorURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be an absolute https address")
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return errors.New("must be an https address; http is for loopback alone")
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
