# shellcheck shell=bash
# libiscsi's test suite (iscsi-test-cu) against one LUN over LIO iSCSI on 127.0.0.1. Sourced by the libiscsi_* cases.
. "$LUNKIT_VM/lib.sh"

IQN=iqn.2026-01.org.lunkit.test:conformance
URL=iscsi://127.0.0.1/$IQN

# libiscsi_result LUN TEST [OPTION]...: runs one test in a process of its own; prints its name and PASS, FAIL, SKIP or HANG. What
# it said is kept in /tank/said/TEST.
libiscsi_result() {
    local lun=$1 test=$2 status=0 verdict=PASS
    shift 2
    timeout -k 5 60 iscsi-test-cu --dataloss --allow-sanitize "$@" --test="ALL.$test" "$URL/$lun" </dev/null >"/tank/said/$test" 2>&1 ||
        status=$?
    if [ $status -ge 124 ]; then
        verdict=HANG
    elif ! grep -q -E '^ +tests +1 +1 +1 +0 +0' "/tank/said/$test"; then    # total, ran, passed, failed, inactive
        verdict=FAIL
    elif sed '1,/^Suite:/d' "/tank/said/$test" | grep -q 'SKIPPED'; then    # before: what it asks of every unit
        verdict=SKIP
    fi
    echo "$test $verdict"
}

# libiscsi_tests [REGEX]: the names of the suite's tests. Left out: what needs two paths to the LUN.
libiscsi_tests() { iscsi-test-cu --list | sed -n 's/^ALL\.\([^.]*\.[^.]*\)$/\1/p' | grep -v -i multipath | grep -E "${1:-.}"; }

# libiscsi_export BACKSTORE-PATH...: exports them as LUN 0, 1, ... and waits until they answer.
libiscsi_export() {
    mkdir -p /tank/said "$(cat $CONFIGFS/dbroot)/"{pr,alua}   # Debian's packages forget them; PERSISTENT RESERVE OUT needs pr
    targets_ok < <(iscsi_lines $IQN "$@")
    wait_for 20 "the target" iscsi-inq "$URL/$(($# - 1))"
}

# libiscsi_expect LUN NAME [REGEX]: runs the tests and compares with the checked-in results of libiscsi/NAME. A test that VARIES
# there passes or fails by the time that something takes; docs/conformance.md says why.
libiscsi_expect() {
    local lun=$1 expected=$LUNKIT_VM/libiscsi/$2 regex=${3:-.} test results=/tank/results
    [ -s "$expected" ] || fail "no results are checked in at libiscsi/$2"
    for test in $(libiscsi_tests "$regex"); do libiscsi_result "$lun" "$test"; done >$results
    awk '{ count[$2]++ } END { for (verdict in count) printf "%s %d  ", verdict, count[verdict]; print "" }' $results
    if ! diff "$expected" <(awk 'NR == FNR { if ($2 == "VARIES") varies[$1]; next } $1 in varies { $2 = "VARIES" } 1' \
        "$expected" $results) >/tank/differences; then
        sed -n -E 's/^> ([^ ]*) (FAIL|HANG)$/\1/p' /tank/differences | head -n 10 | while read -r test; do
            echo "=== $(grep "^$test " $results)"
            tail -n 30 "/tank/said/$test"
        done
        echo "=== expected (<) and found (>):"
        cat /tank/differences
        echo "=== all results:"
        cat $results
        fail "results differ from libiscsi/${expected##*/}"
    fi
}
