/** Every route that changes something leaves a line in the audit: who, what, from where. So does every act in chat. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { VERBS } from "../../shared/chat/command.ts";
import { SlackTeam } from "../support/chat-people.ts";
import { ROOT } from "../support/sources.ts";
import { type Deployment, deploy } from "./deployment.ts";

/** What each changing route is called in the audit, or why it has no line there. */
const ACTS: Record<string, string | { none: string }> = {
  submitJob: "job.submit",
  resubmitJob: "job.submit",
  cancelJob: "job.cancel",
  attachToJob: "job.attach",
  watchJob: "job.watch",
  startTransfer: "transfer.start",
  cancelTransfer: "transfer.cancel",
  putObject: "object.put",
  deleteObject: "object.remove",
  startUpload: { none: "nothing is there before it is completed" },
  completeUpload: "upload.complete",
  abortUpload: "upload.abort",
  putPart: { none: "a part is nothing before its upload is completed" },
  subscribe: "subscription.add",
  changeSubscription: "subscription.change",
  unsubscribe: "subscription.remove",
  rotateSecret: "subscription.rotate",
  testSubscription: "subscription.test",
  recoverSubscription: "subscription.recover",
  resendDelivery: "delivery.resend",
  putHook: "hook.put",
  deleteHook: "hook.remove",
  receiveHook: "job.submit",
  replayHookRequest: "job.submit",
  dryRunHook: { none: "changes nothing" },
  ping: { none: "opens nothing and changes nothing; the scheduler stays the truth" },
  createKey: "key.add",
  revokeKey: "key.revoke",
  putIdentity: "identity.put",
  deleteIdentity: "identity.remove",
  putConnection: "connection.change",
  deleteConnection: "connection.remove",
  reseal: "deployment.reseal",
  createLink: "link.add",
  deleteLink: "link.remove",
  rotateSigningKey: "signing_key.rotate",
  createInvitation: "invitation.add",
  revokeInvitation: "invitation.revoke",
  putWorkspace: "workspace.put",
  deleteWorkspace: "workspace.remove",
  createChatCode: "chat-code.add",
  revokeChatLink: "chat-link.revoke",
  receiveSlack: { none: "what a person does there is in the audit as their own act" },
  receiveMattermost: { none: "what a person does there is in the audit as their own act" },
  ...Object.fromEntries(
    ["mkdir", "move", "copy", "symlink", "chmod", "chown", "compress", "extract", "rsync", "rm", "upload"].map(
      (operation) => [`file_${operation}`, `files.${operation}`],
    ),
  ),
};

/** What this deployment cannot easily be made to do, and the test that holds its line. */
const ELSEWHERE: Record<string, string> = {
  "job.attach": "test/journeys/files.test.ts",
  "chat-link.revoke": "test/journeys/audit.test.ts",
};

const FROM = "203.0.113.9";
let firewatch: Deployment;
beforeAll(async () => {
  firewatch = await deploy();
});
afterAll(() => firewatch?.stop());

const admin = (method: string, path: string, body?: unknown) =>
  firewatch.call(method, path, {
    token: firewatch.adminToken,
    headers: { "cf-connecting-ip": FROM },
    ...(body === undefined ? {} : { body }),
  });
interface Line {
  act: string;
  actor: string;
  origin?: string;
  subject: string;
}

it("every changing route of the API is on the list", async () => {
  const { body } = await firewatch.call("GET", "/openapi.json", { token: null });
  const changing = Object.values(body.paths as Record<string, Record<string, { operationId: string }>>)
    .flatMap((methods) => Object.entries(methods))
    .filter(([method]) => method !== "get")
    .map(([, { operationId }]) => operationId);
  expect(changing.filter((id) => ACTS[id] === undefined)).toEqual([]);
});

