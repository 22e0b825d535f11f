// Package deploy_test holds the examples of this folder to what they say. They are
// not part of the program.
package deploy_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/nod-auth/nod/cmd/nod/config"
)

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func parse(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.Unmarshal([]byte(read(t, name)), into); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}

// duration finds a setting's value in a file's text, outside comments.
func duration(t *testing.T, name, setting string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\s*` + setting + `[ :]+([0-9]+[smh])`).FindStringSubmatch(read(t, name))
	if m == nil {
		t.Errorf("%s does not say %s", name, setting)
		return 0
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		t.Errorf("%s: %s: %v", name, setting, err)
	}
	return d
}

func TestProxies_wait_longer_than_a_wait_is_held(t *testing.T) {
	// After the hold: reading, deciding and writing take 5, 5 and 10 s at most.
	longest := config.Default().WaitHold + 20*time.Second
	for name, settings := range map[string][]string{
		"nginx.conf":          {"proxy_read_timeout"},
		"Caddyfile":           {"response_header_timeout"},
		"traefik.yaml":        {"readTimeout", "writeTimeout"},
		"traefik-routes.yaml": {"responseHeaderTimeout"},
	} {
		for _, s := range settings {
			if got := duration(t, name, s); got <= longest {
				t.Errorf("%s: %s is %s, want more than %s", name, s, got, longest)
			}
		}
	}
	for _, s := range []string{"read_body", "write"} {
		if regexp.MustCompile(`(?m)^\s*` + s + ` `).MatchString(read(t, "Caddyfile")) {
			t.Errorf("Caddyfile sets %s, which counts the time a wait is held", s)
		}
	}
}

func TestProxies_give_quiet_connections_up_before_nod_does(t *testing.T) {
	const nods = 75 * time.Second // idleFor in cmd/nod/app
	for name, setting := range map[string]string{
		"nginx.conf": "keepalive_timeout", "Caddyfile": "keepalive", "traefik-routes.yaml": "idleConnTimeout",
	} {
		if got := duration(t, name, setting); got == 0 || got >= nods {
			t.Errorf("%s: %s is %s, want less than %s", name, setting, got, nods)
		}
	}
}

// compose is what is looked at of compose.yaml.
type compose struct {
	Services map[string]struct {
		Environment map[string]string
		Secrets     []string
		Networks    any
		DependsOn   any `yaml:"depends_on"`
		Healthcheck struct{ Test []string }
		Image       string
	}
	Networks, Volumes, Secrets map[string]any
}

func TestCompose_is_whole(t *testing.T) {
	var c compose
	parse(t, "compose.yaml", &c)
	for _, name := range []string{"node1", "node2", "node3"} {
		node := c.Services[name]
		if got := strings.Join(node.Healthcheck.Test, " "); got != "CMD /nod healthcheck" {
			t.Errorf("%s: its health is asked with %q", name, got)
		}
		for _, key := range []string{"NOD_DATABASE_URL_FILE", "NOD_REDIS_URL", "NOD_MASTER_KEY_FILE", "NOD_PUBLIC_URL", "NOD_TRUSTED_PROXIES"} {
			if node.Environment[key] == "" {
				t.Errorf("%s: %s is not set", name, key)
			}
		}
	}
	for name, s := range c.Services {
		for _, secret := range s.Secrets {
			if _, found := c.Secrets[secret]; !found {
				t.Errorf("%s: there is no secret %s", name, secret)
			}
		}
		for key, value := range s.Environment {
			if file, of := strings.CutPrefix(value, "/run/secrets/"); of && !slices.Contains(s.Secrets, file) {
				t.Errorf("%s: %s names the secret %s, which it is not given", name, key, file)
			}
		}
	}
	if len(c.Services) != 6 || len(c.Secrets) != 3 {
		t.Errorf("got %d services and %d secrets, want 6 and 3", len(c.Services), len(c.Secrets))
	}
}

func TestTraefik_is_YAML(t *testing.T) {
	for name, want := range map[string][]string{
		"traefik.yaml":        {"certificatesResolvers", "entryPoints", "providers"},
		"traefik-routes.yaml": {"http"},
	} {
		var document map[string]any
		parse(t, name, &document)
		if got := slices.Sorted(maps.Keys(document)); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

// A variable that is mistyped here would be a warning in the log that nobody reads.
func TestExamples_set_what_nod_knows(t *testing.T) {
	files, err := filepath.Glob("*")
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"NOD_DOMAIN", "NOD_NODES"} // the examples' own
	for _, key := range append(config.Keys(), "config") {
		known = append(known, "NOD_"+strings.ToUpper(strings.ReplaceAll(key, "-", "_")))
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".go") {
			continue
		}
		for _, variable := range regexp.MustCompile(`NOD_[A-Z_]+`).FindAllString(read(t, name), -1) {
			if !slices.Contains(known, variable) {
				t.Errorf("%s: nod knows no setting %s", name, variable)
			}
		}
	}
}

func TestUnit_is_what_it_promises(t *testing.T) {
	text := read(t, "nod.service")
	for _, line := range []string{
		"User=nod", "StateDirectory=nod", "LoadCredential=master.key:/etc/nod/master.key", "NoNewPrivileges=yes",
		"ProtectSystem=strict", "TimeoutStopSec=10", "Restart=on-failure", "EnvironmentFile=-/etc/nod/nod.env", "LimitNOFILE=1048576",
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("nod.service does not say %s", line)
		}
	}
	// The one thing that is not there where this runs is the program.
	unit := strings.Replace(text, "ExecStart=/usr/local/bin/nod serve", "ExecStart="+program(t, "true", "coreutils")+" serve", 1)
	path := write(t, "nod.service", unit)
	check(t, optional(t, "systemd-analyze", "systemd"), "verify", path)
}

func TestNginx_takes_its_file(t *testing.T) {
	nginx := program(t, "nginx", "nginx-light")
	openssl := program(t, "openssl", "openssl")
	folder := t.TempDir()
	check(t, openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=nod.example.com",
		"-keyout", filepath.Join(folder, "privkey.pem"), "-out", filepath.Join(folder, "fullchain.pem"))
	conf := strings.ReplaceAll(read(t, "nginx.conf"), "/etc/nginx/nod/", folder+"/")
	check(t, nginx, "-t", "-q", "-c", write(t, "nginx.conf", conf), "-g", "pid "+filepath.Join(folder, "pid")+"; error_log stderr;")
}

func TestCaddy_takes_its_file(t *testing.T) {
	caddy := optional(t, "caddy", "caddy")
	t.Setenv("NOD_NODES", "node1:8080 node2:8080 node3:8080")
	t.Setenv("HOME", t.TempDir()) // it keeps certificates there
	check(t, caddy, "validate", "--adapter", "caddyfile", "--config", "Caddyfile")
}

func write(t *testing.T, name, text string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// program finds what a test needs, or skips it; where nothing may be skipped it
// fails.
func program(t *testing.T, name, pkg string) string {
	t.Helper()
	if path := find(name); path != "" {
		return path
	}
	if os.Getenv("TEST_REQUIRE_ALL") == "1" {
		t.Fatalf("TEST_REQUIRE_ALL is set, and there is no %s: install Debian's package %s", name, pkg)
	}
	t.Skipf("there is no %s: install Debian's package %s, or run make test", name, pkg)
	return ""
}

// optional is program for what a container has no use for, nor make test for the
// time that installing it takes: without it the test is skipped in any case.
func optional(t *testing.T, name, pkg string) string {
	t.Helper()
	path := find(name)
	if path == "" {
		t.Skipf("there is no %s (Debian's package %s): its file is only read by the other tests", name, pkg)
	}
	return path
}

func find(name string) string {
	for _, folder := range []string{"", "/usr/sbin/"} {
		if path, err := exec.LookPath(folder + name); err == nil {
			return path
		}
	}
	return ""
}

// check runs a program that judges a file.
func check(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", filepath.Base(name), err, out)
	}
}
