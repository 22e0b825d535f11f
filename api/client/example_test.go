package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/nod-auth/nod/api/client"
)

// A command-line program signs its user in: it says what to do on the phone, and
// waits.
func ExampleLogin() {
	token, err := client.Login(context.Background(), client.LoginConfig{
		Issuer:     nod.url,
		ClientID:   nod.oauth,
		Scopes:     []string{"openid", "profile"},
		DeviceName: "build machine 7",
		Prompt: func(p client.Prompt) {
			fmt.Println("Open", p.VerificationURI[len(nod.url):], "on your phone and type the code.")
			adaApproves(p)
		},
	})
	switch {
	case errors.Is(err, client.ErrDenied):
		fmt.Println("Declined.")
	case errors.Is(err, client.ErrExpired):
		fmt.Println("Nobody answered in time.")
	case err != nil:
		fmt.Println(err)
	default:
		fmt.Println("Signed in as", token.ApprovedBy, "with a token of type", token.TokenType)
	}
	// Output:
	// Open /device on your phone and type the code.
	// Signed in as ada with a token of type Bearer
}

// A television waits for the code that its backend has made and that it shows.
func ExampleNative_Wait() {
	tv := client.Native{BaseURL: nod.url, ClientID: nod.native}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // a short code's life
	defer cancel()
	result, err := tv.Wait(ctx, client.WaitRequest{Username: "ada", Code: adasCode(), CodeType: client.CodeShort})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("Signed in as", result.Username)

	// The backend looks at the token before it believes it.
	backend := &client.Verifier{Issuer: nod.url, Audience: nod.native}
	claims, err := backend.Verify(ctx, result.JWT)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("and the token says so:", claims.Username)
	// Output:
	// Signed in as ada
	// and the token says so: ada
}

// An API lets in whoever shows a good token, and nobody else.
func ExampleVerifier_Middleware() {
	verifier := &client.Verifier{Issuer: nod.url, Audience: nod.oauth}
	things := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !client.Claims(r.Context()).HasScope("profile") {
			http.Error(w, "This needs the scope profile.", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "Here are your things.")
	})
	api := verifier.Middleware(things)

	token, err := client.Login(context.Background(), client.LoginConfig{
		Issuer: nod.url, ClientID: nod.oauth, Scopes: []string{"profile"}, Prompt: adaApproves,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, credential := range []string{"", "Bearer " + token.AccessToken} {
		req := httptest.NewRequest(http.MethodGet, "/things", nil)
		if credential != "" {
			req.Header.Set("Authorization", credential)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		fmt.Println(w.Code, w.Header().Get("WWW-Authenticate"))
	}
	// Output:
	// 401 Bearer
	// 200
}
