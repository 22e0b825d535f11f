package oauth

import (
	"context"
	"crypto/hmac"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/nod-auth/nod/approval"
	"github.com/nod-auth/nod/approval/account"
)

// The error codes of CIBA Core section 13 that are its own.
const (
	codeUnknownUser     = "unknown_user_id"
	codeExpiredHint     = "expired_login_hint_token"
	codeMissingUserCode = "missing_user_code"
	codeInvalidUserCode = "invalid_user_code"
	codeInvalidBinding  = "invalid_binding_message"
)

const (
	// asksPerClient and asksPerPerson are how often a client may ask in a minute: far
	// above what people decide.
	asksPerClient = 600
	asksPerPerson = 20
	// userCodeTries is how many user codes a client may name for one person in
	// userCodeWindow: in a year half a million of 25,600 million (20^8).
	userCodeTries  = 10
	userCodeWindow = 10 * time.Minute
	// maxNotificationToken is its longest, in characters (CIBA Core section 7.1).
	maxNotificationToken = 1024
)

// begunCIBA is the answer to an authentication request (CIBA Core section 7.3).
// match_number is nod's own, for clients that can show it.
type begunCIBA struct {
	ID          string `json:"auth_req_id"`
	ExpiresIn   int64  `json:"expires_in"`
	Interval    int64  `json:"interval"`
	MatchNumber string `json:"match_number,omitempty"`
}

// backchannel is POST /oauth/bc-authorize (CIBA Core section 7): a backend that
// proved who it is asks a person it names.
func (f *face) backchannel(c *gin.Context) error {
	in, err := readForm(c)
	if err != nil {
		return err
	}
	who, err := f.client(c, in, false)
	if err != nil {
		return err
	}
	if !who.proven || !who.client.OAuth.MayUse(account.GrantCIBA) {
		return notRegistered(account.GrantCIBA)
	}
	jkt, err := f.proof(c, "")
	if err != nil {
		return err
	}
	ctx := c.Request.Context()
	if err := f.paceAsks(ctx, who.client.ID, asksPerClient); err != nil {
		return err
	}
	in, spent, err := f.unsigned(ctx, who.client, in)
	if err != nil {
		return err
	}
	ask, err := f.question(ctx, who.client, in)
	if err != nil {
		return err
	}
	ask.JKT, ask.With = jkt, spent
	b, err := f.Service.Begin(ctx, ask)
	if err != nil {
		return unbegun(err)
	}
	noStore(c)
	c.JSON(http.StatusOK, answerCIBA(b))
	return nil
}

func answerCIBA(b approval.Begun) begunCIBA {
	out := begunCIBA{
		ID:        b.Code.Reveal(),
		ExpiresIn: int64(b.Request.Expires.Sub(b.Request.CreatedAt).Seconds()), // whole ones
		Interval:  int64(interval.Seconds()),
	}
	if m := b.Request.Match; m == account.MatchType || m == account.MatchPick {
		out.MatchNumber = b.MatchNumber.Reveal()
	}
	return out
}

// unbegun puts why a question could not be asked into CIBA's words.
func unbegun(err error) error {
	err = instead(err, approval.ErrInactive, errUnknownUser)
	err = instead(err, approval.ErrReplayed, badRequest("The signed request was used before. Sign a new one for each call."))
	return notBegun(err)
}

// question reads an authentication request. Whether a person is known is said last,
// after everything that can be wrong with the request by itself.
func (f *face) question(ctx context.Context, client account.Client, in form) (approval.Ask, error) {
	ask := approval.Ask{
		Face: FaceCIBA, Client: client, Audience: client.ID, Purpose: approval.SignIn, Kind: approval.PollCode, Notify: true,
	}
	var err error
	if ask.Context.Scopes, err = cibaScopes(client, in); err != nil {
		return ask, err
	}
	if ask.Context.Details, err = askedDetails(in); err != nil {
		return ask, err
	}
	if ask.Context.BindingMessage, err = bindingMessage(in.get("binding_message")); err != nil {
		return ask, err
	}
	if ask.Life, err = requestedLife(client, in.get("requested_expiry")); err != nil {
		return ask, err
	}
	if ask.AnswerTo, err = f.pingTo(ctx, client, in.get("client_notification_token")); err != nil {
		return ask, err
	}
	if client.OAuth.NeedUserCode && in.get("user_code") == "" {
		return ask, oops(http.StatusBadRequest, codeMissingUserCode, "The parameter user_code is missing: this client must know the user's code.")
	}
	h, err := f.readHint(ctx, client, in)
	if err != nil {
		return ask, err
	}
	if ask.User, err = f.person(ctx, client.NamespaceID, h); err != nil {
		return ask, err
	}
	if err := f.paceAsks(ctx, client.ID+"/"+ask.User.ID, asksPerPerson); err != nil {
		return ask, err
	}
	return ask, f.knowsCode(ctx, client, ask.User, account.Secret(in.get("user_code")))
}

