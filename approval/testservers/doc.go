// Package testservers starts real servers for tests: PostgreSQL, and Redis alone,
// behind Sentinels and as a Cluster. Each listens on a free port of loopback, keeps
// its files in the test's temporary folder, is stopped by its own pid and can be
// frozen, killed and started again meanwhile.
//
// Where a program is missing the test is skipped and says which; with
// TEST_REQUIRE_ALL=1 it fails instead.
package testservers
