package web

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	qrSample    = "HTTPS://NOD.EXAMPLE/A/7F3K2M9QX4T8W6Z1"
	qrQuietZone = 4 // modules, ISO/IEC 18004 section 6.3.8
	qrFinder    = 7 // modules, the side of a finder pattern
)

func sampleModules(t *testing.T) [][]bool {
	t.Helper()
	modules, err := qrModules(qrSample)
	if err != nil {
		t.Fatalf("qrModules: %v", err)
	}
	return modules
}

func TestQR_hasAQuietZoneAndThreeFinders(t *testing.T) {
	modules := sampleModules(t)
	size := len(modules)
	for y, row := range modules {
		for x, dark := range row {
			inside := min(x, y, size-1-x, size-1-y) >= qrQuietZone
			if dark && !inside {
				t.Fatalf("module %d,%d of the quiet zone is dark", x, y)
			}
		}
	}
	low, high := qrQuietZone, size-qrQuietZone-qrFinder
	for _, corner := range [][2]int{{low, low}, {high, low}, {low, high}} {
		checkFinder(t, modules, corner[0], corner[1])
	}
}

// checkFinder compares with the pattern: a ring, a gap and a block of three.
func checkFinder(t *testing.T, modules [][]bool, left, top int) {
	t.Helper()
	for dy := range qrFinder {
		for dx := range qrFinder {
			ring := max(abs(dx-3), abs(dy-3)) // distance from the middle
			if got, want := modules[top+dy][left+dx], ring != 2; got != want {
				t.Fatalf("finder at %d,%d: module %d,%d is %t, want %t", left, top, dx, dy, got, want)
			}
		}
	}
}

func abs(n int) int { return max(n, -n) }

// svgImage is what the tests read of a code drawn as SVG.
type svgImage struct {
	XMLName xml.Name `xml:"http://www.w3.org/2000/svg svg"`
	ViewBox string   `xml:"viewBox,attr"`
	Width   string   `xml:"width,attr"`
	Role    string   `xml:"role,attr"`
	Title   string   `xml:"title"`
	Path    struct {
		D    string `xml:"d,attr"`
		Fill string `xml:"fill,attr"`
	} `xml:"path"`
}

func TestQRSVG_drawsExactlyTheModules(t *testing.T) {
	modules := sampleModules(t)
	drawing, err := QRSVG(qrSample)
	if err != nil {
		t.Fatalf("QRSVG: %v", err)
	}
	var image svgImage
	if err := xml.Unmarshal(drawing, &image); err != nil {
		t.Fatalf("svg does not parse: %v", err)
	}
	if want := fmt.Sprintf("0 0 %d %d", len(modules), len(modules)); image.ViewBox != want || image.Width != "" {
		t.Errorf("viewBox %q, width %q, want %q and none", image.ViewBox, image.Width, want)
	}
	if image.Role != "img" || image.Title != "QR code" || image.Path.Fill != "#000" {
		t.Errorf("role %q, title %q, fill %q", image.Role, image.Title, image.Path.Fill)
	}
	if got := modulesOfPath(t, image.Path.D, len(modules)); fmt.Sprint(got) != fmt.Sprint(modules) {
		t.Error("the path does not draw the modules")
	}
}

// modulesOfPath draws the path again.
func modulesOfPath(t *testing.T, path string, size int) [][]bool {
	t.Helper()
	modules := make([][]bool, size)
	for y := range modules {
		modules[y] = make([]bool, size)
	}
	reader := strings.NewReader(path)
	for reader.Len() > 0 {
		var x, y, run, back int
		_, err := fmt.Fscanf(reader, "M%d %dh%dv1h-%dz", &x, &y, &run, &back)
		if err != nil || run != back {
			t.Fatalf("path has a part that is no run of modules: %v", err)
		}
		for i := range run {
			modules[y][x+i] = true
		}
	}
	return modules
}

func TestQRTerminal_drawsTwoRowsALine(t *testing.T) {
	modules := sampleModules(t)
	drawing, err := QRTerminal(qrSample)
	if err != nil {
		t.Fatalf("QRTerminal: %v", err)
	}
	lines := strings.Split(strings.TrimSuffix(drawing, "\n"), "\n")
	if want := (len(modules) + 1) / 2; len(lines) != want {
		t.Fatalf("%d lines, want %d", len(lines), want)
	}
	for i, line := range lines {
		line = strings.TrimSuffix(strings.TrimPrefix(line, terminalBlackOnWhite), terminalReset)
		if got := utf8.RuneCountInString(line); got != len(modules) {
			t.Fatalf("line %d has %d columns, want %d", i, got, len(modules))
		}
		for x, block := range []rune(line) {
			above, below := strings.ContainsRune("█▀", block), strings.ContainsRune("█▄", block)
			if want := modules[2*i][x]; above != want {
				t.Fatalf("module %d,%d is %t, want %t", x, 2*i, above, want)
			}
			if want := 2*i+1 < len(modules) && modules[2*i+1][x]; below != want {
				t.Fatalf("module %d,%d is %t, want %t", x, 2*i+1, below, want)
			}
		}
	}
}

func TestQR_textThatDoesNotFitIsAnError(t *testing.T) {
	for _, text := range []string{"", strings.Repeat("x", 3000)} {
		if drawing, err := QRSVG(text); err == nil {
			t.Errorf("QRSVG of %d bytes gives %d bytes, want an error", len(text), len(drawing))
		}
		if _, err := QRTerminal(text); err == nil {
			t.Errorf("QRTerminal of %d bytes: want an error", len(text))
		}
	}
}

func TestQRSVG_doesNotRepeatItsText(t *testing.T) {
	drawing, err := QRSVG(qrSample)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(drawing, []byte("NOD.EXAMPLE")) {
		t.Error("the drawing contains its text")
	}
}
