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
		`nod signs tokens with a key of its own (ES256) and publishes the public half at
/.well-known/jwks.json, and one by one at /certs?kid=….

These commands work on the server's database, also while any number of nodes run
on it: each finds out by itself.`,
		newKeysList(), newKeysRotate())
}

// signingKey is a key as it is printed.
type signingKey struct {
	KID            string         `json:"kid"`
	State          token.KeyState `json:"state"`
	SignsFrom      time.Time      `json:"signs_from"`
	SignsUntil     *time.Time     `json:"signs_until,omitempty"`
	PublishedUntil *time.Time     `json:"published_until,omitempty"`
}

func newKeysList() *cobra.Command {
	c := &cobra.Command{
		Use:   "list",
		Short: "List the published keys",
		Long: `List the published keys, the newest first:

  next      published, so that everybody knows it when it begins to sign
  current   signs new tokens
  spare     could sign, but a newer one does
  retiring  signs nothing new; a reply that got lost is still signed again
  retired   its private half is deleted; it verifies until its last token has expired`,
		Example: "  nod keys list\n  nod keys list --output json | jq -r '.[] | select(.state == \"current\").kid'",
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
			rows := [][]string{{"KID", "STATE", "SIGNS FROM", "SIGNS UNTIL", "PUBLISHED UNTIL"}}
			for i, k := range keys {
				views[i] = signingKey{k.KID, k.State, k.UseFrom, when(k.UseUntil), when(k.KeepUntil)}
				rows = append(rows, []string{k.KID, string(k.State), stamp(k.UseFrom), stamp(k.UseUntil), stamp(k.KeepUntil)})
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
		Short: "Let another key sign from now on",
		Long: fmt.Sprintf(`Make the next key and publish it now; it signs once everybody can know it. That is
after %s: verifiers may keep the published keys for %s, and every node has
looked for new ones by then. All nodes change at the same moment, by the database's
clock.

The key before it stays published until its last token has expired, so no token
stops being valid. Say --token-life as the server has it, if that is configured.

One rotation at a time: while the next key has not begun to sign, another one is
refused. Rotate once or twice a year, so that it is nothing special on the day when
it must be done. It is no answer to a stolen key: what a thief signs with the last
one is believed as long as that is published.`, plainly(token.Lead), plainly(token.CacheFor)),
		Example: "  nod keys rotate\n  nod keys rotate --in 24h --data /var/lib/nod",
		Args:    noArguments,
	}
	in := c.Flags().Duration("in", token.Lead, "when the next key begins to sign, at least "+plainly(token.Lead)+" from now")
	out := addOutput(c)
	config.Flags(c.Flags(), append([]string{"token-life"}, dataSettings...)...)
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *in < token.Lead {
			return usagef("--in %s is too soon: verifiers may keep the keys they know for %s; use %s or more",
				plainly(*in), plainly(token.CacheFor), plainly(token.Lead))
		}
		return withCore(c, false, func(core *app.Core) error {
			is, err := core.Ring.Rotate(c.Context(), *in, core.Config.TokenLife)
			if errors.Is(err, token.ErrRotating) {
				return fmt.Errorf("a rotation is under way: key %s signs from %s on; rotate again after that", is.New, stamp(is.At))
			}
			if err != nil {
				return err
			}
			v := struct {
				Next           string    `json:"next"`
				SignsFrom      time.Time `json:"signs_from"`
				Last           string    `json:"last"`
				PublishedUntil time.Time `json:"last_published_until"`
			}{is.New, is.At, is.Old, is.OldUntil}
			return out.print(c, v, func(w io.Writer) {
				fmt.Fprintf(w, "Key %s is published and signs from %s on.\nKey %s stays published until %s.\n",
					v.Next, stamp(v.SignsFrom), v.Last, stamp(v.PublishedUntil))
			})
		})
	}
	return c
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
