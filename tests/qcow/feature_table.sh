#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Each test that docs/qcow.md names is there, and each row names one.
#   feature_table.sh SOURCE_FOLDER
# shellcheck disable=SC2016 # the backticks are Markdown's
set -eu
cd "$1"
document=docs/qcow.md
failed=0
rows=$(grep '^|' "$document" | tail -n +3)
if [ "$(printf '%s\n' "$rows" | grep -c '^|')" -lt 20 ]; then
    echo "$document: where is the table?"
    exit 1
fi
if printf '%s\n' "$rows" | grep -v '`[A-Za-z0-9]*\.[A-Za-z0-9]*`'; then
    echo "$document: no test for the above"
    failed=1
fi
for test in $(grep -o '`[A-Z][A-Za-z0-9]*\.[A-Z][A-Za-z0-9]*`' "$document" | tr -d '`' | sort -u); do
    if ! grep -rqE "^TEST(_F|_P)?\(${test%.*}, ${test#*.}\)" tests/qcow tests/handlers/qcow; then
        echo "$document: there is no test $test"
        failed=1
    fi
done
exit $failed
