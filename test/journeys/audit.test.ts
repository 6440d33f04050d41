/** Every route that changes something leaves a line in the audit: who, what, from where. */
import { afterAll, beforeAll, expect, it } from "vitest";
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
  deleteConnection: { none: "goes with the connection; the log has it" },
  reseal: "connection.reseal",
  createLink: "link.add",
  deleteLink: "link.remove",
  rotateSigningKey: "signing_key.rotate",
  createInvitation: { none: "nothing is stored; the connection that it makes has its line" },
  putWorkspace: { none: "belongs to the deployment, not to a connection; the log has it" },
  deleteWorkspace: { none: "belongs to the deployment, not to a connection; the log has it" },
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

/** Acts that this deployment cannot easily be made to do; their lines are tested beside their rooms. */
const ELSEWHERE = [
  "job.attach",
  "link.add",
  "link.remove",
  "signing_key.rotate",
  "chat-code.add",
  "chat-link.revoke",
  "files.rsync",
  "job.watch",
  "transfer.cancel",
  "connection.reseal",
  "files.chown",
];

const FROM = "203.0.113.9";
let firewatch: Deployment;
beforeAll(async () => {
  firewatch = await deploy();
});
afterAll(() => firewatch?.stop());

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
  const admin = { token: adminToken };
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
  const key = await act("POST", "keys", { name: "k" }, admin);
  await act("DELETE", `keys/${key.id}`, undefined, admin);
  await act("PUT", "identities/i", { issuer: "https://ci.example.org", audience: "a", claims: { sub: "x" } }, admin);
  await act("DELETE", "identities/i", undefined, admin);
  const { v1Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
  const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
  await act("PUT", "", { api: "v1", url: v1Url, auth, requestsPerMinute: 6000 }, admin);
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

  const { items } = await act("GET", "audit?limit=200", undefined, admin);
  const lines = items as { act: string; actor: string; origin?: string; subject: string }[];
  const ours = lines.filter(({ origin }) => origin === FROM);
  const acts = new Set(ours.map(({ act: name }) => name));
  const wanted = new Set(Object.values(ACTS).filter((name) => typeof name === "string"));
  expect([...wanted].filter((name) => !acts.has(name) && !ELSEWHERE.includes(name))).toEqual([]);

  const actorOf = (name: string) => new Set(ours.filter((line) => line.act === name).map(({ actor }) => actor));
  expect(actorOf("key.add")).toEqual(new Set(["admin"]));
  expect(actorOf("job.submit")).toEqual(new Set([expect.stringMatching(/^key:key_/), "hook:h"]));
  expect(actorOf("object.put")).toEqual(new Set([expect.stringMatching(/^key:key_/)]));
  expect(ours.find((line) => line.act === "object.put")?.subject).toBe("objects/o");
  expect(ours.find((line) => line.act === "files.mkdir")?.subject).toBe(`systems/cluster${folder}`);
  expect(JSON.stringify(lines)).not.toContain(connection.apiKey);
});
