package main

import (
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/nod-auth/nod/cmd/nod/demo"
)

func newDemo() *cobra.Command {
	o := demo.Options{Story: os.Stderr, Claims: os.Stdout}
	c := &cobra.Command{
		Use:   "demo",
		Short: "See it happen: a server, a television that waits, a phone that approves",
		Long: `Run the whole story in one process: a server on an embedded store, a sample
application with the page of a television, and a phone in software with a real
passkey. Nothing is left behind.

In a terminal it shows the code, the QR code and each step, and waits for you to
press a (approve) or d (decline); the pages stay open until q. Without a terminal
the phone approves by itself, the verified claims are printed as one JSON object
on standard output, and the exit status is 0.

When a port is taken, a free one is used and printed.`,
		Example: "  nod demo\n  nod demo </dev/null | jq .udata",
		Args:    noArguments,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			in := int(os.Stdin.Fd())
			if !term.IsTerminal(in) || !term.IsTerminal(int(os.Stdout.Fd())) {
				return demo.Run(ctx, o)
			}
			before, err := term.MakeRaw(in)
			if err != nil {
				return err
			}
			defer func() { _ = term.Restore(in, before) }()
			o.Keys, o.Story, o.Claims = keys(os.Stdin), raw{os.Stderr}, raw{os.Stdout}
			return demo.Run(ctx, o)
		},
	}
	c.Flags().StringVar(&o.Listen, "listen", "127.0.0.1:8080", "address of the server")
	c.Flags().StringVar(&o.AppListen, "app-listen", "127.0.0.1:8081", "address of the sample application")
	return c
}

// keys delivers each byte that is typed. Its goroutine ends with the process,
// or with the input.
func keys(in io.Reader) <-chan byte {
	out := make(chan byte)
	go func() {
		b := make([]byte, 1)
		for {
			if n, err := in.Read(b); err != nil {
				out <- 'q'
				return
			} else if n == 1 {
				out <- b[0]
			}
		}
	}()
	return out
}

// raw writes for a terminal in raw mode, where a line feed does not return.
type raw struct{ to io.Writer }

func (r raw) Write(p []byte) (int, error) {
	_, err := io.WriteString(r.to, strings.ReplaceAll(string(p), "\n", "\r\n"))
	return len(p), err
}
