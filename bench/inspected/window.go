// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// window is what the benchmark sees and moves of this process.
type window struct {
	advanced atomic.Int64 // how far the clock is ahead, in nanoseconds
	storage  atomic.Int64 // calls to Vault's storage
	system   atomic.Int64 // calls to Vault's SystemView
}

// now is the engine's clock.
func (w *window) now() time.Time { return time.Now().Add(time.Duration(w.advanced.Load())) }

// open serves the socket. A process before this one may have left it behind, or
// may be about to end: the newest has it.
func (w *window) open(path string) error {
	if path == "" {
		return errors.New("the registration lacks " + socketVariable)
	}
	partial := path + ".new"
	if err := os.Remove(partial); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "unix", partial)
	if err != nil {
		return err
	}
	if err := os.Rename(partial, path); err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: w.routes(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until the process ends
	return nil
}

func (w *window) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /memory", serveMemory)
	mux.HandleFunc("GET /calls", w.serveCalls)
	mux.HandleFunc("POST /clock", w.serveClock)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	return mux
}

// serveMemory tells what is alive: it collects first, twice, because what a
// finalizer held is free only in the second collection.
func serveMemory(rw http.ResponseWriter, _ *http.Request) {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	answer(rw, map[string]any{
		"heap_alloc": stats.HeapAlloc,
		"goroutines": runtime.NumGoroutine(),
	})
}

func (w *window) serveCalls(rw http.ResponseWriter, _ *http.Request) {
	answer(rw, map[string]int64{"storage": w.storage.Load(), "system": w.system.Load()})
}

func (w *window) serveClock(rw http.ResponseWriter, r *http.Request) {
	by, err := time.ParseDuration(r.URL.Query().Get("advance"))
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	answer(rw, map[string]string{"advanced": time.Duration(w.advanced.Add(int64(by))).String()})
}

func answer(rw http.ResponseWriter, v any) {
	rw.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(rw).Encode(v)
}
