package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image/png"
	"strings"
	"testing"
)

// manifest is what the tests read of the web application manifest.
type manifest struct {
	ID, Scope, Display string
	StartURL           string `json:"start_url"`
	Icons              []manifestIcon
}

type manifestIcon struct{ Src, Type, Sizes, Purpose string }

func readManifest(t *testing.T) manifest {
	t.Helper()
	var m manifest
	if err := json.Unmarshal(assets().files["nod.webmanifest"].body, &m); err != nil {
		t.Fatalf("manifest: %v", err)
	}
	return m
}

func TestManifest_makesTheSiteAnApplication(t *testing.T) {
	m := readManifest(t)
	if m.ID != "/" || m.StartURL != "/" || m.Scope != "/" || m.Display != "standalone" {
		t.Errorf("manifest is %+v, want / standing alone", m)
	}
	found := map[string]bool{}
	for _, icon := range m.Icons {
		found[icon.Sizes+" "+icon.Purpose] = true
	}
	// What browsers want before they offer to install.
	for _, want := range []string{"192x192 ", "512x512 ", "192x192 maskable", "512x512 maskable"} {
		if !found[want] {
			t.Errorf("there is no icon of %s", want)
		}
	}
}

func TestManifest_iconsAreWhatTheySay(t *testing.T) {
	for _, icon := range readManifest(t).Icons {
		file, ok := assets().files[icon.Src]
		if !ok || file.mediaType != icon.Type {
			t.Errorf("icon %s of type %s: there %t, served as %s", icon.Src, icon.Type, ok, file.mediaType)
			continue
		}
		if icon.Type == "image/png" {
			checkIcon(t, icon, file.body)
		}
	}
}

// checkIcon looks at the size, and at a corner: a mask may show the corners of
// an icon that is made for one, the others are round.
func checkIcon(t *testing.T, icon manifestIcon, body []byte) {
	t.Helper()
	image, err := png.Decode(bytes.NewReader(body))
	if err != nil {
		t.Errorf("%s: %v", icon.Src, err)
		return
	}
	if got := fmt.Sprintf("%dx%d", image.Bounds().Dx(), image.Bounds().Dy()); got != icon.Sizes {
		t.Errorf("%s is %s, want %s", icon.Src, got, icon.Sizes)
	}
	_, _, _, alpha := image.At(0, 0).RGBA()
	if maskable := strings.Contains(icon.Purpose, "maskable"); (alpha == 0xffff) != maskable {
		t.Errorf("%s: corner has alpha %#x, purpose %q", icon.Src, alpha, icon.Purpose)
	}
}
