// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package issuer

import "errors"

// aside is a failure that is not of the call it was for, but of what comes before:
// it is logged where it was found.
type aside struct {
	err     error
	failure *failure // what is remembered of it; nil: nothing
	turn    bool     // there was no place in the line for Amazon's rate
}

func (e *aside) Error() string { return e.err.Error() }
func (e *aside) Unwrap() error { return e.err }

// aside is the failure of somebody else's call, which is remembered as long.
func (f *failure) aside() error {
	if f == nil {
		return nil
	}
	return &aside{err: f.err, failure: f}
}

func isAside(err error) bool {
	_, ok := errors.AsType[*aside](err)
	return ok
}

// isTurnRefused reports whether there was no place in the line.
func isTurnRefused(err error) bool {
	found, ok := errors.AsType[*aside](err)
	return ok && found.turn
}

// isAheadOnly reports whether a renewal gave up what a reader may still have.
func isAheadOnly(err error) bool {
	found, ok := errors.AsType[*aside](err)
	return ok && found.failure != nil && found.failure.aheadOnly
}
