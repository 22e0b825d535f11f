package approval

import (
	"math"
	"regexp"
	"testing"
	"time"
)

func TestRecoveryCode_is_sixteen_letters_of_twenty(t *testing.T) {
	form := regexp.MustCompile(`^([BCDFGHJKLMNPQRSTVWXZ]{4}-){3}[BCDFGHJKLMNPQRSTVWXZ]{4}$`)
	seen := map[string]bool{}
	for range 1000 {
		code := newRecoveryCode().Reveal()
		if !form.MatchString(code) {
			t.Fatalf("got %q", code)
		}
		seen[code] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d different codes of 1000", len(seen))
	}
}

// The figures of recoveryBudgets.
func TestRecoveryBudgets_arithmetic(t *testing.T) {
	codes := math.Pow(float64(len(userLetters)), recoveryChars)
	if bits := math.Log2(codes); math.Floor(bits) != 69 {
		t.Errorf("a code has %.1f bits, the comment says 69", bits)
	}
	tries := (&Service{Config: Config{Guesses: Guesses{}.withDefaults(), Codes: testCodes(t)}}).recoveryBudgets("ada", "192.0.2.1")
	if tries[1].Limit != 10 || tries[1].Window != time.Hour {
		t.Errorf("got %+v, the comment says ten an hour", tries[1])
	}
	years := codes / (RecoveryCodes * 1e6 * 10 * 8766) // 8766 h = 365.25 d
	if math.Round(years/1e8) != 7 {
		t.Errorf("got %.2g years, the comment says 700 million", years)
	}
}
