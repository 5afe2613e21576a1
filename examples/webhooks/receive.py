"""Receive Tenure's callbacks: `TENURE_SECRET=whsec_… python receive.py PORT`. Needs `pip install standardwebhooks`.

Answers 204 when the signature is right and 401 when not; prints one line for each event, each event once.
"""

import os
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

webhook = Webhook(os.environ["TENURE_SECRET"])
seen: set[str] = set()  # keep these in your database: a callback that you were slow to answer comes again


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            event = webhook.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.send_response(401)
            self.end_headers()
            return
        if self.headers["webhook-id"] not in seen:
            print(event["type"], event["data"].get("account", "-"), flush=True)  # noqa: T201
            seen.add(self.headers["webhook-id"])
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver)
print(f"listening on port {server.server_port}", flush=True)  # noqa: T201
server.serve_forever()
