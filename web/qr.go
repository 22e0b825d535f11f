package web

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skip2/go-qrcode"
)

// QRSVG draws text as a QR code: black on white whatever the page's colours,
// with the quiet zone of four modules that ISO/IEC 18004 asks for. The image
// has no size of its own (one unit of its viewBox is one module) and its name
// is "QR code". The text itself is not repeated in it. An empty text, or one
// too long for a QR code (about 2,300 bytes), is an error.
func QRSVG(text string) ([]byte, error) {
	modules, err := qrModules(text)
	if err != nil {
		return nil, err
	}
	size := strconv.Itoa(len(modules))
	return []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ` + size + ` ` + size +
		`" role="img" shape-rendering="crispEdges"><title>QR code</title>` +
		`<rect width="` + size + `" height="` + size + `" fill="#fff"/>` +
		`<path fill="#000" d="` + qrPath(modules) + `"/></svg>`), nil
}

// qrPath draws every run of dark modules in a row as one rectangle.
func qrPath(modules [][]bool) string {
	var path strings.Builder
	for y, row := range modules {
		for x := 0; x < len(row); x++ {
			start := x
			for x < len(row) && row[x] {
				x++
			}
			if run := x - start; run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", start, y, run, run)
			}
		}
	}
	return path.String()
}

// Black on white out of the fixed part of the 256-colour palette (16 and 231
// are the corners of its colour cube), which themes leave alone. Without it a
// light theme would show the code inverted, and not every camera reads that.
const (
	terminalBlackOnWhite = "\x1b[38;5;16;48;5;231m"
	terminalReset        = "\x1b[0m"
)

// QRTerminal draws text as a QR code for a terminal that knows 256 colours: one
// column per module, two rows of modules per line, the quiet zone included,
// each line ended by a line feed. Errors are those of [QRSVG].
func QRTerminal(text string) (string, error) {
	modules, err := qrModules(text)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for y := 0; y < len(modules); y += 2 {
		out.WriteString(terminalBlackOnWhite)
		for x := range modules[y] {
			// The side of a QR code is odd: below the last row there is white.
			below := y+1 < len(modules) && modules[y+1][x]
			out.WriteString(halfBlock(modules[y][x], below))
		}
		out.WriteString(terminalReset + "\n")
	}
	return out.String(), nil
}

func halfBlock(above, below bool) string {
	switch {
	case above && below:
		return "█"
	case above:
		return "▀"
	case below:
		return "▄"
	}
	return " "
}

// qrModules returns the code row by row, true for dark, quiet zone included.
// Error correction is medium (15 %): a screen has no scratches but reflections.
func qrModules(text string) ([][]bool, error) {
	if text == "" {
		return nil, errors.New("encode qr code: empty text")
	}
	code, err := qrcode.New(text, qrcode.Medium)
	if err != nil {
		return nil, fmt.Errorf("encode qr code of %d bytes: %w", len(text), err)
	}
	return code.Bitmap(), nil
}
