#!/bin/sh
# Sends the result of a scan to the scan service, from any pipeline that has a shell and curl:
#
#   LATCHKEY_TOKEN=… SCAN_SERVICE_URL=https://scans.example.com ./send-scan.sh scan.json
#
# Ends with 0 once it is accepted, and otherwise with 1 and a sentence that says what to do.
set -eu

fail() {
  echo "$1" >&2
  exit 1
}

result=${1:-}
[ -n "$result" ] || fail "Name the file with the scan’s result: ./send-scan.sh scan.json"
[ -r "$result" ] || fail "There is no result in $result: did the scan run?"
[ -n "${SCAN_SERVICE_URL:-}" ] || fail "SCAN_SERVICE_URL is not set: give it the address of the scan service."
[ -n "${LATCHKEY_TOKEN:-}" ] || fail "LATCHKEY_TOKEN is not set. Add the value of a CI token to this pipeline’s secrets; pipelines of forks do not see them."

answer=$(mktemp)
trap 'rm -f "$answer"' EXIT

# The token goes to curl by a pipe: every user of the machine can read the arguments of a command. A service that is busy
# (503) says when to come back, which curl heeds.
status=$(printf 'header = "Authorization: Bearer %s"\n' "$LATCHKEY_TOKEN" |
  curl --silent --config - --request POST --header "Content-Type: application/json" --data-binary "@$result" \
    --output "$answer" --write-out "%{http_code}" --max-time 30 --retry 3 --retry-max-time 60 \
    "$SCAN_SERVICE_URL/scans") || fail "The scan service at $SCAN_SERVICE_URL cannot be reached."

case $status in
  201) echo "The scan was accepted." ;;
  400) fail "The scan service cannot read $result, or LATCHKEY_TOKEN is not the value of a token alone: $(cat "$answer")" ;;
  401) fail "The scan service does not accept the token in LATCHKEY_TOKEN. It may be mistyped, expired, disabled or deleted: “latchkey whoami” tells which, and a super admin can make another." ;;
  403) fail "The token in LATCHKEY_TOKEN is good, but may not send scans. It takes one with the role CI Token." ;;
  503) fail "The scan service cannot check tokens at the moment. Run this job again." ;;
  *) fail "The scan service answered $status: $(cat "$answer")" ;;
esac
