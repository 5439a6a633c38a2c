// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package acceptance_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"vault-plugin-secrets-spapi/internal/vaulttest"
)

// The clients of acceptance/sdk/client.cjs. Those with a hook stand on a file of
// examples/sdks/node; the others are as they come from npm, and Node.js preloads
// one. The last is no SDK, and loads that one itself.
const (
	amazonSPAPIHook = "amazon-sp-api with hook"
	amazonSPAPI     = "amazon-sp-api"
	spAPISDKHook    = "sp-api-sdk with hook"
	spAPISDK        = "sp-api-sdk"
	officialSDK     = "amazon-sp-api-sdk-js"
	plainHTTPS      = "https"
)

func everySDK() []string {
	return []string{amazonSPAPIHook, amazonSPAPI, spAPISDKHook, spAPISDK, officialSDK}
}

// sdkWait bounds what a test waits for a client, or for a token's end.
const sdkWait = 2 * time.Minute

// proxied is a mount behind a vault proxy, which logs in by itself.
type proxied struct {
	*mount
	proxy   *vaulttest.Agent
	address string
}

// behindProxy starts the proxy of the examples. More of the listener's settings may be
// given.
func (m *mount) behindProxy(t *testing.T, policy, listener string) *proxied {
	t.Helper()
	setup := m.exampleProxy(t, policy)
	setup.config = strings.Replace(setup.config, `listener "tcp" {`, `listener "tcp" {`+"\n"+listener, 1)
	proxy, through := m.startProxy(t, setup)
	return &proxied{mount: m, proxy: proxy, address: through.address}
}

// sdkClient is Node.js with one client of the SP-API, which knows where the proxy
// is and the name of an account, and nothing secret.
type sdkClient struct {
	piped
	orders int
}

// sdkAnswer is what came of an order, and what was asked of Vault for it.
type sdkAnswer struct {
	Result any `json:"result"`
	Error  *struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Status  int             `json:"status"`
		Body    json.RawMessage `json:"body"`
	} `json:"error"`
	TokenRequests  int  `json:"token_requests"`
	VaultTokenSent bool `json:"vault_token_sent"`
}

func (p *proxied) startClient(t *testing.T, name, account string) *sdkClient {
	t.Helper()
	node, err := vaulttest.FromScript(t.Context(), "SPAPI_TEST_NODE", "get-node.sh")
	require.NoError(t, err)
	packages, err := vaulttest.FromScript(t.Context(), "SPAPI_TEST_NODE_PACKAGES", "get-node.sh", "packages")
	require.NoError(t, err)
	args := []string{"--require", "./sdk/simulated.cjs"}
	if !strings.HasSuffix(name, " with hook") && name != plainHTTPS {
		args = append(args, "--require", "../examples/sdks/node/lwa-through-vault.cjs")
	}
	cmd := exec.CommandContext(t.Context(), node, append(args, "sdk/client.cjs", name, account)...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "NODE_PATH=" + packages,
		"SPAPI_LWA_URL=http://" + p.address + "/v1/" + p.path + "/lwa", "SIMULATED_SP_API=" + p.amazon.SPAPIEndpoint(),
	}
	c := &sdkClient{}
	c.start(t, cmd)
	return c
}

// order gives an order, and waits for the answer to it.
func (c *sdkClient) order(t *testing.T, order map[string]any) sdkAnswer {
	t.Helper()
	line, err := json.Marshal(order)
	require.NoError(t, err)
	_, err = c.stdin.Write(append(line, '\n'))
	require.NoError(t, err, c.stderr.String())
	c.orders++
	ctx, cancel := context.WithTimeout(t.Context(), sdkWait)
	defer cancel()
	var answers []string
	require.NoError(t, vaulttest.WaitFor(ctx, "the client to answer", func() (bool, error) {
		answers = strings.SplitAfter(c.stdout.String(), "\n")
		if len(answers) > c.orders {
			return true, nil
		}
		select {
		case <-c.ended:
			return false, fmt.Errorf("it has ended: %s\n%s", c.cmd.ProcessState, c.stderr.String())
		default:
			return false, nil
		}
	}))
	var answer sdkAnswer
	require.NoError(t, json.Unmarshal([]byte(answers[c.orders-1]), &answer))
	require.False(t, answer.VaultTokenSent, "the client has no Vault token")
	return answer
}

// The kinds of calls to SP-API, by the token that they take.
const (
	sellerCall    = "seller"
	grantlessCall = "grantless"
)

// calls calls SP-API, which must succeed, and returns how often it asked for a
// token.
func (c *sdkClient) calls(t *testing.T, kind string) int {
	t.Helper()
	answer := c.order(t, map[string]any{"call": kind})
	require.Nil(t, answer.Error, "%+v", answer.Error)
	text, err := json.Marshal(answer.Result)
	require.NoError(t, err)
	require.Contains(t, string(text), map[string]string{sellerCall: "BestSellerStore", grantlessCall: "arn:aws:sqs:us-east-1:"}[kind])
	return answer.TokenRequests
}

// fails calls SP-API, which must fail after one request for a token.
func (c *sdkClient) fails(t *testing.T, kind string) sdkAnswer {
	t.Helper()
	answer := c.order(t, map[string]any{"call": kind})
	require.NotNil(t, answer.Error, "%v", answer.Result)
	require.Equal(t, 1, answer.TokenRequests)
	return answer
}

// end ends the client in order.
func (c *sdkClient) end(t *testing.T) {
	t.Helper()
	require.NoError(t, c.stdin.Close())
	<-c.ended
	require.True(t, c.cmd.ProcessState.Success(), "%s\n%s", c.cmd.ProcessState, c.stderr.String())
}