it("each act is on record with its actor and its origin", { timeout: 120_000 }, async () => {
  const { connection, adminToken } = firewatch;
  const headers = { "cf-connecting-ip": FROM };
  const act = async (method: string, path: string, body?: unknown, more: { token?: string; raw?: string } = {}) => {
    const answer = await firewatch.call(method, path, { headers, ...(body === undefined ? {} : { body }), ...more });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  };
  const operator = { token: adminToken };
  const job = { system: "cluster", script: "#!/bin/bash -l\ntrue\n" };

  const { id } = await act("POST", "jobs", job);
  await firewatch.settled(id);
  const again = await act("POST", `jobs/${id}/resubmit`);
  await act("POST", `jobs/${again.id}/cancel`);
  await act("POST", "transfers", { direction: "download", system: "cluster", path: "/nothing", key: "t" });
  await act("PUT", "objects/o", undefined, { raw: "bytes" });
  await act("DELETE", "objects/o");
  const upload = await act("POST", "uploads", { key: "u" });
  const part = await act("PUT", `uploads/${upload.id}/1`, undefined, { raw: "bytes" });
  await act("POST", `uploads/${upload.id}/complete`, { parts: [part] });
  await act("DELETE", `uploads/${(await act("POST", "uploads", { key: "v" })).id}`);
  const { id: subscription } = await act("POST", "subscriptions", { url: "http://127.0.0.1:9/" });
  await act("PATCH", `subscriptions/${subscription}`, { events: ["job.failed"] });
  await act("POST", `subscriptions/${subscription}/rotate`);
  const test = await act("POST", `subscriptions/${subscription}/test`);
  await act("POST", `deliveries/${test.id}/resend`);
  await act("POST", `subscriptions/${subscription}/recover`, { since: new Date(0).toISOString() });
  await act("DELETE", `subscriptions/${subscription}`);
  await act("PUT", "hooks/h", { source: "bearer", secrets: ["t"], target: { job } });
  const { requestId } = await act("POST", "/hooks/local-v1/h", {}, { token: "t" });
  await act("POST", `hooks/h/requests/${requestId}/replay`);
  await act("DELETE", "hooks/h");
  const key = await act("POST", "keys", { name: "k" }, operator);
  await act("DELETE", `keys/${key.id}`, undefined, operator);
  await act("PUT", "identities/i", { issuer: "https://ci.example.org", audience: "a", claims: { sub: "x" } }, operator);
  await act("DELETE", "identities/i", undefined, operator);
  const { v1Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
  const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
  await act("PUT", "", { api: "v1", url: v1Url, auth, requestsPerMinute: 6000 }, operator);
  const home = (await firewatch.call("GET", "systems")).body.items[0].fileSystems[0].path;
  const folder = `${home}/alice/audited-${Date.now()}`;
  const files = "systems/cluster/files";
  await act("POST", `${files}/mkdir`, { path: folder, parents: true });
  await act("POST", `${files}/upload?path=${folder}/f`, undefined, { raw: "x" });
  await act("POST", `${files}/move`, { from: `${folder}/f`, to: `${folder}/g` });
  await act("POST", `${files}/copy`, { from: `${folder}/g`, to: `${folder}/h` });
  await act("POST", `${files}/compress`, { from: `${folder}/g`, to: `${folder}/g.tar.gz` });
  await act("POST", `${files}/extract`, { from: `${folder}/g.tar.gz`, to: folder });
  await act("POST", `${files}/symlink`, { target: `${folder}/g`, link: `${folder}/l` });
  await act("POST", `${files}/chmod`, { path: `${folder}/g`, mode: "600" });
  await act("POST", `${files}/rm`, { path: folder });

  await act("POST", `${files}/rsync`, { from: home, to: `${home}/alice/synced` }).catch(() => {});
  await act("POST", `${files}/chown`, { path: folder, group: "users" }).catch(() => {});
  await act("PUT", "objects/shared", undefined, { raw: "bytes" });
  const { id: link } = await act("POST", "links", { key: "shared" });
  await act("DELETE", `links/${link}`);
  await act("POST", "signing-key/rotate", undefined, operator);
  await act("POST", "watches", { system: "cluster", schedulerId: "4711" });
  const { id: transfer } = await act("POST", "transfers", {
    direction: "download",
    system: "cluster",
    path: "/nothing/else",
    key: "t2",
  });
  await act("POST", `transfers/${transfer}/cancel`);

  // What belongs to the deployment.
  const [kept, revoked] = [{ connection: "short-lived" }, { connection: "never-made" }];
  const { invitation } = await act("POST", "/v1/invitations", kept, operator);
  const { id: unused } = await act("POST", "/v1/invitations", revoked, operator);
  await act("DELETE", `/v1/invitations/${unused}`, undefined, operator);
  await act("PUT", "/v1/connections/short-lived", { api: "v1", url: v1Url, auth }, { token: invitation });
  await act("DELETE", "/v1/connections/short-lived", undefined, operator);
  const workspace = { platform: "slack", team: "T0X", signingSecrets: ["signing-secret"], botToken: "bot-token" };
  await act("PUT", "/v1/workspaces/lab", workspace, operator);
  await act("POST", "chat-codes", { workspace: "lab" }, operator);
  await act("DELETE", "/v1/workspaces/lab", undefined, operator);
  await act("POST", "/v1/admin/reseal", undefined, operator);

  const trails = [
    await act("GET", "audit?limit=200", undefined, operator),
    await act("GET", "/v1/admin/audit", undefined, operator),
  ];
  const lines = trails.flatMap(({ items }) => items as Line[]);
  const ours = lines.filter(({ origin }) => origin === FROM);
  const acts = new Set(ours.map(({ act: name }) => name));
  const wanted = new Set(Object.values(ACTS).filter((name) => typeof name === "string"));
  expect([...wanted].filter((name) => !acts.has(name) && ELSEWHERE[name] === undefined)).toEqual([]);

  const actorOf = (name: string) => new Set(ours.filter((line) => line.act === name).map(({ actor }) => actor));
  for (const name of ["invitation.add", "connection.remove", "workspace.put", "deployment.reseal"])
    expect(actorOf(name)).toEqual(new Set(["admin"]));
  expect(actorOf("key.add")).toEqual(new Set(["admin"]));
  expect(actorOf("job.submit")).toEqual(new Set([expect.stringMatching(/^key:key_/), "hook:h"]));
  expect(actorOf("object.put")).toEqual(new Set([expect.stringMatching(/^key:key_/)]));
  expect(ours.findLast((line) => line.act === "object.put")?.subject).toBe("objects/o");
  expect(ours.find((line) => line.act === "files.mkdir")?.subject).toBe(`systems/cluster${folder}`);
  expect(JSON.stringify(lines)).not.toContain(connection.apiKey);
});

it("what is on record in another test is looked for there", () => {
  for (const [act, file] of Object.entries(ELSEWHERE))
    expect(readFileSync(join(ROOT, file), "utf8")).toContain(`act: "${act}"`);
});

/** What people type, and what each is called in the audit. `JOB` is one that they have started. */
const SAID: [text: string, acts: string[]][] = [
  ["submit cluster /tmp/none.sh", ["job.submit", "chat.follow"]],
  ["watch cluster 815", ["job.watch", "chat.follow"]],
  ["cancel JOB", ["job.cancel"]],
  ["resubmit JOB time=1h", ["job.submit", "chat.follow"]],
  ["get cluster /tmp/none.txt", ["transfer.start", "chat.follow"]],
];
const CHANGES_NOTHING = ["status", "queue", "logs", "help", "use"];

it("each act in chat is on record with the person and the place", { timeout: 120_000 }, async () => {
  const slack = await new SlackTeam().start();
  try {
    slack.target = `${firewatch.url}/chat/acts/slack`;
    const workspace = {
      platform: "slack",
      team: slack.team,
      signingSecrets: [slack.signingSecret],
      botToken: slack.double.token,
      apiUrl: `${slack.url}/api`,
    };
    expect((await admin("PUT", "/v1/workspaces/acts", workspace)).status).toBe(201);
    const audited = async (): Promise<Line[]> =>
      (await admin("GET", "/v1/connections/local-v1/audit?limit=200")).body.items;
    /** The lines that something leaves behind. */
    const leaving = async (work: () => Promise<unknown>): Promise<Line[]> => {
      const before = (await audited()).length;
      await work();
      const after = await audited();
      return after.slice(0, after.length - before).filter(({ actor }) => actor.startsWith("chat:"));
    };
    const ANNA = "U0ANNA";
    const is = (act: string) => ({ actor: `chat:acts:${ANNA}`, origin: "slack/acts/C0LAB", act });
    const script = "#!/bin/bash\nsleep 60\n";
    const { body: code } = await admin("POST", "/v1/connections/local-v1/chat-codes", {
      workspace: "acts",
      role: "owner",
    });
    expect(await leaving(() => slack.type(ANNA, `connect ${code.code}`))).toMatchObject([is("chat-link.add")]);
    const { body: job } = await firewatch.call("POST", "jobs", { body: { system: "cluster", script } });
    for (const [text, acts] of SAID) {
      const lines = await leaving(() => slack.type(ANNA, text.replace("JOB", job.id)));
      expect([text, lines.map(({ act }) => act).sort()]).toEqual([text, [...acts].sort()]);
      for (const line of lines) expect(line).toMatchObject(is(line.act));
      if (text.startsWith("cancel")) await firewatch.settled(job.id);
    }
    for (const verb of CHANGES_NOTHING) {
      const rest: Record<string, string> = { status: job.id, logs: job.id, use: "local-v1" };
      expect(await leaving(() => slack.type(ANNA, `${verb} ${rest[verb] ?? ""}`))).toEqual([]);
    }
    expect(await leaving(() => slack.type(ANNA, "disconnect local-v1"))).toMatchObject([is("chat-link.revoke")]);
    // The owner ends it, too.
    const { body: next } = await admin("POST", "/v1/connections/local-v1/chat-codes", { workspace: "acts" });
    await slack.type(ANNA, `connect ${next.code}`);
    const { body: links } = await admin("GET", "/v1/connections/local-v1/chat-links");
    await admin("DELETE", `/v1/connections/local-v1/chat-links/${links.items[0].id}`);
    expect((await audited())[0]).toMatchObject({ act: "chat-link.revoke", actor: "admin", origin: FROM });
    const verbs = [...SAID.map(([text]) => text.split(" ")[0]), ...CHANGES_NOTHING, "connect", "disconnect"];
    expect(verbs.sort()).toEqual(Object.keys(VERBS).sort());
  } finally {
    await slack.stop();
  }
});
