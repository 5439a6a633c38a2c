// Copyright the vault-plugin-secrets-spapi authors
// SPDX-License-Identifier: Apache-2.0

package importing

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// Bar is a progress bar for a terminal. total is about how many accounts there
// are, 0 if that is not known.
func Bar(w io.Writer, total int) Progress {
	progress := mpb.New(mpb.WithOutput(w), mpb.WithWidth(60))
	count := decor.CurrentNoUnit("%d accounts")
	if total > 0 {
		count = decor.CountersNoUnit("%d of %d accounts")
	}
	return &bar{progress, progress.AddBar(int64(total), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(count))}
}

type bar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
}

func (b *bar) Step() { b.bar.Increment() }

func (b *bar) Close() {
	b.bar.Abort(true) // also if the number was a guess
	b.progress.Wait()
}

// every is how many accounts there are from one line of progress to the next.
const every = 1000

// Lines is a line of progress every 1000 accounts, for a log.
func Lines(w io.Writer) Progress { return &lines{w: w} }

type lines struct {
	w    io.Writer
	done atomic.Int64
}

func (l *lines) Step() {
	if n := l.done.Add(1); n%every == 0 {
		fmt.Fprintf(l.w, "%d accounts done\n", n)
	}
}

func (l *lines) Close() {}
