#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# nfdump_reads_generator.sh: a collector that is not ours reads the generator's streams and comes to
# the same totals; tshark finds no malformed packet in them.
#
#   nfdump_reads_generator.sh [BUILD_FOLDER]      (default build/release)
#
# Says SKIPPED and ends with 0 where nfcapd and nfdump (tshark: that part only) are missing.

set -u
build=${1:-build/release}
work=$(mktemp -d)
collector=
failed=0
passed=0

clean_up()
{
	[ -n "$collector" ] && kill "$collector" 2>/dev/null && wait "$collector" 2>/dev/null
	rm -rf "$work"
}
trap clean_up EXIT

if ! command -v nfcapd >/dev/null || ! command -v nfdump >/dev/null; then
	echo "SKIPPED: nfcapd and nfdump (package nfdump) are not installed"
	exit 0
fi

# A UDP port that nobody uses just now.
free_port()
{
	local port
	for port in $(shuf -i 20000-29999 -n 50); do
		if ! grep -qi ":$(printf '%04X' "$port") " /proc/net/udp /proc/net/udp6; then
			echo "$port"
			return
		fi
	done
}

bound()
{
	local i
	for i in $(seq 100); do
		grep -qi ":$(printf '%04X' "$1") " /proc/net/udp && return 0
		sleep 0.05
	done
	return 1
}

# The first number of that name in the totals: the one of all exporters together.
total()
{
	grep -o "\"$1\": [0-9]*" "$2" | head -1 | grep -o '[0-9]*$'
}

check()
{
	if [ "$2" = "$3" ]; then
		passed=$((passed + 1))
	else
		echo "FAILED: $1: it has $2, the generator sent $3"
		failed=$((failed + 1))
	fi
}

# Sums per flow as nfdump aggregates them, in the order and with the columns of --flows.
flows_of_nfdump()
{
	nfdump -R "$1" -6 -N -q -A srcip,dstip,srcas,dstas,srcport,dstport,proto \
		-o 'fmt:%sa|%da|%sas|%das|%sp|%dp|%pr|%fl|%byt|%pkt' |
		tr -d ' ' | sed 's/|TCP|/|6|/; s/|UDP|/|17|/' | sort
}

# Send what the options say, or what a capture of it holds.
send()
{
	local name=$1 port=$2
	shift 2
	set -- --totals "$work/$name.json" --quiet --flows "$work/$name.flows" \
		--addresses 3000 --as-pairs 2000 --rate 50000 --count 30000 "$@"
	case $name in
		replay_*)
			"$build/bs-generate" --pcap "$work/$name.pcap" "$@" &&
				"$build/bs-replay" --port "$port" --map --rate 2000 "$work/$name.pcap" >/dev/null
			;;
		*) "$build/bs-generate" --target "127.0.0.1:$port" "$@" ;;
	esac
}

# try NAME FACTOR OPTION...: FACTOR is the sampling rate, where nfdump multiplies bytes and packets by
# it: 1.7.1 does so for v5 headers, and not for the options data that v9 and IPFIX announce it with.
try()
{
	local name=$1 factor=$2 port last
	shift 2
	port=$(free_port)
	mkdir "$work/$name"
	timeout 60 nfcapd -b 127.0.0.1 -p "$port" -w "$work/$name" -B 8388608 -t 3600 \
		>"$work/$name.log" 2>&1 &
	collector=$!
	if ! bound "$port"; then
		echo "FAILED: $name: nfcapd did not start"
		failed=$((failed + 1))
		return
	fi
	send "$name" "$port" "$@" || failed=$((failed + 1))
	sleep 0.5
	# timeout passes the signal on; nfcapd closes its file.
	kill "$collector"
	wait "$collector" 2>/dev/null
	collector=
	nfdump -R "$work/$name" -I >"$work/$name.stat" 2>&1
	check "$name: flows" "$(sed -n 's/^Flows: //p' "$work/$name.stat")" \
		"$(total records "$work/$name.json")"
	check "$name: bytes" "$(sed -n 's/^Bytes: //p' "$work/$name.stat")" \
		"$(($(total bytes "$work/$name.json") * factor))"
	check "$name: packets" "$(sed -n 's/^Packets: //p' "$work/$name.stat")" \
		"$(($(total packets "$work/$name.json") * factor))"
	last=$(total last_end_msec "$work/$name.json")
	check "$name: last end" "$(sed -n 's/^Last: //p' "$work/$name.stat").$(
		sed -n 's/^msec_last: //p' "$work/$name.stat")" "$((last / 1000)).$((last % 1000))"
	case " $* " in
		*--loss*) ;;
		*) check "$name: sequence failures" \
			"$(sed -n 's/^Sequence failures: //p' "$work/$name.stat")" 0 ;;
	esac
	if [ "$factor" -eq 1 ]; then
		check "$name: sums per flow" "$(flows_of_nfdump "$work/$name" | md5sum)" \
			"$(tail -n +2 "$work/$name.flows" | tr '\t' '|' | sort | md5sum)"
	fi
	grep -h -i -e 'bad packet' -e error -e corrupt "$work/$name.log" |
		grep -v -e 'Bad Packets: 0' | sed "s/^/note: $name: /"
}

