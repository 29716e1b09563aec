#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Build everything, run every test, and say in the last line how many passed and failed.
#
#   scripts/check.sh [PART ...]       without parts: all of them, in the order of the table below
#
# Each part writes TAP: build/check/PART.log has all that it said.  A line "ok ..." or "not ok ..." is a
# test case; "# SKIP" marks one that could not run here.  A part goes on after failures, and the next
# one runs whatever became of the one before.  Exit status: 0 if something ran and nothing failed.
#
# Environment: BACKSTREAM_FUZZ_SECONDS (60) is shared by all fuzzers; BACKSTREAM_JOBS (the number of
# CPUs); BACKSTREAM_SHARED is a folder with captures (else ../shared, if there).  Servers, sockets and
# temporary files are in one folder under $TMPDIR or /tmp, which is gone at the end.
set -u

here=$(cd "$(dirname "$0")/.." && pwd)
cd "$here" || exit 1
jobs=${BACKSTREAM_JOBS:-$(nproc)}
fuzz_seconds=${BACKSTREAM_FUZZ_SECONDS:-60}
logs=$here/build/check
# What the make that called this was told about jobs does not hold here.
unset MAKEFLAGS MFLAGS MAKELEVEL
# Servers that tests make take their encoding from here.
export LC_ALL=C.UTF-8 LANG=C.UTF-8

#      part        what it is                                        function
table="deps        packages                                          part_deps
build      release, sanitizers, fuzzers, extension             part_build
rings      includes go inward only                             part_rings
unit       unit tests                                          part_unit
unit-asan  unit tests with ASan and UBSan                      part_unit_asan
fuzz       fuzzers: corpora, then $fuzz_seconds s                        part_fuzz
regress    SQL scripts                                         part_regress
isolation  isolation specs                                     part_isolation
tap        servers of their own (TAP)                          part_tap
tools      tools and documents                                 part_tools"

# ---------- parts; each runs in a process of its own ----------

# case_run NAME COMMAND...: one test case that is a command; what it says is shown only if it fails.
case_run() {
	local name=$1 out
	shift
	echo "# $name"
	if out=$("$@" 2>&1 </dev/null); then
		echo "ok - $name"
	else
		printf '%s\n' "$out" | tail -n 60 | sed 's/^/# /'
		echo "not ok - $name"
	fi
}

part_deps() { case_run "deps/check" scripts/deps.sh check; }

part_build() {
	local make="make --no-print-directory -k -j$jobs" names name
	# Warnings are errors here, and nowhere else: a newer compiler must not keep users from building.
	case_run "build/release" $make INNER_WERROR=-Werror tools yards benches unit
	case_run "build/asan" $make INNER_WERROR=-Werror unit-asan
	case_run "build/fuzz" $make INNER_WERROR=-Werror fuzzers
	case_run "build/extension" env COPT=-Werror BS_ASSERT=1 MAKEFLAGS="-j$jobs" \
		scripts/server-tree.sh "$BACKSTREAM_TREE"
}

part_rings() { scripts/check-rings.sh build/release/src/engine; }

# One unit test: its own TAP, and one failed case if it ended before its plan did.
unit_one() {
	local program=$1 name log status
	name=$(basename "$program")
	log=$work/$name.$$.tap
	echo "# $name"
	if [ ! -x "$program" ]; then
		echo "not ok - $name was not built"
		return
	fi
	CMOCKA_MESSAGE_OUTPUT=TAP timeout 300 "$program" </dev/null >"$log" 2>&1
	status=$?
	sed -E "s|^((not )?ok [0-9]+) (- )?|\1 - $name/|; s|^(not )?ok ([0-9]+) - [^/]*/# SKIP (.*)|ok \2 - $name/\3 # SKIP|" "$log"
	awk -v name="$name" -v status=$status '
		/^[0-9]+\.\.[0-9]+/ { split($1, plan, /\.\./); planned += plan[2] }
		/^ok / || /^not ok / { seen++ }
		/^not ok / && !/# SKIP/ { failed++ }
		END {
			if (seen < planned || (status != 0 && failed == 0) || seen == 0)
				print "not ok - " name " ended with status " status " after " seen + 0 " of " \
					planned + 0 " tests"
		}' "$log"
	rm -f "$log"
}

