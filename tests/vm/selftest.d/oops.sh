# A case under which the kernel complains.
echo '<1>BUG: planted by the self test' >/dev/kmsg
