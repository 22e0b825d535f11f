// Package sqlstore keeps nod's truth in SQL. Its promises are those of
// approval.Store, approval.Upkeep, approval.Journal, approval.Ceremonies,
// approval.Outbox and the read interfaces of approval/account, and it passes
// approval/storetest. Today it is one SQLite file; every statement is written so
// that it runs unchanged on PostgreSQL too ($1 parameters, ON CONFLICT, UPDATE …
// WHERE version, times as BIGINT microseconds).
//
// # Writing
//
// Writes queue up. Whoever comes first leads: it takes everything that is
// queued, at most maxGroup jobs, runs each within a savepoint of one BEGIN
// IMMEDIATE transaction, commits once and answers all. So a failing job takes
// back its own writes only, 64 writers cost one fsync instead of 64, and there
// is no goroutine to own: the work is done by those who wait for it, on a stack
// lent to them. An answer leaves only after the commit. A leader serves one group
// and then passes on.
//
// A caller whose context ends leaves at once with an error matching
// approval.ErrUnavailable; if its job was already taken, what it wrote may
// stand. So whatever is handed to a write must not be modified afterwards.
//
// # Operation ids
//
// A change claims its Op before anything else, by inserting it: into events
// together with its audit row, or into ops when it has no Event. An Op that is
// there already was applied, so the change is skipped. Events stay for good; an
// Op without an Event is remembered for opLife, far longer than anybody retries.
//
// # Audit rows
//
// What writes beside Apply and changes a key, a setting or who is signed in writes
// its audit row in the same transaction: ChangeSigningKeys, KeepSetting, KeepSealed,
// PutSetting, EndSession. Without one are AddSession (the sign-in's change has it),
// TouchSession, ceremonies, guess budgets, the states of outbox rows, and the purge
// of what time has ended. Audit rows are never changed or purged; audit.go keeps the
// chain over them, in tables of its own and in transactions that touch nothing else,
// so that on PostgreSQL no decision is begun again because of a seal.
//
// # Several processes
//
// The command line opens the same file while the server runs: SQLite's locks
// order their transactions, and WatchForeign tells the server when somebody
// else wrote.
package sqlstore
