package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/nod-auth/nod/api/token"
	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

func newKeys() *cobra.Command {
	return group("keys", "See and rotate the keys that sign tokens",
		`nod signs tokens with keys of its own and publishes the public halves at
/.well-known/jwks.json, and one by one at /certs?kid=…. An ES256 key signs every
kind of token. Beside it there is an RS256 key, for the ID tokens of clients that
were made with --id-token-alg RS256.

These commands work on the server's database, also while any number of nodes run
on it: each finds out by itself.`,
		newKeysList(), newKeysRotate())
}

// signingKey is a key as it is printed.
type signingKey struct {
	KID            string         `json:"kid"`
	Alg            string         `json:"alg"`
	State          token.KeyState `json:"state"`
	SignsFrom      time.Time      `json:"signs_from"`
	SignsUntil     *time.Time     `json:"signs_until,omitempty"`
	PublishedUntil *time.Time     `json:"published_until,omitempty"`
}

func newKeysList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the published keys",
		Long: `List the published keys, those of ES256 first and of each algorithm the newest:

  next      published, so that everybody knows it when it begins to sign
  current   signs new tokens
  spare     could sign, but a newer one does
  retiring  signs nothing new; a reply that got lost is still signed again
  retired   its private half is deleted; it verifies until its last token has expired`,
		Example: "  nod keys list\n  nod keys list --output json | jq -r '.[] | select(.state == \"current\" and .alg == \"ES256\").kid'",
		Args:    noArguments,
	}
	out := addOutput(c)
	config.Flags(c.Flags(), dataSettings...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return withCore(c, false, func(core *app.Core) error {
			keys, err := core.Ring.Keys(c.Context())
			if err != nil {
				return err
			}
			views := make([]signingKey, len(keys))
			rows := [][]string{{"KID", "ALG", "STATE", "SIGNS FROM", "SIGNS UNTIL", "PUBLISHED UNTIL"}}
			for i, k := range keys {
				views[i] = signingKey{k.KID, k.Alg, k.State, k.UseFrom, when(k.UseUntil), when(k.KeepUntil)}
				rows = append(rows, []string{k.KID, k.Alg, string(k.State), stamp(k.UseFrom), stamp(k.UseUntil), stamp(k.KeepUntil)})
			}
			return out.print(c, views, func(w io.Writer) { table(w, rows...) })
		})
	}
	return c
}

// when is nil for no time, which JSON then leaves out.
func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339)
}

func newKeysRotate() *cobra.Command {
	c := &cobra.Command{
		Use:   "rotate",
		Short: "Let other keys sign from now on",
		Long: fmt.Sprintf(`Make the next keys, one of ES256 and one of RS256, and publish them now; they sign
once everybody can know them. That is after %s: verifiers may keep the published
keys for %s, and every node has looked for new ones by then. All nodes change at
the same moment, by the database's clock.

The keys before them stay published until their last token has expired, so no token
stops being valid. Say --token-life as the server has it, if that is configured.

One rotation at a time: while a key has not begun to sign, another one is refused;
the first RS256 key of a database that was made before there were any counts, too.
Rotate once or twice a year, so that it is nothing special on the day when
it must be done. It is no answer to a stolen key: what a thief signs with the last
one is believed as long as that is published.`, plainly(token.Lead), plainly(token.CacheFor)),
		Example: "  nod keys rotate\n  nod keys rotate --in 24h --data /var/lib/nod",
		Args:    noArguments,
	}
	in := c.Flags().Duration("in", token.Lead, "when the next keys begin to sign, at least "+plainly(token.Lead)+" from now")
	out := addOutput(c)
	config.Flags(c.Flags(), append([]string{"token-life"}, dataSettings...)...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *in < token.Lead {
			return usagef("--in %s is too soon: verifiers may keep the keys they know for %s; use %s or more",
				plainly(*in), plainly(token.CacheFor), plainly(token.Lead))
		}
		return withCore(c, false, func(core *app.Core) error {
			is, err := core.RotateKeys(c.Context(), *in)
			if errors.Is(err, token.ErrRotating) && len(is) > 0 {
				return fmt.Errorf("a rotation is under way: key %s signs from %s on; rotate again after that", is[0].New, stamp(is[0].At))
			}
			if err != nil {
				return err
			}
			// At the top, where scripts of the version before look, is that of ES256.
			var v struct {
				rotation
				RS256 rotation `json:"rs256"`
			}
			for _, r := range is {
				one := rotation{r.New, r.At, r.Old, when(r.OldUntil)}
				if r.Alg == token.AlgES256 {
					v.rotation = one
				} else {
					v.RS256 = one
				}
			}
			return out.print(c, v, func(w io.Writer) {
				v.print(w, token.AlgES256)
				v.RS256.print(w, token.AlgRS256)
			})
		})
	}
	return c
}

// rotation is a token.Rotation as it is printed.
type rotation struct {
	Next           string     `json:"next"`
	SignsFrom      time.Time  `json:"signs_from"`
	Last           string     `json:"last,omitempty"`
	PublishedUntil *time.Time `json:"last_published_until,omitempty"`
}

func (r rotation) print(w io.Writer, alg string) {
	fmt.Fprintf(w, "%s: key %s is published and signs from %s on.\n", alg, r.Next, stamp(r.SignsFrom))
	if r.PublishedUntil != nil {
		fmt.Fprintf(w, "%s: key %s stays published until %s.\n", alg, r.Last, stamp(*r.PublishedUntil))
	}
}

// plainly writes a duration without zeros that say nothing: 2m, not 2m0s.
func plainly(d time.Duration) string {
	switch {
	case d != 0 && d%time.Hour == 0:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d != 0 && d%time.Minute == 0:
		return fmt.Sprintf("%dm", d/time.Minute)
	default:
		return d.String()
	}
}
