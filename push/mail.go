package push

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"github.com/nod-auth/nod/approval/account"
)

// mailer sends messages as mail through the operator's own relay, which is
// dialled as it stands: it usually is on a private network.
//
// smtp:// is encrypted by STARTTLS or nothing is sent, smtps:// from the first
// byte. A relay on the machine itself is spoken to in the clear: nobody is in
// between, and what it would present is a certificate for another name.
type mailer struct {
	host     string
	from     *netmail.Address
	public   string
	options  []mail.Option
	implicit *tls.Config // smtps; nil otherwise
	connect  func(ctx context.Context, network, address string) (net.Conn, error)
}

var smtpPorts = map[string]int{"smtp": 587, "smtps": 465} // RFC 8314 section 3.3

func newMailer(address account.Secret, from, public string) (*mailer, error) {
	u, err := url.Parse(strings.TrimSpace(address.Reveal()))
	if err != nil || smtpPorts[u.Scheme] == 0 || u.Hostname() == "" || strings.Trim(u.Path, "/") != "" {
		// without err, which repeats the address and the password in it
		return nil, errors.New("smtp-url: must be smtp://user:password@host:587 or smtps://user:password@host:465; " +
			"characters like @ : / in the password are written as %40 %3A %2F")
	}
	port := smtpPorts[u.Scheme]
	if u.Port() != "" {
		if port, err = strconv.Atoi(u.Port()); err != nil || port < 1 || port > 65535 {
			return nil, errors.New("smtp-url: the port must be a number from 1 to 65535")
		}
	}
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, errors.New(`smtp-from: must be the address that mails come from, such as nod@example.org or "Acme sign-in <nod@example.org>"`)
	}
	m := &mailer{host: u.Hostname(), from: sender, public: public, connect: (&net.Dialer{}).DialContext}
	m.options = []mail.Option{mail.WithPort(port), mail.WithTimeout(attemptTime), mail.WithTLSPolicy(mail.TLSMandatory)}
	auth := mail.SMTPAuthAutoDiscover
	switch {
	case u.Scheme == "smtps":
		m.implicit = &tls.Config{ServerName: m.host, MinVersion: tls.VersionTLS12}
		// Not WithSSL, which does not believe that a dialer of ours has encrypted and
		// then refuses to sign in. This one looks at the connection.
		m.options = append(m.options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case isLoopback(m.host):
		m.options = append(m.options, mail.WithTLSPolicy(mail.NoTLS))
		auth = mail.SMTPAuthPlainNoEnc
	}
	if password, given := u.User.Password(); given {
		m.options = append(m.options, mail.WithSMTPAuth(auth),
			mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	return m, nil
}

// Send implements Channel.
func (m *mailer) Send(ctx context.Context, msg Message) error {
	letter, err := m.letter(msg)
	if err != nil {
		return err
	}
	return m.session(ctx, func(c *mail.Client, conn *smtp.Client) error {
		err := c.SendWithSMTPClient(conn, letter)
		if letter.IsDelivered() {
			return nil // and what went wrong afterwards is the relay's own affair
		}
		return err
	})
}

// check signs in at the relay and sends nothing.
func (m *mailer) check(ctx context.Context) (says string, err error) {
	err = m.session(ctx, func(*mail.Client, *smtp.Client) error { return nil })
	return "the mail server at " + m.host + " lets nod in", err
}

// session opens a connection and hands it to do. It is cut when ctx ends: the
// library itself looks at a context only while it dials.
func (m *mailer) session(ctx context.Context, do func(*mail.Client, *smtp.Client) error) error {
	within, end := context.WithCancel(ctx)
	defer end()
	dial := func(dialing context.Context, network, address string) (net.Conn, error) {
		conn, err := m.dial(dialing, network, address)
		if err == nil {
			context.AfterFunc(within, func() { conn.Close() })
		}
		return conn, err
	}
	options := append([]mail.Option{mail.WithDialContextFunc(dial)}, m.options...)
	c, err := mail.NewClient(m.host, options...)
	if err != nil {
		return errors.New("mail server: its settings do not fit together")
	}
	conn, err := c.DialToSMTPClientWithContext(within)
	if err == nil {
		err = do(c, conn)
	}
	if err == nil {
		_ = conn.Quit() // what was taken is taken
	}
	return mailFault(ctx, err)
}

func (m *mailer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := m.connect(ctx, network, address)
	if err != nil || m.implicit == nil {
		return conn, err
	}
	secure := tls.Client(conn, m.implicit)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return secure, nil
}

func (m *mailer) letter(msg Message) (*mail.Msg, error) {
	title, body := words(msg)
	l := mail.NewMsg(mail.WithNoDefaultUserAgent())
	l.FromMailAddress(m.from)
	if err := l.To(msg.Target.Reveal()); err != nil {
		return nil, errors.New("write mail: the address cannot be written to")
	}
	l.Subject(title + ": " + subject(msg))
	l.SetDateWithValue(msg.At)
	// The same on every attempt, so that a mailbox can drop the repeat.
	l.SetMessageIDWithValue(msg.ID + "@" + m.from.Address[strings.LastIndexByte(m.from.Address, '@')+1:])
	// A robot wrote it (RFC 3834 section 5), and nobody's absence notice is wanted.
	l.SetGenHeader("Auto-Submitted", "auto-generated")
	l.SetGenHeader(mail.HeaderXAutoResponseSuppress, "All")
	// Some mailboxes put equal subjects into one thread and show only its first.
	l.SetGenHeader("X-Entity-Ref-ID", msg.ID)
	l.SetBodyString(mail.TypeTextPlain, body+"\r\n\r\n"+link(m.public, msg)+"\r\n\r\n"+
		"The link only shows what waits. nod never asks for a code or a password by mail.\r\n")
	return l, nil
}

func subject(m Message) string {
	switch m.Kind {
	case Prompt:
		return "a request waits for your answer"
	case Notice:
		return "something happened to your account"
	default:
		return "a test"
	}
}

// mailFault puts what went wrong into our words. Of what the relay said only the
// codes are kept: its texts repeat addresses.
func mailFault(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var sent *mail.SendError
	var said *textproto.Error
	var cert *tls.CertificateVerificationError
	var network net.Error
	switch {
	case ctx.Err() != nil:
		return &RetryError{Err: fmt.Errorf("mail server: no answer in time: %w", ctx.Err())}
	case errors.As(err, &sent) && sent.ErrorCode() != 0:
		return mailAnswer(sent.ErrorCode(), sent.EnhancedStatusCode(), sent.Reason.String())
	case errors.As(err, &said):
		return mailAnswer(said.Code, "", "signing in")
	case errors.As(err, &cert):
		return errors.New("mail server: its certificate is not valid for its name")
	case sent != nil, errors.As(err, &network), errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &RetryError{Err: errors.New("mail server: the connection could not be made or broke off")}
	case strings.Contains(err.Error(), "STARTTLS"):
		return errors.New("mail server: it does not offer STARTTLS, and nothing is sent unencrypted; try smtps:// and its port")
	default:
		return errors.New("mail server: it offers no way of signing in that nod would use")
	}
}

// mailAnswer: 4yz passes, 5yz does not (RFC 5321 section 4.2.1).
func mailAnswer(code int, enhanced, during string) error {
	err := fmt.Errorf("mail server answered %s when %s", strings.TrimSpace(fmt.Sprint(code, " ", enhanced)), during)
	if code >= 400 && code < 500 {
		return &RetryError{Err: err}
	}
	return err
}
