/** Pieces of the staging area as files in one folder, read and written in large chunks without passing through memory whole. */
import { mkdir, open, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Segments } from "./segments.ts";

export async function diskSegments(folder: string): Promise<Segments> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return {
    create: async (body) => {
      const id = crypto.randomUUID();
      const path = join(folder, id);
      try {
        return { id, size: await writeFile(path, body) };
      } catch (error) {
        await rm(path, { force: true });
        throw error;
      }
    },
    read: (id, start, end) => readFile(join(folder, id), start, end),
    remove: (id) => rm(join(folder, id), { force: true }),
    keepOnly: async (ids) => {
      for (const name of await readdir(folder)) if (!ids.has(name)) await rm(join(folder, name), { force: true });
    },
  };
}

/** Returns the number of bytes written. */
async function writeFile(path: string, body: ReadableStream<Uint8Array>): Promise<number> {
  const file = await open(path, "w", 0o600);
  let size = 0;
  try {
    for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
      let written = 0;
      while (written < chunk.byteLength) written += (await file.write(chunk, written)).bytesWritten;
      size += chunk.byteLength;
    }
  } finally {
    await file.close();
  }
  return size;
}

const READ_BYTES = 1024 * 1024;

/** Bytes `[start, end)` of a file, opened at the first read and closed at the end, on failure and on cancellation. */
export function readFile(path: string, start: number, end: number): ReadableStream<Uint8Array> {
  // A promise: whoever reads may cancel while the file is being opened.
  let opening: ReturnType<typeof open> | undefined;
  let position = start;
  const close = async () => {
    const opened = opening;
    opening = undefined;
    await (await opened?.catch(() => undefined))?.close();
  };
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const wanted = Math.min(READ_BYTES, end - position);
        if (wanted <= 0) {
          await close();
          return controller.close();
        }
        opening ??= open(path, "r");
        const file = await opening;
        const { bytesRead, buffer } = await file.read(new Uint8Array(wanted), 0, wanted, position);
        if (bytesRead === 0) {
          await close();
          throw new Error("the file became shorter while it was read");
        }
        position += bytesRead;
        controller.enqueue(buffer.subarray(0, bytesRead));
        if (position >= end) {
          await close();
          controller.close();
        }
      },
      cancel: close,
    },
    { highWaterMark: 0 },
  );
}
