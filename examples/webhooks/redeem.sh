#!/bin/sh
# Send one redemption: TENURE_SECRET=whsec_… ./redeem.sh https://tenure.example platform VOUCHER
# Needs curl, and python3 without packages for the signature: openssl would take the secret as an argument, where every
# user of the machine can read it. Send it again with the same EVENT_ID and EVENT_TIME for the same answer; it is
# redeemed once. Keep both with your event: another time is another body, and answered with 409.
set -eu
address=$1 sender=$2 voucher=$3
event=${EVENT_ID:-redemption-$voucher}
now=$(date +%s)
time=${EVENT_TIME:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
holder='{"id": "u-42", "name": "某大学", "kind": "university", "email": "lab@example.edu.cn"}'
body='{"type": "voucher.redeemed", "timestamp": "'$time'", "data": {"voucher": "'$voucher'", "holder": '$holder'}}'
signature=$(printf '%s' "$event.$now.$body" | python3 -c '
import base64, hashlib, hmac, os, sys
key = base64.b64decode(os.environ["TENURE_SECRET"].removeprefix("whsec_"))
print("v1," + base64.b64encode(hmac.new(key, sys.stdin.buffer.read(), hashlib.sha256).digest()).decode())')
printf '%s' "$body" | curl --silent --show-error --fail-with-body --max-time 30 --data-binary @- \
    -H 'content-type: application/json' -H "x-tenure-sender: $sender" -H "webhook-id: $event" \
    -H "webhook-timestamp: $now" -H "webhook-signature: $signature" "$address/v1/redemptions"
