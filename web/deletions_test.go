package web

import "testing"

func TestDeletions_sayWhatWent(t *testing.T) {
	for want, d := range map[string]Deletions{
		"": {Devices: 3},
		"The passkey that was made with it is deleted.":                                                                                        {Passkeys: 1},
		"The passkey that was made with it is deleted, and the device it let in is signed out.":                                                {1, 1},
		"The passkey that was made with it is deleted, and the 2 devices it let in are signed out.":                                            {1, 2},
		"The passkey that was made with it is deleted, so is another passkey that came of it.":                                                 {2, 0},
		"The passkey that was made with it is deleted, so are 2 other passkeys that came of it, and the 4 devices they let in are signed out.": {3, 4},
	} {
		if got := d.Says(); got != want {
			t.Errorf("%+v says %q, want %q", d, got, want)
		}
	}
}
