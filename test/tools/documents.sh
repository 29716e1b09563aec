#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# documents.sh: what the documents point at is there: targets of links, files that the file map and the
# README name, sections of the same document.
set -u
cd "$(dirname "$0")/../.." || exit 1
passed=0
failed=0

check()
{
	if [ "$2" = 0 ]; then
		passed=$((passed + 1))
	else
		echo "FAILED: $1"
		failed=$((failed + 1))
	fi
}

documents=$(git ls-files '*.md' 2>/dev/null)
[ -n "$documents" ] || documents=$(find . -name '*.md' -not -path './build/*' | sed 's|^\./||')
for document in README.md CHANGELOG.md CONTRIBUTING.md LICENSE META.json docs/architecture.md docs/formats.md \
	docs/locking.md docs/tools.md; do
	[ -s "$document" ]
	check "$document is there" $?
done

# The anchors that a document's headings make.
anchors()
{
	sed -n 's/^#\+ *//p' "$1" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-'
	sed -n 's/.*<a id="\([^"]*\)">.*/\1/p' "$1"
}

for document in $documents; do
	folder=$(dirname "$document")
	# [text](target), outside of blocks of code
	for target in $(sed '/^```/,/^```/d; /^    /d' "$document" | grep -oE '\]\([^) ]+\)' | sed 's/^](//; s/)$//'); do
		case $target in
			http://* | https://* | mailto:*) continue ;;
			\#*) anchors "$document" | grep -qxF -- "${target#\#}" ;;
			*) [ -e "$folder/${target%%#*}" ] ;;
		esac
		check "$document: link to $target" $?
	done
	# `path/to/file` and path/to/file.md in running text
	for path in $(sed '/^```/,/^```/d; /^    /d' "$document" |
		grep -oE '(^|[ (`])(src|receiver|scripts|sql|test|t|docs|bench|demo|mk|expected)/[a-zA-Z0-9_/.-]+\.(c|h|sh|sql|pl|pm|md|mk)' |
		grep -v NAME | sed 's/^[ (`]//' | sort -u); do
		[ -e "$path" ]
		check "$document: $path" $?
	done
done

# Each file of the three rings has a place in the file map: by its name without .c or .h, or by a pattern
# (sketch*), in the first column of a table.
map=docs/architecture.md
names=$(sed -n 's/^| \([^|`]*\) |.*/\1/p' "$map" | tr ', ' '\n\n' | sed 's/\.[ch]$//' | sort -u)
in_map()
{
	local pattern
	set -f
	for pattern in $names; do
		# shellcheck disable=SC2053
		[[ $1 == $pattern ]] && return 0
	done
	return 1
}
for file in src/engine/*.[ch] receiver/*.[ch] src/*.[ch]; do
	name=$(basename "$file")
	in_map "${name%.[ch]}"
	check "$file has no place in the file map of $map: add its name to a row there" $?
done

echo "documents: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
