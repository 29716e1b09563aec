#!/bin/bash
# SPDX-License-Identifier: PostgreSQL
#
# reference.sh: docs/reference.md says what the server says of itself, and it would be noticed if not.
set -u
cd "$(dirname "$0")/../.." || exit 1
scripts/update-reference.sh --check || exit 1
echo "reference: 1 passed, 0 failed"
