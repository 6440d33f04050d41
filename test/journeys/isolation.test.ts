/** Two connections of one deployment, route by route as the API describes itself: neither sees nor touches anything of the other. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Answer, type Deployment, deploy } from "./deployment.ts";

interface Operation {
  method: string;
  path: string;
  id: string;
}

/** Routes that ask for no credential; what each of them gives away is tested where it is made. */
const PUBLIC = [
  "receiveHook",
  "ping",
  "getWebhookKeys",
  "getHealth",
  "getOpenApi",
  "getDocs",
  "getLanding",
  "listEventSchemas",
  "getEventSchema",
  "openLink",
  "receiveSlack",
  "receiveMattermost",
];

const SCRIPT = "#!/bin/bash -l\nsleep 60\n";
let firewatch: Deployment;
let operations: Operation[];
/** Of each connection: its key, and the ids of one of everything in it. */
const tenants: Record<string, { apiKey: string; ids: Record<string, string> }> = {};

async function furnish(name: string): Promise<void> {
  const admin = { token: firewatch.adminToken };
  const at = (path: string) => `/v1/connections/${name}/${path}`;
  const made = async (method: string, path: string, body?: unknown): Promise<Record<string, string>> => {
    const answer = await firewatch.call(method, at(path), { ...admin, ...(body === undefined ? {} : { body }) });
    if (answer.status >= 300) throw new Error(`${method} ${path}: ${answer.status} ${answer.text}`);
    return answer.body;
  };
  const scopes = ["jobs:*", "transfers:*", "files:*", "hooks:admin", "connection:admin"];
  const { apiKey = "", id: key = "" } = await made("POST", "keys", { name: `${name}-key`, scopes });
  const { id: job = "" } = await made("POST", "jobs", {
    system: "cluster",
    script: SCRIPT,
    name: `${name}-job`,
    outputs: [{ path: `${name}.txt`, key: `${name}-object` }],
  });
  const { id: subscription = "" } = await made("POST", "subscriptions", { url: "http://127.0.0.1:9/nobody" });
  const { id: delivery = "" } = await made("POST", `subscriptions/${subscription}/test`);
  await made("PUT", `hooks/${name}-hook`, {
    source: "bearer",
    secrets: [`${name}-secret`],
    target: { job: { system: "cluster", script: SCRIPT } },
  });
  const inbound = await firewatch.call("POST", `/hooks/${name}/${name}-hook`, { token: `${name}-secret`, body: {} });
  await made("PUT", `identities/${name}-ci`, {
    issuer: "https://ci.example.org",
    audience: "a",
    claims: { sub: name },
  });
  const object = await firewatch.call("PUT", at(`objects/${name}-stored`), { ...admin, raw: `${name}-bytes` });
  expect(object.status).toBe(201);
  const { id: upload = "" } = await made("POST", "uploads", { key: `${name}-upload` });
  const transfer = (await firewatch.call("GET", at("transfers"), admin)).body.items[0].id;
  const request = inbound.body.requestId;
  tenants[name] = { apiKey, ids: { job, key, subscription, delivery, upload, transfer, request } };
}

beforeAll(async () => {
  firewatch = await deploy();
  const { v1Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
  for (const name of ["tenant-a", "tenant-b"]) {
    const body = { api: "v1", url: v1Url, auth: { type: "client_credentials", tokenUrl, clientId, clientSecret } };
    await firewatch.call("PUT", `/v1/connections/${name}`, { token: firewatch.adminToken, body });
    await furnish(name);
  }
  const { body } = await firewatch.call("GET", "/openapi.json", { token: null });
  operations = Object.entries(body.paths as Record<string, Record<string, { operationId: string }>>).flatMap(
    ([path, methods]) =>
      Object.entries(methods).map(([method, { operationId: id }]) => ({ method: method.toUpperCase(), path, id })),
  );
});
afterAll(() => firewatch?.stop());

/** The address of an operation at one connection, with the ids of something in another one. */
function addressOf({ path }: Operation, connection: string, owner: string): string {
  const ids = tenants[owner]?.ids ?? {};
  const last = path.split("/").slice(0, -1).at(-1) ?? "";
  return path.replaceAll(/\{([^}]+)\}/g, (_, param: string) => {
    const before = /\/([a-z]+)\/\{[^}]*\}/.exec(path.slice(path.indexOf("{c}") + 3))?.[1] ?? last;
    if (param === "c") return connection;
    if (param === "id")
      return (
        ids[
          {
            jobs: "job",
            keys: "key",
            subscriptions: "subscription",
            deliveries: "delivery",
            transfers: "transfer",
            uploads: "upload",
          }[before] ?? ""
        ] ?? `${owner}-id`
      );
    if (param === "name") return before === "hooks" ? `${owner}-hook` : `${owner}-ci`;
    if (param === "request") return ids.request ?? "";
    if (param === "s") return "cluster";
    if (param === "part") return "1";
    if (param.startsWith("key")) return `${owner}-stored`;
    return `${owner}-${param}`;
  });
}

