package phone

import (
	"cmp"
	"sync"

	"github.com/rivo/uniseg"
	"github.com/ua-parser/uap-go/uaparser"

	"github.com/nod-auth/nod/approval"
)

// maxAgent is how much of a User-Agent that nobody knows is shown, in graphemes:
// two lines of the card.
const maxAgent = 80

// unknown is what the parser calls what it does not know.
const unknown = "Other"

// agents compiles the parser's patterns at their first use: 50 ms and 12 MB that
// a server without phones need not spend.
var agents = sync.OnceValue(func() *uaparser.Parser {
	p, err := uaparser.New()
	if err != nil {
		panic("phone: embedded user agent patterns: " + err.Error()) // they are the library's own
	}
	return p
})

// software puts a User-Agent header into words: "Chrome on BRAVIA 4K GB". What
// the parser does not know is shown as it came, shortened.
func software(header string) string {
	if header == "" {
		return ""
	}
	client := agents().Parse(header)
	browser := known(client.UserAgent.Family)
	machine := cmp.Or(known(client.Device.Family), known(client.Os.Family))
	if browser != "" && machine != "" {
		return browser + " on " + machine
	}
	return cmp.Or(browser, machine, shortened(header))
}

// passkeyName is what a new passkey is called until its owner says otherwise:
// the phone it was made on, if that has a name that can be shown.
func passkeyName(header string) string {
	device := known(agents().Parse(header).Device.Family)
	name, err := approval.CleanText("name", cmp.Or(device, software(header)), approval.MaxName)
	if err != nil || name == "" {
		return "Passkey"
	}
	return name
}

// phoneName is what a phone is called that registers for notifications and does
// not say: the browser it is in.
func phoneName(header string) string {
	name, err := approval.CleanText("name", software(header), approval.MaxName)
	if err != nil {
		return "" // the core names it by its kind
	}
	return name
}

func known(name string) string {
	if name == unknown {
		return ""
	}
	return name
}

func shortened(text string) string {
	graphemes := uniseg.NewGraphemes(text)
	for range maxAgent {
		if !graphemes.Next() {
			return text
		}
	}
	_, end := graphemes.Positions()
	if end == len(text) {
		return text
	}
	return text[:end] + "…"
}
