#!/bin/sh
# minio server FOLDER: Ceph in place of MinIO, with MinIO's rules: the keys are MINIO_ROOT_USER and MINIO_ROOT_PASSWORD, the
# folders are the buckets, and the port is 9000 (ceph.conf). Keeps the objects in memory.
set -eu
folder=$2
osd=3f2a1c6e-0000-4000-8000-000000000002
cd /ceph
rm -rf mon osd rgw run monmap
mkdir mon osd rgw run
with() { program=$1 && shift && "$program" -c /ceph/ceph.conf "$@"; }
monmaptool --create --fsid "$(sed -n 's/^fsid = //p' ceph.conf)" --addv a "$(sed -n 's/^mon_host = //p' ceph.conf)" monmap
with ceph-mon --mkfs -i a --monmap monmap --keyring keyring
with ceph-mon -i a -f &
with ceph --connect-timeout 60 osd new $osd 0
with ceph-osd --mkfs -i 0 --osd-uuid $osd
with ceph-osd -i 0 -f &
with radosgw-admin --name=client.rgw user create --uid=minio --display-name=minio \
  --access-key="$MINIO_ROOT_USER" --secret-key="$MINIO_ROOT_PASSWORD" >user.json
with radosgw --name=client.rgw -f &
# create BUCKET: with a signature of version 2, which needs no program but openssl
create() {
  date=$(LC_ALL=C date -Ru)
  signature=$(printf 'PUT\n\n\n%s\n/%s' "$date" "$1" | openssl dgst -sha1 -hmac "$MINIO_ROOT_PASSWORD" -binary | base64)
  curl --silent --fail --output /dev/null --request PUT --header "Date: $date" \
    --header "Authorization: AWS $MINIO_ROOT_USER:$signature" "http://127.0.0.1:9000/$1"
}
for bucket in "$folder"/*; do
  until create "${bucket##*/}"; do sleep 0.2; done
done
wait
