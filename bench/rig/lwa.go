// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"net/http"
	"net/url"
	"strings"
)

// submittedLength is that of Amazon's refresh tokens: an SDK goes on sending what
// was configured, and the engine echoes it.
const submittedLength = 376

// Refresh builds what an SDK sends to the token endpoint for an access token of an
// account, as a form.
func (r *Rig) Refresh(path string) []byte {
	return r.exchange(path, url.Values{
		"grant_type":    {"refresh_token"},
		"refresh_token": {"Atzr|" + strings.Repeat("x", submittedLength-len("Atzr|"))},
	})
}

// ClientCredentials is Refresh for a grantless token.
func (r *Rig) ClientCredentials(path, scope string) []byte {
	return r.exchange(path, url.Values{"grant_type": {"client_credentials"}, "scope": {scope}})
}

func (r *Rig) exchange(path string, form url.Values) []byte {
	form.Set("client_id", "amzn1.application-oa2-client."+strings.Repeat("0", 32))
	form.Set("client_secret", "amzn1.oa2-cs.v1."+strings.Repeat("0", 64))
	return r.request(http.MethodPost, path, "application/x-www-form-urlencoded", []byte(form.Encode()))
}
