// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
)

// sizeTolerance is how far the answers of engine and reference may differ in
// length for the two to be comparable.
const sizeTolerance = 0.01

// Comparable reports by an error whether a read through the engine and one
// through the reference plugin have answers of different fields or sizes. It
// writes the data of the engine's answer into KV, for reads that are to be
// compared, too; a raw answer has none.
func (r *Rig) Comparable(ctx context.Context, kind Kind, account string) error {
	engine, err := r.once(ctx, r.Token(kind, Engine, account))
	if err != nil {
		return err
	}
	reference, err := r.once(ctx, r.Token(kind, Reference, account))
	if err != nil {
		return err
	}
	fields, data, err := fieldsOf(engine)
	if err != nil {
		return err
	}
	wanted, _, err := fieldsOf(reference)
	if err != nil {
		return err
	}
	if !slices.Equal(fields, wanted) {
		return fmt.Errorf("reads of %s cannot be compared: the engine's answer has the fields %v, the reference's %v", account, fields, wanted)
	}
	if err := similar(len(engine), len(reference)); err != nil {
		return fmt.Errorf("reads of %s cannot be compared: %w", account, err)
	}
	if data == nil {
		return nil
	}
	_, err = r.Call(ctx, http.MethodPost, KV+"/"+kind.Path(account), data)
	return err
}

// fieldsOf tells the names of all fields of an answer, in order, and its data if
// it has any.
func fieldsOf(answer []byte) (names []string, data map[string]any, err error) {
	var whole map[string]any
	if err := json.Unmarshal(answer, &whole); err != nil {
		return nil, nil, err
	}
	data, _ = whole["data"].(map[string]any)
	for name := range whole {
		names = append(names, name)
	}
	for name := range data {
		names = append(names, "data."+name)
	}
	slices.Sort(names)
	return names, data, nil
}

func similar(engine, reference int) error {
	if math.Abs(float64(engine-reference)) > sizeTolerance*float64(reference) {
		return fmt.Errorf("the engine's answer has %d bytes, the reference's %d, which is more than 1 %% apart", engine, reference)
	}
	return nil
}
