// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const (
	pluginName = "vault-plugin-secrets-spapi"
	appPolicy  = `path "spapi/token/acme" {
  capabilities = ["read"]
}
`
)

// show is one run of the demo.
type show struct {
	screen

	vaultBinary string
	plugin      string // its executable
	dir         string // for the files that the commands name
	amazon      *amazon
	leaseID     string // of the first token
}

func (s *show) steps(ctx context.Context) error {
	var accessToken string
	steps := []struct {
		what string
		do   func() error
	}{
		{"starting", func() error { return s.introduce(ctx) }},
		{"registering the plugin", func() error { return s.register(ctx) }},
		{"configuring", func() error { return s.configure(ctx) }},
		{"adding accounts", func() error { return s.addAccounts(ctx) }},
		{"authorizing an account", func() error { return s.authorize(ctx) }},
		{"reading a token", func() (err error) { accessToken, err = s.readToken(ctx); return err }},
		{"using the token", func() error { return s.useToken(ctx, accessToken) }},
		{"looking at the lease", func() error { return s.showLease(ctx) }},
		{"opening personal data", func() error { return s.openPersonalData(ctx, accessToken) }},
		{"asking as an SDK does", func() error { return s.askAsSDK(ctx) }},
		{"separating the applications", func() error { return s.separate(ctx) }},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return nil
}

func (s *show) introduce(ctx context.Context) error {
	if err := s.secrets.write(s.dir); err != nil {
		return err
	}
	s.heading("A real Vault, and an Amazon that is simulated")
	s.say("Vault:  %s", s.server.Address())
	s.say("Amazon: %s (Login with Amazon)", s.amazon.LWAEndpoint)
	s.say("        %s (Selling Partner API)\n", s.amazon.SPAPIEndpoint)
	s.typed("export VAULT_ADDR=" + s.server.Address())
	_, err := s.vault(ctx, "version")
	return err
}

func (s *show) register(ctx context.Context) error {
	sum, command, err := s.server.InstallPlugin(pluginName, s.plugin)
	if err != nil {
		return err
	}
	s.heading("Register the plugin by its checksum, and mount it")
	s.say("The plugin sends credentials to Amazon's own hosts only. That this one may also")
	s.say("use the simulated Amazon is said here, by whoever may register plugins.\n")
	s.typed(fmt.Sprintf("cp %s %s", s.plugin, filepath.Join(s.server.Dir(), "plugins", command)))
	_, err = s.vault(ctx, "plugin", "register", "-sha256="+sum, "-command="+command,
		"-env=SPAPI_ALLOWED_ENDPOINTS="+s.amazon.SPAPIEndpoint, "secret", pluginName)
	if err != nil {
		return err
	}
	_, err = s.vault(ctx, "secrets", "enable", "-path=spapi", pluginName)
	return err
}

func (s *show) configure(ctx context.Context) error {
	s.heading("Configure the application")
	s.say("The client secret comes from a file, so that it is in no shell history. Vault")
	s.say("proves it with Amazon before it stores it.\n")
	if _, err := s.vault(ctx, "write", "spapi/config",
		"client_id="+s.secrets.clientID,
		"client_secret=@"+filepath.Join(s.dir, "client-secret"),
		"lwa_endpoint="+s.amazon.LWAEndpoint,
		"sp_api_endpoint="+s.amazon.SPAPIEndpoint); err != nil {
		return err
	}
	s.say("What went in does not come out:\n")
	_, err := s.vault(ctx, "read", "spapi/config")
	return err
}

func (s *show) addAccounts(ctx context.Context) error {
	s.heading("Add two selling accounts")
	for _, account := range []struct{ name, region string }{{"acme", "na"}, {"globex", "eu"}} {
		if _, err := s.vault(ctx, "write", "spapi/accounts/"+account.name,
			"refresh_token=@"+filepath.Join(s.dir, account.name+"-refresh-token"),
			"region="+account.region); err != nil {
			return err
		}
	}
	_, err := s.vault(ctx, "list", "-detailed", "spapi/accounts")
	return err
}

func (s *show) authorize(ctx context.Context) error {
	const partner = "A1INITECH"
	s.heading("A third seller authorizes the application in a browser")
	if _, err := s.vault(ctx, "patch", "spapi/config", "application_id=amzn1.sp.solution.demo"); err != nil {
		return err
	}
	table, err := s.vault(ctx, "write", "spapi/authorize/url", "account=initech", "marketplace=DE")
	if err != nil {
		return err
	}
	state, err := field(table, "state")
	if err != nil {
		return err
	}
	code, err := s.amazon.consent(ctx, partner)
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"state": state, "code": code} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	s.secrets.refreshTokens["initech (its code)"] = code
	s.say("The seller opens the link, signs in at Amazon and confirms. Here, the simulated")
	s.say("Amazon does that. It sends the browser back with a state, a code and a seller id;")
	s.say("Vault exchanges the code by itself, and nobody ever sees the refresh token.\n")
	_, err = s.vault(ctx, "write", "spapi/authorize/callback",
		"state=@"+filepath.Join(s.dir, "state"), "spapi_oauth_code=@"+filepath.Join(s.dir, "code"), "selling_partner_id="+partner)
	return err
}

