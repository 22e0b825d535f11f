// Package push reaches people outside of any request they make: it delivers what
// the core put into its outbox, over every road that leads to a person.
//
// # One prompt through the package
//
// approval.Service.Begin writes an outbox row in the transaction that creates the
// request and says so by Queued, which never blocks. Run claims the row under a
// lease, reads afresh whether anybody is still wanted (a request that was decided
// meanwhile prompts nobody), finds the user's phones, opens where each is reached
// and sends one Message to all of them at once, each over its kind's Channel, and
// over the channels that need no phone (webhook, log). The message counts as sent
// when the first road took it; the others are tried again by themselves.
//
// # Answers to servers
//
// When a request ends whose asker wanted to be told (approval.Ask.AnswerTo), the
// outbox holds a row for that too. Run sends it, a CIBA ping or the verdict for a
// Keycloak realm, by the same rules; see Answers. What is sent says how the request
// stands in that moment: a request that was taken back after it was approved is
// never told as a yes.
//
// # Webhooks
//
// What happens in a namespace is told to the webhooks that its backends registered:
// outbox rows too, written with the event (approval.Announcement), and a log of what
// became of them. Run claims them of one receiver at a time, at most eight, or one when
// it is down, so that a slow one holds up nobody; see Hooks. What is sent was fixed
// when it happened, so that every attempt and every replay is the same message.
//
// # Guarantees
//
//   - A message is a wake-up: an opaque handle or a word, nothing to approve with.
//   - At least once: a row is settled after it was sent, and its progress is kept
//     in it, so that a crash, a lost lease or a store that is away repeats one round
//     of attempts at most and loses nothing. A message has the same ID every time.
//   - Nothing is sent at or after a message's Until, and no attempt takes longer
//     than ten seconds, or fifteen for a webhook. A road that hangs or fails holds up
//     no other road and no other message, up to the number of messages that are in
//     flight at once.
//   - A provider's fault reaches nobody who asks: it is kept in the row, and as the
//     phone's Fault where its owner can see it. A phone that its provider does not
//     know any more is removed.
//   - Logs and errors name phones, requests and what the other side answered, never
//     where a phone is reached, a handle or a key. The log channel, which exists to
//     show handles, says so at every start.
//   - Every address that somebody else chose is dialled by push/egress.
//
// New checks everything that can be checked; it starts no goroutine. Run owns all
// of them and ends with its context: what was under way is cut off and handed back.
// *Push is an approval.Reach and is safe for concurrent use.
package push
