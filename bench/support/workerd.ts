/** One Worker in a workerd of its own, without Miniflare around it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { bundle } from "../../local/bundle.ts";

/** The same binary that Miniflare runs; its package has no types. */
const workerdPath: string = createRequire(import.meta.url)("workerd").default;

export interface BareWorker {
  pid: number;
  url: string;
  close(): Promise<void>;
}

const CONFIG = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = (modules = [(name = "worker.mjs", esModule = embed "worker.mjs")], compatibilityDate = "2026-10-20")),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
`;

export async function openWorker(entry: string): Promise<BareWorker> {
  const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
  await bundle(entry, join(folder, "worker.mjs"));
  await writeFile(join(folder, "config.capnp"), CONFIG);
  const child = spawn(workerdPath, ["serve", "--control-fd=3", join(folder, "config.capnp")], {
    stdio: ["ignore", "inherit", "inherit", "pipe"],
  });
  const [heard] = await once(child.stdio[3] as Readable, "data");
  const { port } = JSON.parse(String(heard)) as { port: number };
  if (child.pid === undefined) throw new Error("workerd did not start");
  return {
    pid: child.pid,
    url: `http://127.0.0.1:${port}`,
    async close() {
      const ended = once(child, "close");
      child.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