func (s *show) readToken(ctx context.Context) (string, error) {
	s.heading("Read an access token")
	table, err := s.vault(ctx, "read", "spapi/token/acme")
	if err != nil {
		return "", err
	}
	if s.leaseID, err = field(table, "lease_id"); err != nil {
		return "", err
	}
	accessToken, err := field(table, "access_token")
	if err != nil {
		return "", err
	}
	const readers = 20
	for range readers {
		if _, err := s.server.Client().Logical().ReadWithContext(ctx, "spapi/token/acme"); err != nil {
			return "", err
		}
	}
	exchanges, err := s.amazon.exchanges(ctx, "acme")
	if err != nil {
		return "", err
	}
	s.say("It was read %d more times. Amazon has been asked for a token of acme so far: %d time(s).", readers, exchanges)
	return accessToken, nil
}

func (s *show) useToken(ctx context.Context, accessToken string) error {
	s.heading("Call the Selling Partner API with it")
	return s.callAmazon(ctx, participationsPath, "access_token spapi/token/acme", accessToken, http.StatusOK)
}

// callAmazon calls the SP-API with a token, as an application does, and shows what
// it answers. from is the field of what path that the token was read from.
func (s *show) callAmazon(ctx context.Context, path, from, token string, want int) error {
	s.typed(`curl -H "x-amz-access-token: $(vault read -field=` + from + `)" \` + "\n       " + s.amazon.SPAPIEndpoint + path)
	status, answer, err := call(ctx, http.MethodGet, s.amazon.SPAPIEndpoint+path, http.Header{"X-Amz-Access-Token": {token}}, nil)
	if err != nil {
		return err
	}
	if err := s.answer(string(answer)); err != nil {
		return err
	}
	if status != want {
		return fmt.Errorf("%s was answered with status %d", path, status)
	}
	return nil
}

func (s *show) showLease(ctx context.Context) error {
	s.heading("The token is a lease: Vault knows who holds what, and for how long")
	_, err := s.vault(ctx, "lease", "lookup", s.leaseID)
	return err
}

func (s *show) separate(ctx context.Context) error {
	s.heading("An application's policy opens its own account, and no other")
	path := filepath.Join(s.dir, "acme-app.hcl")
	if err := os.WriteFile(path, []byte(appPolicy), 0o600); err != nil {
		return err
	}
	s.typed("cat " + path)
	if err := s.answer(appPolicy); err != nil {
		return err
	}
	if _, err := s.vault(ctx, "policy", "write", "acme-app", path); err != nil {
		return err
	}
	s.typed("APP_TOKEN=$(vault token create -policy=acme-app -ttl=15m -field=token)")
	token, err := s.server.CreateToken(ctx, []string{"acme-app"}, "15m")
	if err != nil {
		return err
	}
	if _, err := s.vaultAs(ctx, "APP_TOKEN", token, "read", "-field=expires_at", "spapi/token/acme"); err != nil {
		return err
	}
	out, err := s.vaultAs(ctx, "APP_TOKEN", token, "read", "spapi/token/globex")
	if err == nil {
		return errors.New("the policy of acme's application opened globex")
	}
	if !strings.Contains(out, "permission denied") {
		return fmt.Errorf("globex failed, but not because it was denied: %w", err)
	}
	s.say("Denied, as it should be.")
	return nil
}

func (s *show) whatToTry() {
	s.heading("Your turn: in another shell")
	// Where it was built for the demo, the user's shell does not find it.
	if onPath, err := exec.LookPath("vault"); err != nil || onPath != s.vaultBinary {
		fmt.Fprintf(s.out, "   export PATH=%s:$PATH\n", filepath.Dir(s.vaultBinary))
	}
	fmt.Fprintf(s.out, `   export VAULT_ADDR=%[1]s VAULT_TOKEN=%[2]s
   vault read spapi/token/globex
   vault path-help spapi/token/acme
   vault read spapi/grantless/notifications

   # Take Amazon away: tokens at hand are still given out.
   curl -X POST -d '{"kind":"unavailable"}' %[3]s/fault
   vault read spapi/token/acme

   # Revoke what was given out: a new token is needed, and Amazon is not there.
   vault lease revoke -sync -prefix spapi/token/acme
   vault read spapi/token/acme

   # Amazon comes back, and the plugin asks it again after a second or two.
   curl -X DELETE %[3]s/fault
   vault read spapi/token/acme

   Vault's log: %[4]s

Ctrl-C ends the demo and removes everything it started.
`, s.server.Address(), s.server.RootToken(), s.amazon.ControlURL, s.server.LogFile())
}
