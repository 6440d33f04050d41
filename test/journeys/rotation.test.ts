/** A new sealing key, from its first day to the removal of the old one, over everything that is sealed. */
import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { LocalState } from "../../local/state.ts";
import { SlackTeam } from "../support/chat-people.ts";
import { type Deployment, deploy } from "./deployment.ts";

const KEYS = [1, 2].map((n) => ({ kid: `key-${n}`, key: randomBytes(32).toString("base64") }));
const [FIRST, SECOND] = KEYS;
const HOOK_SECRET = `whsec_${randomBytes(32).toString("base64")}`;

it("nothing that is kept needs the old key after a reseal, and what people hold is told of", {
  timeout: 600_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), "firewatch-rotation-"));
  const slack = await new SlackTeam().start();
  const state = new LocalState(dir);
  const started = async (...keys: unknown[]): Promise<Deployment> => {
    await state.keepSecrets({ ...(await state.secrets()), sealKeys: JSON.stringify(keys) });
    const firewatch = await deploy({ dir });
    slack.target = `${firewatch.url}/chat/lab/slack`;
    return firewatch;
  };
  const admin = (firewatch: Deployment, method: string, path: string, body?: unknown) =>
    firewatch.call(method, path, { token: firewatch.adminToken, ...(body === undefined ? {} : { body }) });
  const invite = async (firewatch: Deployment, connection: string): Promise<string> =>
    (await admin(firewatch, "POST", "/v1/invitations", { connection })).body.invitation;
  const share = async (firewatch: Deployment): Promise<string> =>
    new URL((await firewatch.call("POST", "links", { body: { key: "o" } })).body.url).pathname;
  const use = (firewatch: Deployment, name: string, invitation: string) => {
    const { v1Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
    const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
    const body = { api: "v1", url: v1Url, auth };
    return firewatch.call("PUT", `/v1/connections/${name}`, { token: invitation, body });
  };

  let firewatch = await started(FIRST);
  try {
    const job = { system: "cluster", script: "#!/bin/bash\ntrue\n" };
    await firewatch.call("PUT", "hooks/h", {
      body: { source: "standard-webhooks", secrets: [HOOK_SECRET], target: { job } },
    });
    await admin(firewatch, "PUT", "/v1/workspaces/lab", {
      platform: "slack",
      team: slack.team,
      signingSecrets: [slack.signingSecret],
      botToken: slack.double.token,
      apiUrl: `${slack.url}/api`,
    });
    await firewatch.call("PUT", "objects/o", { raw: "bytes" });
    const [oldLink, oldInvitation] = [await share(firewatch), await invite(firewatch, "invited-old")];
    const early = await invite(firewatch, "invited-early");
    await firewatch.stop();

    firewatch = await started(SECOND, FIRST);
    const first = (await admin(firewatch, "POST", "/v1/admin/reseal")).body;
    expect(first).toMatchObject({ workspaces: 1, unreadable: 0, unfinished: [], held: { links: 1, invitations: 2 } });
    expect(first.resealed).toBeGreaterThanOrEqual(4);
    expect(Date.parse(first.held.until)).toBeGreaterThan(Date.now() + 6 * 24 * 3_600_000);
    expect((await admin(firewatch, "POST", "/v1/admin/reseal")).body).toMatchObject({ resealed: 0, unreadable: 0 });
    // While both keys are there, everything in people's hands goes on.
    expect((await firewatch.call("GET", oldLink, { token: null })).text).toBe("bytes");
    expect((await use(firewatch, "invited-early", early)).status).toBe(201);
    const [newLink, newInvitation] = [await share(firewatch), await invite(firewatch, "invited-new")];
    expect((await admin(firewatch, "POST", "/v1/admin/reseal")).body.held).toMatchObject({ links: 1, invitations: 1 });
    await firewatch.stop();

    firewatch = await started(SECOND);
    const { body } = await firewatch.send("h", HOOK_SECRET, {});
    expect(body).toMatchObject({ outcome: "accepted" });
    expect((await firewatch.settled(body.jobId)).status).toBe("succeeded");
    expect(JSON.stringify((await slack.type("U0ALICE", "help")).body)).toContain("/hpc");
    expect((await firewatch.call("GET", newLink, { token: null })).text).toBe("bytes");
    expect((await use(firewatch, "invited-new", newInvitation)).status).toBe(201);
    // What the old key sealed and people hold has ended with it, and says no more than anything else that is unknown.
    expect((await firewatch.call("GET", oldLink, { token: null })).status).toBe(404);
    expect((await use(firewatch, "invited-old", oldInvitation)).status).toBe(401);
    expect((await admin(firewatch, "POST", "/v1/admin/reseal")).body).toMatchObject({ resealed: 0, unreadable: 0 });
  } finally {
    await firewatch.stop();
    await slack.stop();
    await rm(dir, { recursive: true, force: true });
  }
});