unit_all() {
	local source
	for source in test/unit/test_*.c; do
		unit_one "build/$1/$(basename "$source" .c)"
	done
}
part_unit() { unit_all release; }
part_unit_asan() {
	ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1 unit_all asan
}

# fuzz_one NAME SECONDS: the corpus of the tree as it is, then new inputs made from it.
fuzz_one() {
	local name=$1 seconds=$2 program=build/fuzz/fuzz_$1 corpus=test/fuzz/corpus/$1 found
	local seeds=()
	found=$work/fuzz-$name
	mkdir -p "$found/new" "$logs/fuzz"
	if [ -d "$corpus" ]; then
		seeds=("$corpus")
		case_run "fuzz_$name/corpus" "$program" -runs=0 -artifact_prefix="$logs/fuzz/$name-" "$corpus"
	fi
	case_run "fuzz_$name/run" timeout $((seconds + 120)) "$program" -max_total_time="$seconds" \
		-timeout=10 -rss_limit_mb=1024 -print_final_stats=1 -verbosity=0 \
		-artifact_prefix="$logs/fuzz/$name-" "$found/new" "${seeds[@]}"
}

part_fuzz() {
	local sources=(test/fuzz/fuzz_*.c) names source
	names=$(for source in "${sources[@]}"; do basename "$source" .c | sed 's/^fuzz_//'; done)
	# As many at a time as there are CPUs, in rounds that together take fuzz_seconds.
	local rounds=$(((${#sources[@]} + jobs - 1) / jobs))
	local each=$((fuzz_seconds / rounds))
	[ $each -ge 1 ] || each=1
	export -f fuzz_one case_run
	export logs
	printf '%s\n' $names | xargs -P "$jobs" -I NAME bash -c "fuzz_one NAME $each"
}

part_regress() { scripts/run-regress.sh; }
part_isolation() { scripts/run-isolation.sh; }
part_tap() { scripts/run-tap.sh; }

# A script of test/tools: "N passed, N failed" in its last line counts so many, else it is one case.
part_tools() {
	local script name log status last
	for script in test/tools/*.sh; do
		name=tools/$(basename "$script" .sh)
		log=$work/$(basename "$script").log
		echo "# $name"
		timeout 600 bash "$script" build/release </dev/null >"$log" 2>&1
		status=$?
		sed 's/^/# /' "$log"
		last=$(tail -n 1 "$log" | sed -nE 's/.* ([0-9]+) passed, ([0-9]+) failed.*/\1 \2/p')
		if grep -q '^SKIPPED' "$log"; then
			echo "ok - $name # SKIP $(grep -m 1 '^SKIPPED' "$log")"
		fi
		if [ -n "$last" ]; then
			seq -f "ok %g - $name" "${last% *}"
			seq -f "not ok %g - $name" "${last#* }"
		fi
		if [ $status -ne 0 ] && [ "${last#* }" = 0 -o -z "$last" ]; then
			echo "not ok - $name ended with status $status"
		elif [ -z "$last" ] && ! grep -q '^SKIPPED' "$log"; then
			echo "ok - $name"
		fi
	done
}

# ---------- running them and counting ----------

# Every ten seconds how far a part is; what it works on is the last line "# NAME" of its log.
heartbeat() {
	while sleep 10; do
		printf '    ... %d done, %s\n' "$(grep -cE '^(not )?ok' "$1")" \
			"$(grep -E '^# [a-zA-Z0-9_/.-]+$' "$1" | tail -n 1 | cut -c3-)"
	done
}

# passed failed skipped of a log
count() {
	awk '/^(not )?ok.*# SKIP/ || /^1\.\.0 # SKIP/ { skipped++; next }
		/^not ok.*# TODO/ { passed++; next }
		/^not ok/ { failed++; next }
		/^ok/ { passed++ }
		END { print passed + 0, failed + 0, skipped + 0 }' "$1"
}

passed=0 failed=0 skipped=0
child= pulse=

# run PART TITLE FUNCTION
run() {
	local part=$1 title=$2 log=$logs/$1.log started=$SECONDS status counts
	printf '%s %-10s %s\n' "$(date +%H:%M:%S)" "$part" "$title"
	: >"$log"
	# A process group of its own, so that all of it can be ended.
	set -m
	{ { "$3"; } </dev/null 2>&1; echo "# part ended with status $?"; } > >(
		tee "$log" | grep --line-buffered -E '^not ok' | grep --line-buffered -vE '# (SKIP|TODO)' |
			sed -u 's/^/    /'
	) &
	child=$!
	heartbeat "$log" &
	pulse=$!
	set +m
	wait "$child"
	child=
	kill -- "-$pulse" 2>/dev/null
	wait "$pulse" 2>/dev/null
	pulse=
	# The reader of the pipe may be behind.
	for _ in $(seq 50); do
		grep -q '^# part ended with status' "$log" && break
		sleep 0.1
	done
	counts=$(count "$log")
	status=$(sed -n 's/^# part ended with status //p' "$log" | tail -n 1)
	if [ "${status:-1}" -ne 0 ] && [ "$(cut -d' ' -f2 <<<"$counts")" -eq 0 ]; then
		echo "not ok - $part ended with status ${status:-unknown}" | tee -a "$log" | sed 's/^/    /'
		counts=$(count "$log")
	fi
	read -r p f s <<<"$counts"
	printf '%s %-10s %d passed, %d failed, %d skipped in %d s\n' "$(date +%H:%M:%S)" "$part" \
		"$p" "$f" "$s" $((SECONDS - started))
	[ "$f" -eq 0 ] || echo "    see ${log#"$here"/}"
	passed=$((passed + p))
	failed=$((failed + f))
	skipped=$((skipped + s))
}

# Processes that know the folder of this run by name: servers, above all.
left_over() { pgrep -f -- "$work"; }

finish() {
	local status=$? pid
	[ -z "$pulse" ] || kill -- "-$pulse" 2>/dev/null
	[ -z "$child" ] || kill -TERM -- "-$child" 2>/dev/null
	# They end what they started: not before that may their files go.
	for _ in $(seq 200); do
		[ -n "$child" ] && pgrep -g "$child" -r D,R,S >/dev/null || break
		sleep 0.1
	done
	# A server that was just starting has escaped whoever started it.
	for pid in $(left_over); do
		kill -QUIT "$pid" 2>/dev/null
	done
	for _ in $(seq 50); do
		left_over >/dev/null || break
		sleep 0.1
	done
	rm -rf "$work"
	exit $status
}

mkdir -p "$logs" || exit 1
# Some of what runs has to be another user.
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-check-XXXXXX") || exit 1
chmod 1777 "$work"
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
export work TMPDIR=$work BACKSTREAM_TREE=$work/tree
if [ -z "${BACKSTREAM_SHARED:-}" ] && [ -d "$here/../shared" ]; then
	BACKSTREAM_SHARED=$(cd "$here/../shared" && pwd)
	export BACKSTREAM_SHARED
fi

while read -r part rest; do
	if [ $# -gt 0 ]; then
		case " $* " in *" $part "*) ;; *) continue ;; esac
	fi
	run "$part" "$(sed 's/  *[a-z_]*$//' <<<"$rest")" "${rest##* }"
done <<<"$table"

if left_over >/dev/null; then
	echo "not ok - processes were left behind:"
	pgrep -a -f -- "$work"
	failed=$((failed + 1))
fi

line="$passed passed, $failed failed"
[ $skipped -eq 0 ] || line="$line, $skipped skipped"
echo "total $((SECONDS / 60)) min $((SECONDS % 60)) s; logs in build/check"
echo "$line"
[ $failed -eq 0 ] && [ $passed -gt 0 ]
