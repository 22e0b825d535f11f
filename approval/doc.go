// Package approval is the core of nod: one question to one person, held open
// until it is answered, and answered once.
//
// # One request through the house
//
// A face (package api) calls Service.Begin, which freezes everything that will
// be shown and signed, and hands out a code for the new device and a handle
// for the phone. The new device calls Service.Collect and sleeps in the Hub.
// The phone calls Inspect, Opened and Decide; Decide applies a Change to the
// Store and only then wakes the Hub. The sleeper reads the store again, applies
// the redemption and leaves with a Grant, from which its face signs a token.
//
// # Reaching the phone
//
// A request that is to be pushed is created together with a row of the Outbox
// and with its owner's Prompting, the flood guard: one transaction, so that
// neither a crash nor a provider's fault loses a prompt, doubles one or fails the
// asker. A Reach (package push) delivers the rows later, at least once. What it
// carries is a handle that opens the request as Pushed, for its owner alone, and
// then the match number is needed. Service.Follow tells the phone what becomes of
// what it shows; a second phone that opens the same request is noticed by both
// sides. A QR code may rotate: see Codes.Rotating.
//
// # A request of the standard faces
//
// RFC 8628 and CIBA are the same calls with other codes. Begin makes a code of 256
// bits to poll with (PollCode) and, for the device grant, a second one of eight
// letters that anybody of the client's namespace may type (UserCode). The phone
// arrives as Typed, Scanned or Pushed, and decides as ever; where a number would be
// asked for and the device cannot know of one, it asks whether the device shows the
// binding message. Collect is the held poll: it sleeps no longer than its face says,
// or until the request is newer than what the holder knows (Holder.Since), and a
// PendingError tells how far it got. A key that a poll shows (DPoP) binds the request
// from then on. Whoever wants to be told of the end (Request.AnswerTo: CIBA ping,
// Keycloak) is told once, by an Outbox row in the transaction of the verdict, or of
// what took its place.
//
// A redemption signs a device in: one row (account.Device) whose id is the sid of all
// its tokens, in the transaction of the redemption. Access tokens are never
// looked up and refresh tokens never stored. A refresh token is made of the device's
// id and of how many there were before it, with the codes' key, and the row knows the
// newest number; so every older one that turns up is known for what it is, and ends
// the device (Service.Refresh). Revocation, introspection and refresh ask one row
// (Directory.Standing) and are true on every node at once. A native sign-in has such a
// row, too, and so has a passkey used on an application's own page: what a backend asks
// about later, and what is listed for its person (revoke.go). Revoking moves the row's
// version whatever that is, and so beats a refresh that is under way without ever
// having to try again; the first to revoke is who did it. A person who finds that a
// request was not theirs says so (report.go): whatever it led to is taken back. Of a
// passkey that was added that is the passkey, what it vouched for, and what these let
// in (undo.go): a passkey remembers the request and the passkey that it was added by.
//
// A native reply that was lost is given again, to the letter, for a minute and to the
// same address. Here a code works once, for clients change addresses and many have no
// secret: only when the server itself saw the reply fail (Service.Lost) are its tokens
// revoked, and the same client with the same key collects once more, afresh; unless
// somebody has ended the device since, which is a no like any other. A redemption that
// the store did not answer for counts as lost, or is found by whoever still waits.
// What is lost in a kernel's buffer is lost: the person is asked again.
//
// # Ways in, and back in
//
// A session on the phone's pages signs in and no more. Another way into the account,
// be it a passkey, an invitation for one's other device or a set of recovery codes,
// takes a fresh answer of a passkey that was asked for just that, a backend's word
// (an authorized code, force) or an operator's invitation; and all phones hear of it
// (Change.Tells). A recovery code (Directory.Recover) is sixteen letters, of which a
// keyed hash is stored. It is found by code and name together, so that neither words
// nor time tell whether a name is anybody's; it ends all sessions and invitations, and
// gives a quarter of an hour to make a passkey. What an approval let in can do none of
// this.
//
// # A request of nobody yet
//
// A browser without a passkey asks on nod's own pages for one: no client asks, nobody is
// named or prompted, and whoever scans or types it, in whatever namespace, may make it
// theirs (join.go). It is of one face and for one purpose, AddCredential, and collected
// by making the passkey. Its namespace stays "": that is frozen and signed like the rest,
// and its codes hang on it; who decided, and whose webhooks hear of it, is in Decision.
//
// # Telling backends
//
// Whatever a namespace's webhooks want to hear of becomes, in Service.apply, one
// outbox row for each of them in the transaction of the change (webhook.go): nothing
// is told that did not happen, and what happened is told over any crash. Which webhooks
// there are is remembered for a second, so that a change costs no read. The rows are
// the delivery log as well, and stay for a week.
//
// # Consent and evidence
//
// A yes by passkey leaves a Receipt: the canonical Record that was signed, and the
// signature. It can be checked by whoever has it, and is kept for good: nothing that
// ends a request, a passkey, a user or a client touches it. A deleted user has no
// session to fetch it with any more; who asked still can. A backend's word leaves none.
//
// A transaction (transaction.go) is a request for consent to one text. It is frozen to
// the byte, signed, and named by the token's hash; the token signs nobody in, and no
// backend's word is a consent. Where it is confirmed on the application's own page, the
// record says so (OnPage): nod showed nothing there.
//
// # How it is kept right
//
// A transition (transition.go) is a pure function of a Request and a time; it
// returns a Change or one of the error words (errors.go). Store.Apply makes
// Changes true in one serialisable transaction: the compare-and-swap on the
// version, the audit row, outbox rows, and whatever else must happen with it
// or not at all (effects). Rules are never written a second time in SQL.
//
// Waiting is "watch, then read, then sleep": a wake carries nothing and may be
// lost, the Hub's sweep finds what a lost one hid. Expiry is data, judged by
// the store's clock inside Apply; local timers are hints.
//
// # Where this differs from the first design
//
// Guess budgets are taken, judged and given back in one transaction whose
// answer leaves only after it ended, instead of in a transaction before the
// judging. The bound is the same (a guess that was not counted is never
// answered) and a right guess writes nothing. Low-entropy codes and match
// numbers are derived from the request's id with a secret key, so that none is
// ever stored, not even to be shown in a choice of three. So are refresh tokens, the
// handle of a prompt and those of a QR code that rotates: between the request and its
// delivery, perhaps by another node, no secret lies in the outbox, a QR code
// changes without a write, and each handle is bound by its tag to what it is for.
//
// Prompts and mutes are one row a person, with a version, that pure rules move
// (prompting.go), instead of conditional increments: "three in ten minutes, ten a
// day, one live, unless muted, and an approval forgets" is one judgement over one
// row, which SQL would have to spell a second time. Unlike a guess, a prompt has
// no answer that could leave before it was counted, so the row is swapped in the
// transaction of the request itself; who loses the race judges again, and usually
// finds that there is a live prompt.
//
// A passkey sign-in that answers with a token is a Request born redeemed, so that
// one record and one revocation serve every token nod hands out. Ending a user, a
// passkey or a client cancels what hangs on it in the same transaction as far as
// it was there to see; what another caller began in the moment before is canceled
// right after and could not be redeemed meanwhile (cancelAll), so that an endless
// stream of new requests cannot hold the ending up.
//
// The package does no I/O of its own. Service and Hub are safe for concurrent
// use; Run owns every goroutine.
package approval
