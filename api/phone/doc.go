// Package phone serves the pages and calls of the phone: signing in with a
// passkey, enrolling by invitation, looking at a request, and deciding it.
//
// # Guarantees
//
//   - No path and no query takes a secret that lets somebody in: an invitation is a
//     fragment, which the page's script sends in bodies.
//   - A GET changes nothing, however often a link is opened or prefetched. (A
//     session's last use is noted, at most once an hour; and a wrong user code in
//     a link that somebody opens costs a try, like one that is typed.)
//   - Nothing of a request is shown to somebody who is not signed in, and nobody
//     decides a request that is somebody else's.
//   - A second phone that opens the same request is noticed, and both are told.
//   - A phone is registered for notifications by whoever is signed in on it, for
//     themselves; nobody learns of, tests or removes a phone of somebody else.
//   - A held call ends on news, after its hold, when the server drains, and when
//     its phone leaves.
//   - What somebody has let in, and where they are signed in, is shown to them alone
//     and ended by them alone. Ending it, taking an approval back and reporting a
//     request need a session and work as plain forms, and twice is once.
//   - A yes needs a passkey's answer that was made for this one request; a no
//     needs a session and works as a plain form.
//   - A way into the account is added (a passkey, a link for another device, recovery
//     codes) only with a passkey's answer that was made for just that.
//   - A browser without a passkey gets one on /join, for as long as the approval of
//     somebody who scanned or typed its code lasts. What it waits with is a cookie like
//     the session's and in no path, page or script; it waits and makes that passkey, and
//     opens nothing else. Asking names nobody and prompts nobody.
//   - What /recover says, and how long it takes, is the same for a wrong code and for
//     a name that nobody has.
//   - The session cookie is out of reach for scripts, for other sites and for
//     other hosts; its secret is not stored. A session ends on the server when
//     its owner signs out, is deactivated, loses the passkey it began with, or
//     stays away for account.SessionIdle.
//   - Calls of other origins are refused by http.CrossOriginProtection, whatever
//     cookie comes along.
//   - Pages answer errors with a page, calls with {"code", "message"}; both say
//     what to do next, and neither repeats what was sent.
//
// # Refusals
//
// The package owns no rule: who may see what, which number is right and which
// verdict was first is for package approval to say, and what a passkey's answer
// is worth for package webauthn.
package phone
