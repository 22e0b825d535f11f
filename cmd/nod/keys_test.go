package main

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/rogpeppe/go-internal/testscript"
)

// scriptPublished waits until the server at $URL publishes just these keys, which
// it does within a second: published kid…
func scriptPublished(ts *testscript.TestScript, neg bool, want []string) {
	if neg {
		ts.Fatalf("usage: published kid...")
	}
	slices.Sort(want)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for {
		got, err := publishedKIDs(ts.Getenv("URL"))
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

func publishedKIDs(url string) (kids []string, err error) {
	set, err := publishedKeys(url)
	for _, k := range set.Keys {
		kids = append(kids, k.KeyID)
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
