package account

import (
	"context"
	"time"
)

// Recovery is a user's set of recovery codes.
type Recovery struct {
	Made   int // how many there were at first; 0: no set was made
	Left   int // how many were not used
	MadeAt time.Time
}

// Recoveries reads recovery codes; they are made and spent by Apply.
type Recoveries interface {
	// Recovery tells about a user's set; the zero value when there is none.
	Recovery(ctx context.Context, userID string) (Recovery, error)
	// RecoveryOwner is the user whose unused code this is the hash of.
	RecoveryOwner(ctx context.Context, hash []byte) (userID string, err error)
}
