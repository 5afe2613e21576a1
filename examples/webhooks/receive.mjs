// Receive Tenure's callbacks: TENURE_SECRET=whsec_… node receive.mjs PORT. Needs `npm install standardwebhooks`.
// Answers 204 when the signature is right and 401 when not; prints one line for each event, each event once.
import { createServer } from "node:http";
import { Webhook, WebhookVerificationError } from "standardwebhooks";

const webhook = new Webhook(process.env.TENURE_SECRET);
const seen = new Set(); // keep these in your database: a callback that you were slow to answer comes again

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    const event = webhook.verify(Buffer.concat(chunks).toString("utf8"), request.headers);
    const id = request.headers["webhook-id"];
    if (!seen.has(id)) {
      console.log(event.type, event.data.account ?? "-");
      seen.add(id);
    }
    response.writeHead(204).end();
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    response.writeHead(401).end();
  }
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => console.log(`listening on port ${server.address().port}`));