// cibaScopes are what is asked for, each with its words for the person. openid must
// be among them (CIBA Core section 7.1).
func cibaScopes(client account.Client, in form) ([]account.ScopeText, error) {
	if in.get("scope") == "" {
		return nil, missing("scope")
	}
	scopes, err := askedScopes(client.OAuth, in)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(scopes, func(s account.ScopeText) bool { return s.Scope == account.ScopeOpenID }) {
		return nil, oops(http.StatusBadRequest, codeInvalidScope, "The scope must contain openid.")
	}
	return scopes, nil
}

// bindingMessage is shown exactly as it is, or refused.
func bindingMessage(text string) (string, error) {
	refused := oops(http.StatusBadRequest, codeInvalidBinding, "The binding_message must show something.")
	if text != "" && strings.TrimSpace(text) == "" {
		return "", refused
	}
	shown, err := approval.CleanText("binding_message", text, approval.MaxBindingMessage)
	return shown, instead(err, approval.ErrInvalid, refused)
}

// requestedLife is how long the person may take: what the client asks for, a whole
// number of seconds, or what it was registered with.
func requestedLife(client account.Client, text string) (time.Duration, error) {
	if text == "" {
		return client.OAuth.BackchannelLife, nil
	}
	const most = int(account.MaxBackchannelLife / time.Second)
	seconds, err := strconv.ParseUint(text, 10, 31)
	if err != nil || seconds == 0 || seconds > uint64(most) {
		return 0, badRequest(fmt.Sprintf("The requested_expiry must be a whole number of seconds from 1 to %d.", most))
	}
	return time.Duration(seconds) * time.Second, nil
}

// pingTo is whom to tell of the verdict, sealed; nil for a client that polls.
func (f *face) pingTo(ctx context.Context, client account.Client, notification string) ([]byte, error) {
	switch {
	case client.OAuth.Delivery != account.DeliverPing:
		return nil, nil
	case notification == "":
		return nil, missing("client_notification_token")
	case !isBearer(notification, maxNotificationToken):
		return nil, badRequest(fmt.Sprintf(
			"The client_notification_token must be a Bearer token (RFC 6750 section 2.1) of at most %d characters.", maxNotificationToken))
	}
	return f.sealed(ctx, approval.AnswerTo{
		Protocol: approval.AnswerPing, URL: client.OAuth.Notification, Token: account.Secret(notification),
	})
}

// sealed is whom to tell, for the request's row, once it is known that somebody can
// be told there.
func (f *face) sealed(ctx context.Context, to approval.AnswerTo) ([]byte, error) {
	if f.Answers == nil {
		return nil, oops(http.StatusBadRequest, codeUnauthorizedClient, "This server tells nobody of verdicts: the client can only poll.")
	}
	refused := oops(http.StatusBadRequest, codeUnauthorizedClient, "")
	if err := f.Answers.Check(ctx, to.URL); err != nil {
		return nil, instead(err, approval.ErrInvalid, refused)
	}
	return f.Answers.Seal(to)
}

// isBearer says whether a text can be a Bearer token: the b64token of RFC 6750
// section 2.1.
func isBearer(text string, most int) bool {
	const others = "-._~+/"
	body := strings.TrimRight(text, "=")
	return body != "" && len(text) <= most && !strings.ContainsFunc(body, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune(others, r))
	})
}

// knowsCode judges the user's code (CIBA Core section 7.1, user_code): needed where
// the client was registered so, and where it is given it must be right, if the user
// has one. Right ones count as tries too: otherwise whoever is out of tries could
// still find out which code is right. The count is the store's and not the pacer's:
// no other node and no flush may give tries back (I12).
func (f *face) knowsCode(ctx context.Context, client account.Client, u account.User, code account.Secret) error {
	if code == "" || u.CIBACode == nil && !client.OAuth.NeedUserCode {
		return nil
	}
	tries := approval.Budget{Key: "ciba:" + client.ID + "/" + u.ID, Limit: userCodeTries, Window: userCodeWindow}
	if err := f.Service.Store.Take(ctx, []approval.Budget{tries}); err != nil {
		return fmt.Errorf("user code: %w", err)
	}
	if !hmac.Equal(f.Service.Codes.CIBACode(u, code), u.CIBACode) {
		return oops(http.StatusBadRequest, codeInvalidUserCode, "The user_code is not the user's.")
	}
	return nil
}
