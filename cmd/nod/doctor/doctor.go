// Package doctor looks a set-up over as an experienced operator would, and says
// of each thing whether it is well, and if not what to do.
//
// It works beside a running server or without one, and changes nothing but one
// setting of its own in the database, which is how it learns that the database
// can be written. What it needs of the network it asks for itself, through no
// proxy of the environment, and waits for at most a few seconds each.
package doctor

import (
	"context"
	"log/slog"
	"time"

	"github.com/nod-auth/nod/cmd/nod/app"
	"github.com/nod-auth/nod/cmd/nod/config"
)

// Level is how bad a finding is.
type Level string

// The levels. Only Wrong keeps people from signing in.
const (
	OK    Level = "ok"
	Look  Level = "look" // worth a look: it may be meant so
	Wrong Level = "wrong"
)

// Finding is what was found of one thing.
type Finding struct {
	Level Level  `json:"level"`
	About string `json:"about"`
	Says  string `json:"says"`         // a sentence
	Do    string `json:"do,omitempty"` // what to do; "" when nothing has to be done
}

// Patient is what is looked at.
type Patient struct {
	Config config.Config
	Push   bool      // ask the providers of the push channels, too
	Built  time.Time // when this program's source was committed; zero: unknown
}

// exam gathers findings.
type exam struct {
	Patient
	found  []Finding
	core   *app.Core // nil without a database
	public string    // the public URL
}

// Examine looks at everything and lists what it found, in the order in which an
// operator would repair it.
func Examine(ctx context.Context, p Patient) []Finding {
	x := &exam{Patient: p}
	x.database(ctx)
	if x.core != nil {
		defer func() { _ = x.core.Close() }() // it was only looked at
	}
	x.address(ctx)
	x.place()
	x.clock(time.Now())
	reply := x.fetch(ctx)
	x.reached(ctx, reply)
	x.files()
	if p.Push {
		x.push(ctx)
	}
	return x.found
}

func (x *exam) find(l Level, about, says, do string) {
	x.found = append(x.found, Finding{l, about, says, do})
}

// quiet is for parts that log what they warn of: doctor says it itself.
var quiet = slog.New(slog.DiscardHandler)
