package wire

import (
	"mime"
	"strconv"
	"strings"
)

// PrefersHTML says whether an Accept header (RFC 9110 section 12.5.1) likes HTML
// better than JSON. Programs that take anything get JSON.
func PrefersHTML(accept string) bool {
	return quality(accept, "text/html") > quality(accept, "application/json")
}

// quality is the weight of a media type: that of the most specific range that
// covers it.
func quality(accept, kind string) float64 {
	family, _, _ := strings.Cut(kind, "/")
	best, q := -1, 0.0
	for part := range strings.SplitSeq(accept, ",") {
		name, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		specific := -1
		switch name {
		case kind:
			specific = 2
		case family + "/*":
			specific = 1
		case "*/*":
			specific = 0
		}
		if specific > best {
			best, q = specific, weight(params["q"])
		}
	}
	return q
}

func weight(text string) float64 {
	if text == "" {
		return 1
	}
	q, err := strconv.ParseFloat(text, 64)
	if err != nil || q < 0 || q > 1 {
		return 0
	}
	return q
}
