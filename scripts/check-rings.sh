#!/bin/sh
# SPDX-License-Identifier: PostgreSQL
# Prove that includes go inward only, and that the engine has no I/O, clock or globals.  TAP.
#
#   scripts/check-rings.sh [OBJECTS]      OBJECTS: the engine's objects (default build/release/src/engine)
#
# The compiler lists every file that a source includes, however indirectly, and the object every name
# that it calls: no rule is a matter of text.
set -eu

cd "$(dirname "$0")/.."
objects=${1:-build/release/src/engine}
cc=${CC:-gcc}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
status=0
n=0

# report NAME FILE: the test fails if the file has lines, which say why.
report() {
	n=$((n + 1))
	if [ -s "$2" ]; then
		echo "not ok $n - $1"
		sed 's/^/# /' "$2"
		status=1
	else
		echo "ok $n - $1"
	fi
}

# includes FILE...: "FILE: INCLUDED" for each file that is read, paths of the tree without "..".
includes() {
	for f in "$@"; do
		if ! $cc -std=gnu11 -M "$f" >"$work/rule" 2>"$work/error"; then
			echo "$f: $(head -1 "$work/error")"
			continue
		fi
		sed -e 's/^[^:]*://' -e 's/\\$//' "$work/rule" | tr -s ' ' '\n' | sed '/^$/d' |
			xargs realpath --relative-base="$PWD" | sed "s|^|$f: |"
	done
}

# What may be read from outside of the tree: the C library, the kernel's and the compiler's own
# headers, and the header-only libraries.
libc='/usr/include/(x86_64|aarch64|i386|arm|riscv64|powerpc64le|s390x)[^/]*/|/usr/include/(linux|asm|asm-generic)/|/usr/lib/(gcc|llvm)[^ ]*/|/usr/include/[a-z_0-9-]+\.h$'
not_libc='/usr/include/(ev|ev\+\+|event|pcap|pcap-bpf|libpq-fe|libpq-events|postgres_ext|jansson|cmocka)[a-z_-]*\.h$'

includes src/engine/*.c src/engine/*.h >"$work/engine"
grep -vE ": (src/engine/|$libc)" "$work/engine" >"$work/bad" || true
grep -E ": $not_libc" "$work/engine" >>"$work/bad" || true
report "src/engine includes itself, libc and header-only libraries" "$work/bad"

includes receiver/*.c receiver/*.h receiver/tools/*.c receiver/tools/*.h >"$work/receiver"
grep -E ': [^ ]*/postgresql/|: src/[^/]*$|: [^ ]*(libpq-fe|postgres_ext)\.h$' "$work/receiver" \
	>"$work/bad" || true
report "receiver includes no PostgreSQL header and nothing of src/ but the engine" "$work/bad"

grep -E '^receiver/[^/]*: receiver/tools/' "$work/receiver" >"$work/bad" || true
report "receiver does not include its tools" "$work/bad"

[ -s "$work/engine" ] && [ -s "$work/receiver" ] || echo "nothing was looked at" >"$work/bad"
report "there was something to look at" "$work/bad"

: >"$work/bad"
: >"$work/calls"
for source in src/engine/*.c; do
	object=$objects/$(basename "$source" .c).o
	if [ ! -e "$object" ]; then
		echo "$object was not built" >>"$work/bad"
		continue
	fi
	nm -u "$object" | awk '{ print $NF }' >>"$work/calls"
	size -A "$object" | awk -v o="$object" \
		'$1 ~ /^\.(data|bss|tdata|tbss)(\.|$)/ && $1 !~ /^\.data\.rel\.ro/ && $2 > 0 {
			print o ": " $2 " bytes in " $1 }' >>"$work/bad"
done
report "src/engine has no variables of its own" "$work/bad"

sort -u "$work/calls" |
	grep -vE '^(bs_.*|_GLOBAL_OFFSET_TABLE_|mem(cpy|set|cmp|move|chr)|str(len|cmp|ncmp|nlen|chr)|(m|c|re)alloc|aligned_alloc|free|mmap|munmap|qsort(_r)?|bsearch|__popcountdi2|__u?(div|mod|divmod)ti[34]|__cpu_model|sched_yield|__stack_chk_fail|(__)?mem(cpy|set|move)_chk|abort|__assert_fail|(snprintf|__snprintf_chk)|l?l?(floor|ceil|rint|round|trunc|fmod|pow|sqrt|fabs|ldexp|frexp|log|exp)[fl2]*|lrint|llrint)$' \
	>"$work/bad" || true
report "src/engine calls no I/O and no clock" "$work/bad"

echo "1..$n"
exit $status
