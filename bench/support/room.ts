/** The Tracker's rooms inside a Durable Object of their own, every operation that Cloudflare charges for counted. */
import { World, type WorldOptions } from "../../test/tracker/world.ts";
import { watch } from "../../workers/poller/watching.ts";

/** Operations as Cloudflare counts them. Index entries are rows written of their own. */
export interface Counts {
  rowsRead: number;
  rowsWritten: number;
  /** Rows of tables that were written, however many indexes name them: part of `rowsWritten`. */
  tableRows: number;
  /** Each time is a row written too; not part of `rowsWritten`. */
  alarmsSet: number;
  /** Messages taken from each queue. */
  messages: Record<"commands" | "transfers" | "callbacks", number>;
  kvReads: number;
  kvWrites: number;
  r2ClassA: number;
  r2ClassB: number;
  /** Requests that reached the site. */
  siteRequests: number;
}

export interface RoomEnv {
  ROOM: DurableObjectNamespace;
  TOKENS: KVNamespace;
  INDEX: KVNamespace;
  OBJECTS: R2Bucket;
}

/** One request to the site, in the world's time. */
export interface SiteRequest {
  at: number;
  method: string;
  url: URL;
}

export interface Room {
  world: World;
  /** In the order in which they came. */
  requests: SiteRequest[];
  /** Since the room was opened. */
  counts(): Counts;
  /** A write of the scenario's own, which is not counted. */
  aside(query: string, ...bindings: SqlStorageValue[]): void;
}

const CLASS_A = new Set(["put", "list", "createMultipartUpload", "uploadPart", "complete"]);
const CLASS_B = new Set(["get", "head"]);

export async function openRoom(state: DurableObjectState, env: RoomEnv, options: WorldOptions = {}): Promise<Room> {
  const sql = countedSql(state.storage.sql);
  const calls = new Map<string, number>();
  const storage = { sql: sql.sql, transactionSync: <T>(work: () => T) => state.storage.transactionSync(work) };
  const world = await World.create(
    { id: state.id, storage } as unknown as DurableObjectState,
    {
      TOKENS: counted(env.TOKENS, "kv", calls),
      INDEX: counted(env.INDEX, "kv", calls),
      OBJECTS: counted(env.OBJECTS, "r2", calls),
    },
    options,
  );

  const requests: SiteRequest[] = [];
  const { fetch } = world.firecrest;
  world.firecrest.fetch = (request) => {
    requests.push({ at: world.house.now(), method: request.method, url: new URL(request.url) });
    return fetch(request);
  };
  const messages = { commands: 0, transfers: 0, callbacks: 0 };
  world.fate = (queue) => {
    messages[queue]++;
    return "deliver";
  };
  const sum = (kind: string, methods: ReadonlySet<string>) =>
    [...calls].reduce(
      (total, [name, n]) => (methods.has(name.slice(kind.length + 1)) && name.startsWith(kind) ? total + n : total),
      0,
    );
  const changes = () => state.storage.sql.exec<{ n: number }>("SELECT total_changes() AS n").one().n;
  let aside = 0;
  return {
    world,
    requests,
    aside(query, ...bindings) {
      const before = changes();
      state.storage.sql.exec(query, ...bindings);
      aside += changes() - before;
    },
    counts: () => ({
      ...sql.counts(),
      tableRows: changes() - aside,
      alarmsSet: world.alarmsSet,
      messages: { ...messages },
      kvReads: sum("kv", new Set(["get", "getWithMetadata", "list"])),
      kvWrites: sum("kv", new Set(["put", "delete"])),
      r2ClassA: sum("r2", CLASS_A),
      r2ClassB: sum("r2", CLASS_B),
      siteRequests: requests.length,
    }),
  };
}

/** What was counted between two moments. */
export function difference(after: Counts, before: Counts): Counts {
  const messages = { commands: 0, transfers: 0, callbacks: 0 };
  for (const queue of ["commands", "transfers", "callbacks"] as const)
    messages[queue] = after.messages[queue] - before.messages[queue];
  const minus = (name: Exclude<keyof Counts, "messages">) => after[name] - before[name];
  return {
    messages,
    rowsRead: minus("rowsRead"),
    rowsWritten: minus("rowsWritten"),
    tableRows: minus("tableRows"),
    alarmsSet: minus("alarmsSet"),
    kvReads: minus("kvReads"),
    kvWrites: minus("kvWrites"),
    r2ClassA: minus("r2ClassA"),
    r2ClassB: minus("r2ClassB"),
    siteRequests: minus("siteRequests"),
  };
}

/** A cursor knows its rows only when it has been read: each is asked when the next statement comes. */
function countedSql(sql: SqlStorage): { sql: SqlStorage; counts(): { rowsRead: number; rowsWritten: number } } {
  let rowsRead = 0;
  let rowsWritten = 0;
  let last: SqlStorageCursor<Record<string, SqlStorageValue>> | undefined;
  const settle = () => {
    rowsRead += last?.rowsRead ?? 0;
    rowsWritten += last?.rowsWritten ?? 0;
    last = undefined;
  };
  const exec = (query: string, ...bindings: SqlStorageValue[]) => {
    settle();
    last = sql.exec(query, ...bindings);
    return last;
  };
  return {
    sql: { exec } as unknown as SqlStorage,
    counts: () => {
      settle();
      return { rowsRead, rowsWritten };
    },
  };
}

/** The binding itself, and the multipart uploads that it hands out. */
function counted<T extends object>(binding: T, kind: "kv" | "r2", calls: Map<string, number>): T {
  return new Proxy(binding, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        const call = `${kind} ${String(name)}`;
        calls.set(call, (calls.get(call) ?? 0) + 1);
        const result: unknown = Reflect.apply(value, target, args);
        if (name === "createMultipartUpload")
          return (result as Promise<object>).then((upload) => counted(upload, kind, calls));
        return name === "resumeMultipartUpload" ? counted(result as object, kind, calls) : result;
      };
    },
  });
}

/** Hardly any job of a scenario is to end within it. */
const ENDLESS_SECONDS = 900_000;

/** Other people's jobs, followed from their submission on; `seconds` is how long each runs. Answers their scheduler ids. */
export async function watchForeign(
  { world }: Room,
  count: number,
  seconds: () => number = () => ENDLESS_SECONDS,
): Promise<string[]> {
  const seat = await world.firecrest.host.as(world.firecrest.user);
  const ids: string[] = [];
  for (let n = 0; n < count; n++) {
    const { jobId } = await seat.jobs.submit({
      script: `#!/bin/bash -l\n#FAKE sleep ${seconds()}\n`,
      workingDirectory: `/scratch/${world.firecrest.user}`,
    });
    const request = { system: "cluster", schedulerId: jobId };
    const answer = await watch(world.desk, { name: "admin" }, request, { origin: {} });
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    ids.push(jobId);
  }
  return ids;
}
