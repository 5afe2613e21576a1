// Send one redemption: TENURE_SECRET=whsec_… node redeem.mjs https://tenure.example platform VOUCHER
// Needs `npm install standardwebhooks`. Send it again with the same EVENT_ID and EVENT_TIME for the same answer; it is
// redeemed once. Keep both with your event: another time is another body, and answered with 409.
import { Webhook } from "standardwebhooks";

const [address, sender, voucher] = process.argv.slice(2);
const event = process.env.EVENT_ID ?? `redemption-${voucher}`;
const now = new Date();
const body = JSON.stringify({
  type: "voucher.redeemed",
  timestamp: process.env.EVENT_TIME ?? now.toISOString(),
  data: {
    voucher,
    holder: { id: "u-42", name: "某大学", kind: "university", email: "lab@example.edu.cn" },
  },
});
const answer = await fetch(`${address}/v1/redemptions`, {
  method: "POST",
  body,
  headers: {
    "content-type": "application/json",
    "x-tenure-sender": sender,
    "webhook-id": event,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(process.env.TENURE_SECRET).sign(event, now, body),
  },
});
console.log(answer.status, await answer.text());
process.exit(answer.status === 202 ? 0 : 1);
