# A case under which the kernel complains after so many words that the beginning of the case is no longer in its log.
echo on >/proc/sys/kernel/printk_devkmsg
dmesg -n 1     # not on the console too
for _ in {1..2000}; do printf '<6>%0900d\n' 0 >/dev/kmsg; done
! dmesg | grep -q 'case oops_after_much' || { echo "the beginning is still there"; exit 77; }
echo '<1>BUG: planted by the self test' >/dev/kmsg
