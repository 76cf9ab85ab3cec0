# A case that does not end.
# timeout: 2
sleep 1000
