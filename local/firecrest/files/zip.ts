/** Reading zip archives: the central directory at the end, then each member (stored or deflated). */
import { bytesOf } from "./cut.ts";

export interface ZipMember {
  name: string;
  isDirectory: boolean;
  open(): ReadableStream<Uint8Array>;
}

/** Not a zip file, or a kind this reader does not know. */
export class ZipError extends Error {
  override readonly name = "ZipError";
}

const END_RECORD = 0x06054b50;
const CENTRAL_RECORD = 0x02014b50;
const MAX_COMMENT_BYTES = 65_557;

/** `read` gives bytes `[start, end)` of the archive. */
export async function readZip(
  size: number,
  read: (start: number, end: number) => ReadableStream<Uint8Array>,
): Promise<ZipMember[]> {
  const tailStart = Math.max(0, size - MAX_COMMENT_BYTES);
  const tail = view(await bytesOf(read(tailStart, size)));
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== END_RECORD) end--;
  if (end < 0) throw new ZipError("End-of-central-directory signature not found");
  const count = tail.getUint16(end + 10, true);
  const directoryBytes = tail.getUint32(end + 12, true);
  const directoryStart = tail.getUint32(end + 16, true);
  if (directoryStart === 0xffffffff || directoryStart + directoryBytes > size)
    throw new ZipError("unsupported zip archive");

  const bytes = await bytesOf(read(directoryStart, directoryStart + directoryBytes));
  const directory = view(bytes);
  const members: ZipMember[] = [];
  let at = 0;
  for (let index = 0; index < count; index++) {
    if (at + 46 > directory.byteLength || directory.getUint32(at, true) !== CENTRAL_RECORD)
      throw new ZipError("bad central directory");
    const method = directory.getUint16(at + 10, true);
    const packedBytes = directory.getUint32(at + 20, true);
    const nameBytes = directory.getUint16(at + 28, true);
    const header = directory.getUint32(at + 42, true);
    const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameBytes));
    const start = await contentStart(header, read);
    members.push({
      name: name.replace(/\/+$/, ""),
      isDirectory: name.endsWith("/"),
      open: () => inflated(method, read(start, start + packedBytes)),
    });
    at += 46 + nameBytes + directory.getUint16(at + 30, true) + directory.getUint16(at + 32, true);
  }
  return members;
}

async function contentStart(
  header: number,
  read: (start: number, end: number) => ReadableStream<Uint8Array>,
): Promise<number> {
  const local = view(await bytesOf(read(header, header + 30)));
  if (local.byteLength < 30) throw new ZipError("bad local header");
  return header + 30 + local.getUint16(26, true) + local.getUint16(28, true);
}

function inflated(method: number, packed: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
  if (method === 0) return packed;
  if (method !== 8) throw new ZipError(`unsupported compression method ${method}`);
  return packed.pipeThrough(
    new DecompressionStream("deflate-raw") as unknown as TransformStream<Uint8Array, Uint8Array>,
  );
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
