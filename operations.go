// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package spapi

import (
	"net/http"

	"github.com/hashicorp/vault/sdk/framework"
)

// writeOperation declares a write of configuration. Writes are forwarded from
// nodes that may not write.
func (b *backend) writeOperation(serve handler, summary string) *framework.PathOperation {
	return b.changing(serve, summary, "write", "Written, with warnings.")
}

func (b *backend) patchOperation(serve handler, summary string) *framework.PathOperation {
	return b.changing(serve, summary, "patch", "Changed, with warnings.")
}

func (b *backend) deleteOperation(serve handler, summary string) *framework.PathOperation {
	return b.changing(serve, summary, "delete", "Deleted, with warnings.")
}

func (b *backend) changing(serve handler, summary, verb, description string) *framework.PathOperation {
	return &framework.PathOperation{
		Callback:                    b.handle(serve),
		Summary:                     summary,
		DisplayAttrs:                &framework.DisplayAttributes{OperationVerb: verb},
		ForwardPerformanceSecondary: true,
		ForwardPerformanceStandby:   true,
		Responses: map[int][]framework.Response{
			http.StatusOK:        {{Description: description, Fields: map[string]*framework.FieldSchema{}}},
			http.StatusNoContent: {{Description: "Done, nothing to say."}},
		},
	}
}

// answeringOperation declares a write that answers with data.
func (b *backend) answeringOperation(serve handler, summary, verb, description string, answer map[string]*framework.FieldSchema) *framework.PathOperation {
	operation := b.changing(serve, summary, verb, "")
	operation.Responses = map[int][]framework.Response{http.StatusOK: {{Description: description, Fields: answer}}}
	return operation
}
