package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPublished waits until the server at $URL publishes just these keys of an
// algorithm, which it does within a second: published alg kid…
func scriptPublished(ts *testscript.TestScript, neg bool, want []string) {
	if neg || len(want) == 0 {
		ts.Fatalf("usage: published alg kid...")
	}
	alg, want := want[0], want[1:]
	slices.Sort(want)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		got, err := publishedKIDs(ts.Getenv("URL"), alg)
		ts.Check(err)
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			ts.Fatalf("the server publishes %v, want %v", got, want)
		}
	}
}

func publishedKIDs(url, alg string) (kids []string, err error) {
	set, err := publishedKeys(url)
	for _, k := range set.Keys {
		if k.Algorithm == alg {
			kids = append(kids, k.KeyID)
		}
	}
	slices.Sort(kids)
	return kids, err
}

// publishedKeys is all that somebody outside knows of a server's keys.
func publishedKeys(url string) (set jose.JSONWebKeySet, err error) {
	reply, err := http.Get(url + "/.well-known/jwks.json")
	if err != nil {
		return set, err
	}
	defer reply.Body.Close()
	return set, json.NewDecoder(reply.Body).Decode(&set)
}