history="--start-time 2026-01-31T12:00:00 --time-step 0.02"

try v5 1 --version v5
try v5_history 1 --version v5 $history
try v5_exporters 1 --version v5 --exporters 20 --domains 3 $history
try v5_sampling 100 --version v5 --sampling 100
try v5_loss 1 --version v5 --loss 0.1
try v5_bursts 1 --version v5 --exporters 3 --burst 2000 --speed 600 --start-time 2026-01-31T12:00:00
try v9 1 --version v9
try v9_history 1 --version v9 $history
try v9_narrow 1 --version v9 --template narrow --ipv6 0.4 --template-interval 0.05
try v9_ipv6 1 --version v9 --ipv6 1
try v9_sampling 1 --version v9 --sampling 100
try v9_loss 1 --version v9 --loss 0.1 --exporters 5
try v9_bursts 1 --version v9 --burst 2000 --speed 0 --start-time 2026-01-31T12:00:00
try ipfix 1 --version ipfix
try ipfix_history 1 --version ipfix $history
try ipfix_narrow 1 --version ipfix --template narrow --ipv6 0.4 --template-interval 0.05
try ipfix_varlen 1 --version ipfix --template varlen --ipv6 0.4
try ipfix_sampling 1 --version ipfix --sampling 100
try ipfix_wrap 1 --version ipfix --first-sequence 4294960000
try mix 1 --version mix --exporters 9 --skew 2000 --keys zipf:1.1 --ipv6 0.2

try replay_v9 1 --version v9 --template narrow $history
try replay_mix 1 --version mix --exporters 6 --ipv6 0.3

# What tshark says of a capture: nothing malformed, and this value of that field, if one is asked for.
dissect()
{
	local name=$1 field=$2 value=$3
	shift 3
	"$build/bs-generate" --pcap "$work/$name.pcap" --quiet --count 2000 "$@" || failed=$((failed + 1))
	tshark -r "$work/$name.pcap" -d udp.port==2055,cflow -T fields -e cflow.version \
		-e _ws.malformed -e _ws.expert.message -e "${field:-frame.number}" \
		>"$work/$name.fields" 2>"$work/$name.errors"
	# Every line has a version, and in the second and third column nothing.
	check "$name: datagrams that tshark can not read" \
		"$(grep -c -v -P '^(5|9|10)\t\t\t' "$work/$name.fields")" 0
	check "$name: tshark saw some" "$([ -s "$work/$name.fields" ] && echo yes)" yes
	if [ -n "$field" ]; then
		check "$name: $field" "$(cut -f4 "$work/$name.fields" | grep . | sort -u)" "$value"
	fi
}

if command -v tshark >/dev/null; then
	dissect tshark_v5 cflow.samplerate 100 --version v5 --sampling 100
	dissect tshark_v9 cflow.sampling_interval 100 --version v9 --sampling 100 --ipv6 0.5
	dissect tshark_v9_narrow "" "" --version v9 --template narrow --ipv6 0.5
	dissect tshark_ipfix cflow.sampling_packet_space 99 --version ipfix --sampling 100 --ipv6 0.5
	dissect tshark_ipfix_narrow "" "" --version ipfix --template narrow --ipv6 0.5
	dissect tshark_ipfix_varlen "" "" --version ipfix --template varlen --ipv6 0.5
else
	echo "SKIPPED: tshark is not installed; its part"
fi

echo "nfdump_reads_generator: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
