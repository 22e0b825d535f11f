# What one types here: make demo, test, lint, bench, build, e2e.

.DELETE_ON_ERROR:
.PHONY: help demo build test soak e2e lint bench needs wants

help:
	@echo 'make demo    the whole story: a server, a television that waits, a phone that approves'
	@echo 'make build   ./nod, one static binary'
	@echo 'make test    every test; installs from Debian packages what is missing, when it may'
	@echo 'make soak    the tests over several nodes; NOD_SOAK=1 make soak at full length'
	@echo 'make e2e     only the tests with browsers and with LoginID'"'"'s own SDKs'
	@echo 'make lint    golangci-lint'
	@echo 'make bench   benchmarks, and what nodload measures'

demo:
	go run ./cmd/nod demo

build:
	CGO_ENABLED=0 go build -trimpath -o nod ./cmd/nod

# What the tests need beside Go, each as program:package-of-Debian.
NEEDS = gcc:build-essential chromium:chromium node:nodejs npm:npm \
        redis-server:redis-server redis-cli:redis-tools initdb:postgresql psql:postgresql-client \
        nginx:nginx-light openssl:openssl

# A test skips when something it needs is missing, and says so. Here it fails.
TEST = TEST_REQUIRE_ALL=1 go test -count=1 -timeout 20m

# Where goroutines meet is tested with the race detector, which makes a test
# several times slower; the rest is tested as it is built. The store's own suite is
# among the rest: package approval's tests drive the same code with the detector on.
# What starts browsers, or several nodes that things are done to, is tested alone.
ALONE = ./web/e2e ./cmd/nod/soak
RACED = $$(go list ./approval/... ./webauthn/... ./api/... ./push/... | grep -v -e /mutants -e /sqlstore)
PLAIN = $$(go list ./cmd/... ./web/... ./approval/mutants ./approval/sqlstore | grep -v -e /e2e -e /soak)

test: needs wants
	go vet ./...
	@status=0; set -x; \
	$(TEST) -race $(RACED) || status=1; \
	$(TEST) $(PLAIN) || status=1; \
	$(TEST) -p 1 $(ALONE) || status=1; \
	exit $$status

# The proofs over several nodes: three minutes as in make test, or with NOD_SOAK=1 two hours.
soak: needs
	TEST_REQUIRE_ALL=1 go test -count=1 -timeout 4h -v ./cmd/nod/soak

e2e: needs wants
	$(TEST) -v ./web/e2e

needs:
	@missing=; for need in $(NEEDS); do \
	  PATH="$$PATH:/usr/sbin:$$(echo /usr/lib/postgresql/*/bin)" command -v "$${need%%:*}" >/dev/null || missing="$$missing $${need#*:}"; \
	done; \
	[ -n "$$missing" ] || exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing$$missing"; \
	  { apt-get -qq update; for package in $$missing; do \
	    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends $$package || failed=1; done; \
	    [ -z "$$failed" ]; } >/dev/null \
	  || echo "could not install$$missing: tests that need it will fail"; \
	else echo "missing$$missing: tests that need it will fail; on Debian, as root: apt-get install$$missing"; fi

# Most tests with browsers take half the time in one without windows; chromium does, too.
wants:
	@command -v chromium-headless-shell >/dev/null || [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || \
	{ apt-get -qq update; DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium-headless-shell; } \
	  >/dev/null 2>&1 || true

LINT = .tools/golangci-lint-v2.15.0

lint: $(LINT)
	$(LINT) run ./...

$(LINT):
	GOBIN=$(CURDIR)/.tools/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
	mv .tools/bin/golangci-lint $@

bench:
	go test -run '^$$' -bench . -benchmem ./approval/... ./api/token
	go run ./cmd/nodload hold -n 10000
	go run ./cmd/nodload wake -n 10000
	go run ./cmd/nodload flows -c 8 -d 10s
