package web

// EnrolPage is where an invitation is opened. It is the same for everybody: its
// script reads the invitation's secret out of the address, asks the server whom it
// is for, and shows what became of it.
type EnrolPage struct{ Frame }

func (EnrolPage) template() string { return "enrol.html" }

// InvitationLink is the address at which an invitation is opened; origin is
// scheme://host[:port], or empty for a path. The secret is the fragment, which a
// browser keeps to itself (RFC 3986 section 3.5): it is in no request line and no
// referrer, and so in no proxy's log.
func InvitationLink(origin, secret string) string { return origin + "/enrol#" + secret }
