#!/bin/bash
# Exports a file over iSCSI on 127.0.0.1, logs in with open-iscsi, and takes everything down again.
# usage: file-iscsi.sh [IMAGE]     (default /var/lib/lunkit/example-iscsi.img; must not be there: it is made, 256 MiB, and removed)
set -eu
here=$(dirname "$0")
image=${1:-/var/lib/lunkit/example-iscsi.img}
"$here/unused" exported "$image"
TARGETCLI_HOME=$(mktemp -d)      # its settings in your home stay as they are
export TARGETCLI_HOME
iqn=iqn.2026-01.org.example:disk1
cleanup() {
    iscsiadm -m node -T $iqn -u || true
    iscsiadm -m node -T $iqn -o delete || true
    targetcli "/iscsi delete $iqn" || true
    targetcli "/backstores/user:file delete exported" || true
    rm -f "$image"
    rm -rf "$TARGETCLI_HOME"
}
trap cleanup EXIT
mkdir -p "$(dirname "$image")"
pidof iscsid >/dev/null || iscsid

# No authentication and every initiator welcome: for a portal on the loopback address only.
targetcli <<EOT
set global auto_save_on_exit=false auto_add_default_portal=false
/backstores/user:file create name=exported size=256M cfgstring=$image
/iscsi create $iqn
/iscsi/$iqn/tpg1/luns create /backstores/user:file/exported
/iscsi/$iqn/tpg1 set attribute generate_node_acls=1 demo_mode_write_protect=0 authentication=0
/iscsi/$iqn/tpg1/portals create 127.0.0.1 3260
EOT

iscsiadm -m discovery -t sendtargets -p 127.0.0.1
iscsiadm -m node -T $iqn -p 127.0.0.1 -l
disk=$("$here/disk-of" exported)
dd if=/dev/urandom of="$disk" bs=1M count=16 oflag=direct status=none
cmp --bytes=$((16 << 20)) "$disk" "$image" && echo "the disk and the image hold the same bytes"
