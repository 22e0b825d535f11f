package push

import "github.com/nod-auth/nod/approval"

// words is what a message says where it brings its own text: who sees them on a
// lock screen learns that something waits, and no more. A prompt says the same for a
// device, an app and a text to agree to: which of them it is, is told after the sign-in.
func words(m Message) (title, body string) {
	switch {
	case m.Kind == Prompt:
		body = "A request waits for your answer. Open to see it."
	case m.Notice == approval.NoticeCode:
		body = "A device may be let in with a code made for you. Open to see."
	case m.Notice == approval.NoticeSuspended:
		body = "A passkey of yours was stopped. Open to see why."
	case m.Notice == approval.NoticePasskeyAdded:
		body = "A passkey was added to your account. Open to see."
	case m.Notice == approval.NoticeRecoveryMade:
		body = "New recovery codes were made for you. Open to see."
	case m.Notice == approval.NoticeRecovered:
		body = "A recovery code was used and you were signed out everywhere. Open to see."
	case m.Kind == Test:
		body = "This is a test. This phone can be reached."
	default: // a notice that a newer nod wrote
		body = "Something happened to your account. Open to see."
	}
	return "nod", body
}
