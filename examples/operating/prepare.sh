# Prepares the drills of docs/operating.md in the current folder, which should be empty: read it with
# `. prepare.sh` in a shell that has `destinations` on its path. It starts a stand-in for Kana and a
# server that delivers to it.

umask 077
openssl rand -hex 32 > receiver-key
# With it, curl sends the key without showing it on a command line.
printf 'user = "%s:"\n' "$(cat receiver-key)" > curl-key
printf 'header = "Authorization: Bearer prv_test_drill"\n' > curl-partner
echo prv_test_drill > kana-api-key
cat > serve.yaml << 'END'
store: {path: store.sqlite3}
destinations:
  - name: kana
    destination: kana
    account: drill
    settings:
      apiKey: {file: kana-api-key}
      endpoint: http://127.0.0.1:4000/graphql
    receiver: {keys: [{file: receiver-key}]}
    # Short, as the sandbox is on this machine; see docs/serving.md before you change it elsewhere.
    delivery: {settleAfterSeconds: 1}
END

start_partner() {
  : > sandbox.json
  destinations sandbox kana --port 4000 --db account.sqlite > sandbox.json & partner=$!
  until [ -s sandbox.json ]; do sleep 0.1; done
}
start_server() {
  destinations serve --config serve.yaml 2>> serve.log & server=$!
  until curl --silent --fail http://127.0.0.1:8787/readyz > ready.txt; do sleep 0.1; done
}
stop() { kill "$1"; wait "$1" || true; }

# event ID AMOUNT writes an event of user_0001 that adds AMOUNT, with the time of now.
event() {
  printf '{"type": "track", "messageId": "%s", "userId": "user_0001", "event": "API Called",
    "timestamp": "%s", "properties": {"featureId": "api-calls", "delta": %s}}' \
    "$1" "$(date -u +%FT%T.%3NZ)" "$2" > "$1.json"
}
# send ID... sends these events, as often as you like.
send() {
  for id in "$@"; do
    curl --silent --config curl-key --data "@$id.json" http://127.0.0.1:8787/v1/kana; echo
  done
}
# until_delivered waits until nothing waits in the queue any more, but for what is held. It asks the
# store itself: the gauges of /metrics may be a second old.
until_delivered() {
  until destinations status --config serve.yaml | grep -q '^queue 0'; do sleep 0.1; done
}
# usage shows what the partner has counted for user_0001.
usage() {
  curl --silent --config curl-partner http://127.0.0.1:4000/snapshot |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["usage"]["user_0001"]["api-calls"], "API calls")'
}
# deliveries shows event, status, tries and reason of each.
deliveries() {
  destinations deliveries list --all --config serve.yaml | sed -n 's/.*  *\(track\/[^ ]*\)  */\1 /p'
}
# fault JSON makes the partner misbehave; docs/sandbox.md lists how.
fault() {
  curl --silent --config curl-partner --data "$1" http://127.0.0.1:4000/faults > fault.json
}

start_partner
start_server
