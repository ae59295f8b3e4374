#!/bin/sh
# Debian's PostgreSQL with the variables and the folder of the official image.
set -eu
: "${POSTGRES_PASSWORD:?is missing}"
data=/var/lib/postgresql/data
for folder in /usr/lib/postgresql/*/bin; do PATH=$folder:$PATH; done
as="setpriv --reuid=postgres --regid=postgres --clear-groups"
mkdir -p $data
chown postgres:postgres $data
chmod 700 $data
if [ ! -e $data/PG_VERSION ]; then
  (umask 077 && printf '%s' "$POSTGRES_PASSWORD" >/tmp/password)
  chown postgres /tmp/password
  $as initdb -D $data -U "$POSTGRES_USER" -A scram-sha-256 --pwfile=/tmp/password --no-sync >/dev/null
  rm /tmp/password
  echo 'host all all all scram-sha-256' >>$data/pg_hba.conf
  echo "create database $POSTGRES_DB" | $as postgres --single -D $data postgres >/dev/null
fi
exec $as postgres -D $data -c listen_addresses='*' -c unix_socket_directories=/tmp -c fsync=off
