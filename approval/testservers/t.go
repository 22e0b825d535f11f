package testservers

// T is what a server needs of the test it runs for: a testing.TB, or whatever a
// program that measures has in its place. Fatal, Fatalf and Skipf do not return.
type T interface {
	Helper()
	Cleanup(func())
	TempDir() string
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}
