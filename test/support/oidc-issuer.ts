/**
 * A double of a CI system's OIDC issuer on loopback: discovery, keys, and the address from which a GitHub runner fetches its
 * tokens (`ACTIONS_ID_TOKEN_REQUEST_URL`, with a request token and an audience).
 */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

export interface Issuer {
  url: string;
  /** What a runner finds in its environment. */
  runnerEnv: { ACTIONS_ID_TOKEN_REQUEST_URL: string; ACTIONS_ID_TOKEN_REQUEST_TOKEN: string };
  /** Audiences that runners asked for, in order. */
  asked: string[];
  /** What the runner's tokens say; may be changed. */
  claims: Record<string, unknown>;
  token(audience: string, claims?: Record<string, unknown>, lifeSeconds?: number): Promise<string>;
  stop(): Promise<void>;
}

export async function startIssuer(claims: Record<string, unknown>): Promise<Issuer> {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "ci-1", use: "sig", alg: "RS256" }] };
  const requestToken = randomUUID();
  const asked: string[] = [];

  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? "/", issuer.url);
    const answer = (status: number, body: unknown) => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    if (pathname === "/.well-known/openid-configuration")
      return answer(200, { issuer: issuer.url, jwks_uri: `${issuer.url}/jwks` });
    if (pathname === "/jwks") return answer(200, jwks);
    if (pathname !== "/token" || request.headers.authorization !== `Bearer ${requestToken}`) return answer(401, {});
    const audience = searchParams.get("audience") ?? "";
    asked.push(audience);
    return answer(200, { count: 1, value: await issuer.token(audience) });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;

  const issuer: Issuer = {
    url,
    runnerEnv: {
      ACTIONS_ID_TOKEN_REQUEST_URL: `${url}/token?api-version=2.0`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken,
    },
    asked,
    claims,
    token: (audience, said = issuer.claims, lifeSeconds = 300) =>
      new SignJWT({ ...said, jti: randomUUID() })
        .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: "ci-1" })
        .setIssuer(url)
        .setAudience(audience)
        .setIssuedAt()
        .setNotBefore("-5s")
        .setExpirationTime(Math.floor(Date.now() / 1000) + lifeSeconds)
        .sign(privateKey),
    stop: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return issuer;
}
