/** The program of transfer jobs on hosts with a shell: `node mover.ts` with the work as JSON on stdin. */
import { createWriteStream } from "node:fs";
import { open, stat } from "node:fs/promises";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { type Egress, type Ingress, moveBytes, type Surroundings } from "./byte-mover.ts";

const around: Surroundings = {
  async sizeOf(path) {
    const found = await stat(path).catch(() => undefined);
    return found?.isFile() ? found.size : undefined;
  },
  async read(path, start, end) {
    const file = await open(path);
    if (start >= end) {
      await file.close();
      return new Uint8Array();
    }
    return Readable.toWeb(file.createReadStream({ start, end: end - 1 })) as unknown as ReadableStream<Uint8Array>;
  },
  write: (path, body) => pipeline(Readable.fromWeb(body as never), createWriteStream(path)),
  send: (request) => fetch(request),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
  print: (line) => void process.stdout.write(`${line}\n`),
  warn: (line) => void process.stderr.write(`${line}\n`),
};

const chunks: Buffer[] = [];
for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
process.exitCode = await moveBytes(JSON.parse(Buffer.concat(chunks).toString()) as Egress | Ingress, around);
