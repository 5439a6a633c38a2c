# Sourced by the other scripts, after `set -euo pipefail`.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
BIN=$ROOT/bin
mkdir -p "$BIN"
cd "$ROOT" || exit

# The version that a build states comes from build.sh. Go's own stamp would
# fail where git does not trust the directory, and differ between clones.
export GOFLAGS="${GOFLAGS:-} -buildvcs=false"

# Progress goes to stderr: the stdout of some scripts is a path for the caller.
say() { printf '%s\n' "$*" >&2; }

die() {
	say "error: $*"
	exit 1
}

need_go() {
	command -v go >/dev/null || die "Go is missing: get 1.26 or newer from https://go.dev/dl/"
}

# The race detector needs cgo, and cgo a C compiler.
need_cc() {
	command -v "$(go env CC)" >/dev/null ||
		die "a C compiler is missing, which the race detector needs: apt-get install gcc libc6-dev (Debian, Ubuntu), xcode-select --install (macOS)"
}

# build_tool NAME DIR PACKAGE HOW_LONG [GO BUILD FLAGS...]
#
# Builds bin/NAME from the module in tools/DIR, when it is missing or was built
# from something else. Each tool has its own module, so that its dependencies
# stay out of the others' and of the plugin's.
build_tool() {
	local target=$BIN/$1 stamp=$BIN/.$1.stamp dir=tools/$2 package=$3 how_long=$4 want go
	shift 4
	need_go
	# By content, since a checkout or a restored cache sets any time. A new Go
	# matters to a linter, a patch release of it does not.
	go=$(go env GOVERSION)
	want="${go%.*} $* $(cat "$dir/go.mod" "$dir/go.sum" | cksum)"
	if [[ -x $target && -e $stamp && $(<"$stamp") == "$want" ]]; then
		return
	fi
	say "building ${target#"$ROOT/"} from $dir/go.mod: $how_long on two cores, once"
	# Moved into place when whole: an interrupted build leaves nothing half done.
	local partial=$target.$$
	go build -C "$dir" -o "$partial" "$@" "$package" || die "building ${target#"$ROOT/"} failed"
	mv -f "$partial" "$target"
	printf '%s\n' "$want" >"$stamp"
}

# apt_install WHAT HOW_LONG PACKAGE...
#
# Installs packages of Debian, and prints the path of what they bring. The caller
# defines two functions: print_installed prints that path, or fails if there is
# none; missing is told why it cannot be had, and ends the script.
apt_install() {
	local what=$1 how_long=$2 package root=() apt=(apt-get -qq -o DPkg::Lock::Timeout=600) log=$BIN/$1.log
	shift 2
	command -v apt-get >/dev/null || missing "there is no apt-get to install it with"
	if ((EUID != 0)); then
		root=(sudo -n)
		"${root[@]}" true 2>/dev/null || missing "installing it takes root, or sudo without a password"
	fi
	# Test packages run side by side: another run may have just installed it.
	exec 9>"$BIN/.$what.lock"
	flock 9
	if print_installed 2>/dev/null; then
		return
	fi
	say "installing the packages $*: $how_long, once"
	# Lists that were never fetched name no package, and old ones a package that
	# is gone. Another list than Debian's may fail here: what counts comes next.
	"${root[@]}" "${apt[@]}" update &>"$log" || say "apt-get update failed, going on with the lists that are here"
	for package in "$@"; do
		if [[ $(apt-cache show "$package" 2>/dev/null) != *Version:* ]]; then
			missing "apt-get knows no package $package"
		fi
		if [[ $(apt-cache depends "$package") == *snapd* ]]; then
			missing "the package $package is a snap here"
		fi
	done
	"${root[@]}" env DEBIAN_FRONTEND=noninteractive "${apt[@]}" install -y --no-install-recommends "$@" &>>"$log" || {
		tail -n 20 "$log" >&2
		missing "apt-get could not install it (all it said is in ${log#"$ROOT/"})"
	}
	print_installed || missing "what was just installed does not start, or is too old"
}
