// A certified OpenID provider on loopback: `node provider.mjs PORT`, with its client and people as JSON on stdin.
// Its own development pages ask for a login and a consent; any password will do. A new key each time it starts.
import { readFileSync } from "node:fs";
import { generateKeyPairSync } from "node:crypto";
import Provider from "oidc-provider";

const { client, people, claims, secret } = JSON.parse(readFileSync(0, "utf8"));
const port = Number(process.argv[2]);
const key = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [client],
  jwks: { keys: [{ ...key, use: "sig", alg: "RS256" }] },
  cookies: { keys: [secret] },
  scopes: ["openid"],
  claims: { openid: ["sub", "groups"] },
  conformIdTokenClaims: claims === "userinfo",
  pkce: { required: () => true },
  features: { devInteractions: { enabled: true } },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, groups: people[id] ?? [] }) }),
});
provider.listen(port, "127.0.0.1", () => console.log("listening"));
