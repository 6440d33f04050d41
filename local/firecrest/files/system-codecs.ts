/** Packing and hashing with what Node and the system's programs offer. */
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { Readable, Writable } from "node:stream";
import type { Compression } from "../host.ts";
import { type Codecs, webCodecs } from "./archives.ts";

/** Lower-case hex. */
export async function sha256(body: ReadableStream<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) hash.update(chunk);
  return hash.digest("hex");
}

/** gzip by the runtime, the others by the programs of the system. */
export const systemCodecs: Codecs = {
  compress: (compression, plain) =>
    isForeign(compression) ? piped(compression, ["-c"], plain) : webCodecs.compress(compression, plain),
  decompress: (compression, packed) =>
    isForeign(compression) ? piped(compression, ["-dc"], packed) : webCodecs.decompress(compression, packed),
};

function isForeign(compression: Compression): compression is "bzip2" | "xz" {
  return compression === "bzip2" || compression === "xz";
}

function piped(program: string, args: string[], input: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "ignore"] });
  const failed = new Promise<never>((_, reject) => {
    child.on("error", reject);
    child.on("exit", (code) => {
      if (code !== 0) reject(new Error(`${program} ended with ${code}`));
    });
  });
  failed.catch(() => child.stdout.destroy(new Error(`${program} failed`)));
  input.pipeTo(Writable.toWeb(child.stdin) as unknown as WritableStream<Uint8Array>).catch(() => child.kill());
  return Readable.toWeb(child.stdout) as unknown as ReadableStream<Uint8Array>;
}
