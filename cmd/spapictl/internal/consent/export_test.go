// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package consent

// LosePatience has an interrupt wait for nothing.
func (r *Receiver) LosePatience() { r.patience = 0 }

// InvitationCookie is the name of the cookie of who took the invitation.
func (r *Receiver) InvitationCookie() string { return r.invitation.cookie }
