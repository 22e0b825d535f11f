// Package mutants keeps the known bugs of this field and proves that the suite
// would catch each of them, should it ever come back.
//
// A mutant is a patch, NN-name.patch, that puts one such bug into the code. The
// package's test builds the tests of the packages that it names with the patch
// laid over the sources (go build -overlay: nothing on disk changes), runs the
// tests that it names, and demands
//
//   - that each of them passes without the patch,
//   - that the patch applies, hunk by hunk, in exactly one place each,
//   - that what it makes of the code builds, and
//   - that each of them fails with it, and does not only hang.
//
// All of it takes three minutes on two busy cores: each mutant is a build
// of what rests on the patched file, and the build cache keeps the rest. A test
// that skips for want of a server is left out, and a mutant that has no other is
// skipped; both say so.
//
// # The form
//
// A patch is a header in the form of a mail's and a unified diff:
//
//	Mutant: what is wrong with the code, in one line
//	Taught: the incident, CVE or class of bug that taught it; further
//	 lines begin with a space
//	Breaks: the invariants (design, "Invariants") and threats that it touches
//	Fails: ./approval TestName
//	Fails: ./approval/sqlstore TestStore_conforms/Apply_versionMoved
//
//	--- a/approval/wait.go
//	+++ b/approval/wait.go
//	@@ -1,3 +1,3 @@
//	 context
//	-what the code says
//	+what it says with the bug
//	 context
//
// Each Fails names one test, exactly, and the package that it is in; each of the
// tests must fail by itself. Line numbers are not looked at: a hunk belongs where
// its context and its removed lines are.
//
// # To add one
//
// Make the bug in the code, write down "git diff" of it under a header, undo it,
// and run
//
//	go test ./approval/mutants -run Mutants/NN
//
// When it says that the mutant survives, the suite has a hole: the missing test
// belongs to the package that has the bug, and comes first.
//
// When a patch no longer applies, the code has moved on, and whoever moved it
// writes the same bug into what it is now. Deleting a mutant wants a reason: the
// bug can no longer be written.
package mutants
