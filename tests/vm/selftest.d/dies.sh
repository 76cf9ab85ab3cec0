# A case that takes the whole guest down (named so that another case of its boot, `fails`, comes after it).
echo 1 >/proc/sys/kernel/sysrq
echo c >/proc/sysrq-trigger
sleep 60
