package approval

import "github.com/nod-auth/nod/approval/account"

// AnswerTo is where a server wants to be told that a request has ended, and how.
// It holds a credential, so it is sealed into the request's row (Ask.AnswerTo).
type AnswerTo struct {
	Protocol AnswerProtocol
	URL      string
	Token    account.Secret // sent as Bearer
}

// AnswerProtocol is what a server that is told wants to hear.
type AnswerProtocol string

// The protocols: a CIBA ping, which says only which request (CIBA Core section
// 10.2), and the verdict itself for a Keycloak realm.
const (
	AnswerPing     AnswerProtocol = "ciba-ping"
	AnswerKeycloak AnswerProtocol = "keycloak"
)