const guarded = () => operations.filter(({ id }) => !PUBLIC.includes(id));
const send = ({ method }: Operation, address: string, token: string | null): Promise<Answer> =>
  firewatch.call(method, address, {
    token,
    ...(method === "GET" ? {} : { raw: method === "DELETE" ? undefined : "{}" }),
  } as Parameters<Deployment["call"]>[2]);

/** What is there, and who did what: everything that does not go on by itself while the test runs. */
async function portrait(name: string): Promise<unknown> {
  const read = async (path: string) =>
    (await firewatch.call("GET", `/v1/connections/${name}/${path}`, { token: firewatch.adminToken })).body;
  const idsOf = async (path: string) =>
    (await read(path)).items.map((item: Record<string, unknown>) => item.id ?? item.name ?? item.key);
  const lists = ["jobs", "transfers", "subscriptions", "hooks", "objects", "keys", `hooks/${name}-hook/requests`];
  return {
    ids: await Promise.all(lists.map(idsOf)),
    hook: await read(`hooks/${name}-hook`),
    identity: await read(`identities/${name}-ci`),
    audit: (await read("audit?limit=200")).items,
  };
}

describe("another tenant's key", () => {
  it("gets 403 on every guarded route, in constant words, and changes nothing", async () => {
    const before = await portrait("tenant-b");
    const answers: [string, number, string | undefined][] = [];
    for (const operation of guarded()) {
      const { status, text } = await send(
        operation,
        addressOf(operation, "tenant-b", "tenant-b"),
        tenants["tenant-a"]?.apiKey ?? "",
      );
      answers.push([`${operation.method} ${operation.path}`, status, text]);
    }
    expect(answers.filter(([, status]) => status !== 403).map(([route, status]) => `${route} ${status}`)).toEqual([]);
    expect(new Set(answers.map(([, , text]) => text)).size).toBe(1);
    expect(answers.length).toBeGreaterThan(50);
    expect(await portrait("tenant-b")).toEqual(before);
  });

  it("gets the same where there is no such connection", async () => {
    for (const operation of guarded().filter(({ path }) => path.includes("{c}"))) {
      const there = await send(
        operation,
        addressOf(operation, "tenant-b", "tenant-b"),
        tenants["tenant-a"]?.apiKey ?? "",
      );
      const nowhere = await send(
        operation,
        addressOf(operation, "nowhere", "tenant-b"),
        tenants["tenant-a"]?.apiKey ?? "",
      );
      expect([operation.id, nowhere.status, nowhere.text]).toEqual([operation.id, there.status, there.text]);
    }
  });
});

describe("another tenant's ids", () => {
  it("under one's own connection find nothing, on every route", async () => {
    const before = await portrait("tenant-b");
    const leaks: string[] = [];
    for (const operation of guarded().filter(({ path }) => path.includes("{c}"))) {
      const answer = await send(
        operation,
        addressOf(operation, "tenant-a", "tenant-b"),
        tenants["tenant-a"]?.apiKey ?? "",
      );
      const { apiKey: _, ids } = tenants["tenant-b"] ?? { apiKey: "", ids: {} };
      // The ids are in the request; what belongs to them must not be in the answer.
      const theirs = ["tenant-b-job", "tenant-b-bytes", "tenant-b-secret", ids.job, ids.transfer].filter(
        (word) => word !== undefined && !addressOf(operation, "tenant-a", "tenant-b").includes(word),
      );
      if (theirs.some((word) => answer.text.includes(word ?? ""))) leaks.push(`${operation.id}: ${answer.text}`);
      if (answer.status >= 500) leaks.push(`${operation.id}: ${answer.status}`);
    }
    expect(leaks).toEqual([]);
    expect(await portrait("tenant-b")).toEqual(before);
  });
});

describe("what asks for no credential", () => {
  it("is a short list, and everything on it is there", () => {
    const ids = operations.map(({ id }) => id);
    expect(PUBLIC.filter((id) => !ids.includes(id))).toEqual([]);
  });
});

describe("no credential at all", () => {
  it("gets 401 on every guarded route", async () => {
    const others: string[] = [];
    for (const operation of guarded()) {
      const { status } = await send(operation, addressOf(operation, "tenant-b", "tenant-b"), null);
      if (status !== 401) others.push(`${operation.method} ${operation.path} ${status}`);
    }
    expect(others).toEqual([]);
  });
});

describe("whoever waits for a job of a connection that is removed", () => {
  it("is answered at once that nothing is there", async () => {
    const admin = { token: firewatch.adminToken };
    const { v1Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
    const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
    const short = "/v1/connections/short-lived";
    await firewatch.call("PUT", short, { ...admin, body: { api: "v1", url: v1Url, auth } });
    const body = { system: "cluster", script: SCRIPT };
    const job = `${short}/jobs/${(await firewatch.call("POST", `${short}/jobs`, { ...admin, body })).body.id}`;
    const begun = Date.now();
    const waiting = firewatch.call("GET", `${job}?wait=50`, admin);
    expect((await firewatch.call("GET", job, admin)).status).toBe(200);
    expect((await firewatch.call("DELETE", `${short}?force=true`, admin)).status).toBe(204);
    expect((await waiting).status).toBe(404);
    expect(Date.now() - begun).toBeLessThan(30_000);
  });
});
