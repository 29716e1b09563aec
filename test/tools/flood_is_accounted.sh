#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# flood_is_accounted.sh: a sender flat out against a receive buffer of 64 kB: what the receiver got and
# what the sequence numbers say was lost make up what was sent, to the record (v9: to the datagram),
# also where datagrams are left out on purpose.
#
#   flood_is_accounted.sh [BUILD_FOLDER]      (default build/release)

set -u
build=${1:-build/release}
work=$(mktemp -d)
receiver=
passed=0
failed=0

clean_up()
{
	[ -n "$receiver" ] && kill "$receiver" 2>/dev/null && wait "$receiver" 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT

number()
{
	grep -o "\"$1\": [0-9]*" "$2" | head -1 | grep -o '[0-9]*$'
}

check()
{
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		echo "FAILED: $1: $2, but sent $3"
		failed=$((failed + 1))
	fi
}

for version in v5 v9 ipfix; do
	port=$(shuf -i 20000-29999 -n 1)
	told=$work/told.json
	got=$work/got.json
	"$build/yard_drain" --listen "127.0.0.1:$port" --seconds 20 --buffer 65536 >"$got" &
	receiver=$!
	sleep 0.3
	"$build/bs-generate" --target "127.0.0.1:$port" --quiet --version $version --rate 0 \
		--count 2000000 --loss 0.01 --linger 300 --totals "$told" || failed=$((failed + 1))
	wait "$receiver"
	receiver=
	unit=records
	[ $version = v9 ] && unit=datagrams
	check "$version: $unit received and lost" \
		"$(($(number $unit "$got") + $(number sequence_lost "$got")))" \
		"$(($(number $unit "$told") + $(number ${unit}_lost "$told")))"
	check "$version: losses that nobody can see" "$(number records_lost_tail "$told")" 0
	# The test is one of overload: there must have been some.
	check "$version: the kernel dropped some" \
		"$([ "$(number kernel_drops "$got")" -gt 0 ] && echo yes)" yes
done
echo "flood_is_accounted: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
