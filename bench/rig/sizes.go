// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
)

// sizeTolerance is how far the answers of engine and reference may differ in
// length for the two to be comparable.
const sizeTolerance = 0.01

// Comparable reports by an error whether a read through the engine and one
// through the reference plugin have answers of different sizes. It writes the
// engine's answer into KV, for reads that are to be compared, too.
func (r *Rig) Comparable(ctx context.Context, account string) error {
	engine, err := r.Call(ctx, http.MethodGet, Engine+"/token/"+account, nil)
	if err != nil {
		return err
	}
	reference, err := r.Call(ctx, http.MethodGet, Reference+"/token/"+account, nil)
	if err != nil {
		return err
	}
	if err := similar(len(engine), len(reference)); err != nil {
		return fmt.Errorf("reads of %s cannot be compared: %w", account, err)
	}
	var answer struct {
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal(engine, &answer); err != nil {
		return err
	}
	_, err = r.Call(ctx, http.MethodPost, KV+"/token/"+account, answer.Data)
	return err
}

func similar(engine, reference int) error {
	if math.Abs(float64(engine-reference)) > sizeTolerance*float64(reference) {
		return fmt.Errorf("the engine's answer has %d bytes, the reference's %d, which is more than 1 %% apart", engine, reference)
	}
	return nil
}
