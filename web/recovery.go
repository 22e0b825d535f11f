package web

import "time"

// CodeSet is how a set of recovery codes stands.
type CodeSet struct {
	// Made is how many there were at first, zero for no set; Left how many were not
	// used.
	Made, Left int
	MadeAt     time.Time
}

// RecoveryPage says how the person's recovery codes stand and makes a new set, which
// its script shows once and prints.
type RecoveryPage struct {
	Frame
	Set CodeSet
}

// RecoverPage asks somebody who is signed out for a recovery code.
type RecoverPage struct {
	Frame
	// Username is what was typed before.
	Username string
	// Error is the sentence about the code typed before; empty at first.
	Error string
}

// What [HomePage] says of a phone that may get lost.
const (
	NudgeSpare = "spare" // there is one passkey and no code
	NudgeCodes = "codes" // there are passkeys and no code
)

func (RecoveryPage) template() string { return "recovery.html" }
func (RecoverPage) template() string  { return "recover.html" }
