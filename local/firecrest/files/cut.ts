/** What `head` and `tail` print of a file, without reading more of it than needed. */
import type { Cut } from "../host.ts";
import { ToolError } from "../host.ts";

const NEWLINE = 10;
const DEFAULT_LINES = 10;
const MULTIPLIERS: Record<string, number> = { "": 1, b: 512 };
for (const [index, letter] of [..."KMGT"].entries()) {
  MULTIPLIERS[letter] = 1024 ** (index + 1);
  MULTIPLIERS[`${letter}iB`] = 1024 ** (index + 1);
  MULTIPLIERS[`${letter}B`] = 1000 ** (index + 1);
}
MULTIPLIERS.k = 1024;
MULTIPLIERS.kB = 1000;

interface Amount {
  unit: "bytes" | "lines";
  count: number;
}

/** Reads `lines`/`bytes` as the tool does. Throws with the tool's text. */
function parseAmount(tool: "head" | "tail", cut: Cut): Amount {
  const unit = cut.bytes === undefined ? "lines" : "bytes";
  const text = cut.bytes ?? cut.lines ?? String(DEFAULT_LINES);
  const [, digits, suffix = ""] = /^[+-]?(\d+)([A-Za-z]*)$/.exec(text) ?? [];
  const multiplier = MULTIPLIERS[suffix];
  if (digits === undefined || multiplier === undefined) {
    throw new ToolError(tool, 1, `${tool}: invalid number of ${unit}: '${text}'`);
  }
  return { unit, count: Number(digits) * multiplier };
}

/** A file to cut from: `read` gives bytes `[start, end)`. */
export interface Source {
  size: number;
  read(start: number, end: number): ReadableStream<Uint8Array>;
}

export async function headOf(source: Source, cut: Cut): Promise<Uint8Array> {
  const { unit, count } = parseAmount("head", cut);
  const skipLast = cut.skip === true;
  if (unit === "bytes") {
    return await bytesOf(source.read(0, skipLast ? Math.max(0, source.size - count) : Math.min(count, source.size)));
  }
  if (skipLast) {
    const all = await bytesOf(source.read(0, source.size));
    return all.subarray(0, startOfLastLines(all, count));
  }
  return await firstLines(source, count);
}

export async function tailOf(source: Source, cut: Cut): Promise<Uint8Array> {
  const { unit, count } = parseAmount("tail", cut);
  const fromStart = cut.skip === true;
  if (unit === "bytes") {
    const start = fromStart ? Math.min(Math.max(0, count - 1), source.size) : Math.max(0, source.size - count);
    return await bytesOf(source.read(start, source.size));
  }
  if (fromStart) {
    const all = await bytesOf(source.read(0, source.size));
    return all.subarray(endOfFirstLines(all, Math.max(0, count - 1)));
  }
  return await lastLines(source, count);
}

async function firstLines(source: Source, count: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let left = count;
  if (left > 0) {
    for await (const chunk of source.read(0, source.size) as unknown as AsyncIterable<Uint8Array>) {
      const end = endOfFirstLines(chunk, left);
      chunks.push(chunk.subarray(0, end));
      left -= countLines(chunk.subarray(0, end));
      if (left === 0) break;
    }
  }
  return joinBytes(chunks);
}

/** Reads backwards in growing steps until enough lines are in. */
async function lastLines(source: Source, count: number): Promise<Uint8Array> {
  for (let window = 64 * 1024; ; window *= 8) {
    const start = Math.max(0, source.size - window);
    const bytes = await bytesOf(source.read(start, source.size));
    const at = startOfLastLines(bytes, count);
    if (start === 0 || at > 0) return bytes.subarray(at);
  }
}

function endOfFirstLines(bytes: Uint8Array, count: number): number {
  let at = 0;
  for (let line = 0; line < count && at < bytes.byteLength; line++) {
    const end = bytes.indexOf(NEWLINE, at);
    at = end < 0 ? bytes.byteLength : end + 1;
  }
  return at;
}

function startOfLastLines(bytes: Uint8Array, count: number): number {
  if (count === 0) return bytes.byteLength;
  let at = bytes.byteLength;
  // The newline that ends the last line belongs to it.
  if (bytes[at - 1] === NEWLINE) at--;
  for (let line = 0; line < count; line++) {
    const before = at === 0 ? -1 : bytes.lastIndexOf(NEWLINE, at - 1);
    if (before < 0) return 0;
    at = before;
  }
  return at + 1;
}

function countLines(bytes: Uint8Array): number {
  let count = 0;
  for (let at = bytes.indexOf(NEWLINE); at >= 0; at = bytes.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

export async function bytesOf(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

export function joinBytes(chunks: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}
