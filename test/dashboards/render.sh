#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
# Draw the dashboards: every query is run by t/066_dashboards.pl over traffic of bs-generate, and page.html shows the results in
# headless Chromium.  For people to look at, and for the pictures of docs/grafana.md; no part of make check.
#
#   test/dashboards/render.sh DIR       writes DIR/NAME.png; needs chromium, node's packages (cd grafana && npm ci), and pngquant
#                                       if the pictures shall be small
set -eu -o pipefail

here=$(cd "$(dirname "$0")/../.." && pwd)
out=${1:?usage: $0 DIR}
mkdir -p "$out"
out=$(cd "$out" && pwd)
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
uplot=$here/grafana/node_modules/uplot/dist
[ -e "$uplot/uPlot.iife.min.js" ] || { echo "$0: first: cd grafana && npm ci" >&2; exit 1; }
work=$(mktemp -d "${TMPDIR:-/tmp}/backstream-render-XXXXXX")
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

mkdir -m 777 "$work/results"
BACKSTREAM_RESULTS=$work/results "$here/scripts/run-tap.sh" t/066_dashboards.pl >"$work/tap.log" || { grep -v '^ok' "$work/tap.log"; exit 1; }
for results in "$work"/results/*.js; do
	name=$(basename "$results" .js)
	page=$work/$name
	mkdir "$page"
	cp "$here"/test/dashboards/page.html "$here"/test/dashboards/*.css "$here"/test/dashboards/*.js "$uplot/uPlot.iife.min.js" "$uplot/uPlot.min.css" "$page/"
	cp "$results" "$page/data.js"
	height=$(sed -n 's/.*"height":\([0-9]*\).*/\1/p' "$results" | head -n 1)
	# As root there is no sandbox; no component of the browser's may look for a network.
	"$chromium" --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update \
		--disable-sync --hide-scrollbars --allow-file-access-from-files --user-data-dir="$work/profile-$name" --virtual-time-budget=3000 \
		--window-size="1400,$height" --screenshot="$out/$name.png" "file://$page/page.html" >"$work/chromium.log" 2>&1 || { cat "$work/chromium.log"; exit 1; }
	if command -v pngquant >/dev/null; then
		pngquant --force --ext .png 64 "$out/$name.png"
	fi
	echo "$out/$name.png"
done
