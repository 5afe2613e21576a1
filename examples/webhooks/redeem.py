"""Send one redemption: `TENURE_SECRET=whsec_… python redeem.py https://tenure.example platform VOUCHER`.

Needs `pip install standardwebhooks httpx`. Send it again with the same EVENT_ID and EVENT_TIME for the same answer;
it is redeemed once. Keep both with your event: another time is another body, and answered with 409.
"""

import json
import os
import sys
from datetime import UTC, datetime

import httpx
from standardwebhooks import Webhook

address, sender, voucher = sys.argv[1:4]
event = os.environ.get("EVENT_ID", f"redemption-{voucher}")
now = datetime.now(UTC)
body = json.dumps({
    "type": "voucher.redeemed",
    "timestamp": os.environ.get("EVENT_TIME", now.isoformat(timespec="seconds")),
    "data": {
        "voucher": voucher,
        "holder": {"id": "u-42", "name": "某大学", "kind": "university", "email": "lab@example.edu.cn"},
    },
}, ensure_ascii=False)
answer = httpx.post(f"{address}/v1/redemptions", content=body.encode(), timeout=30, headers={
    "content-type": "application/json",
    "x-tenure-sender": sender,
    "webhook-id": event,
    "webhook-timestamp": str(int(now.timestamp())),
    "webhook-signature": Webhook(os.environ["TENURE_SECRET"]).sign(event, now, body),
})
print(answer.status_code, answer.text)  # noqa: T201
sys.exit(0 if answer.status_code == 202 else 1)
