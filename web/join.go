package web

// JoinPage is open on a device that has no passkey yet: it shows a QR code and a code to
// type, waits for a phone, and then makes the device's own passkey.
type JoinPage struct{ Frame }

func (JoinPage) template() string { return "join.html" }
