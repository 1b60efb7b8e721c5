#!/bin/sh
# Makes the secrets of this example in the folder secrets, once. Nobody else can enter the folder; the
# files themselves can be read by the users of the containers, into which they are mounted one by one.
set -eu
cd "$(dirname "$0")"
umask 077
if [ -e secrets ]; then
  echo "secrets.sh: the folder secrets is there already, and nothing was changed. To make new ones, first remove" >&2
  echo "it and the database, which has the old password: docker compose down --volumes; rm -r secrets" >&2
  exit 1
fi
mkdir secrets
password="$(openssl rand -hex 24)"
printf '%s' "$password" > secrets/database-password
printf 'postgresql://events:%s@postgres:5432/events' "$password" > secrets/database-url
# One that the sandbox takes: a key of Kana's test environment begins so.
printf 'prv_test_cluster' > secrets/kana-api-key
openssl rand -hex 32 > secrets/receiver-key
openssl rand -hex 16 > secrets/grafana-password
chmod 644 secrets/*
