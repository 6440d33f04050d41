/** FirecREST v1: the whole file in one form, its fields first and the file last, with a length that is known before it leaves. */
import { toHex } from "../../shared/bytes.ts";
import { systemRandom } from "../../shared/clock.ts";
import type { UpWork } from "../../shared/contract/up.ts";
import type { ByteOutcome } from "../../shared/contract/work.ts";
import { asFailure, CopyFailure } from "./failure.ts";
import { partTimeoutMs } from "./parts.ts";
import { totalOf, wholeNumber } from "./source.ts";
import type { UpSession } from "./up.ts";
import { openSource } from "./up-source.ts";

type FormWork = Extract<UpWork, { kind: "send_form" }>;

export async function sendForm(work: FormWork, session: UpSession): Promise<ByteOutcome> {
  if (work.arrivedUrl !== undefined && (await hasArrived(work, work.arrivedUrl, session))) return { kind: "sent" };
  const { bucket, egress, stop } = session;
  const { before, after, boundary } = around(work);
  const body = await openSource(bucket, work.source);
  const exact = new FixedLengthStream(before.byteLength + work.source.bytes + after.byteLength);
  const request = egress.stream(
    work.form.url,
    {
      method: "POST",
      headers: { "content-type": `multipart/form-data; boundary=${boundary}` },
      body: exact.readable,
      signal: stop.signal,
    },
    // The answer comes when all of it is there.
    { purpose: "staged", storageOrigins: work.storageOrigins, deadlineMs: partTimeoutMs(work.source.bytes, 1) },
  );
  const [answer] = await Promise.all([request, fill(exact.writable, before, body, after)]);
  await judge(answer);
  return { kind: "sent" };
}

async function fill(
  writable: WritableStream<Uint8Array>,
  before: Uint8Array,
  body: ReadableStream<Uint8Array>,
  after: Uint8Array,
): Promise<void> {
  await write(writable, before);
  await body.pipeTo(writable, { preventClose: true });
  await write(writable, after);
  await writable.close();
}

async function write(writable: WritableStream<Uint8Array>, piece: Uint8Array): Promise<void> {
  const writer = writable.getWriter();
  await writer.write(piece);
  writer.releaseLock();
}

/** What stands before and after the file. No field may be added to those that were signed. */
function around({ form, fileName }: FormWork): { before: Uint8Array; after: Uint8Array; boundary: string } {
  const boundary = `firewatch-${toHex(systemRandom(24))}`;
  const fields = Object.entries(form.fields).map(
    ([name, value]) => `--${boundary}\r\ncontent-disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  );
  const file = [
    `--${boundary}`,
    `content-disposition: form-data; name="file"; filename="${fileName}"`,
    "content-type: application/octet-stream",
    "\r\n",
  ].join("\r\n");
  const text = new TextEncoder();
  return { before: text.encode(fields.join("") + file), after: text.encode(`\r\n--${boundary}--\r\n`), boundary };
}

/** Whether an earlier try has brought all of it there. What cannot be asked is taken for no. */
async function hasArrived(work: FormWork, url: string, { egress, stop }: UpSession): Promise<boolean> {
  try {
    const answer = await egress.stream(
      url,
      { headers: { range: "bytes=0-0" }, signal: stop.signal },
      { purpose: "staged", storageOrigins: work.storageOrigins },
    );
    await answer.body?.cancel().catch(() => {});
    return totalOf(answer) === work.source.bytes;
  } catch (error) {
    stop.signal.throwIfAborted();
    if (asFailure(error).why !== "later") throw error;
    return false;
  }
}

/** What the store says of a form or a part. Swift sends browsers on with a 303. Its text may quote links: never passed on. */
export async function judge(answer: Response): Promise<void> {
  const { status, headers } = answer;
  await answer.body?.cancel().catch(() => {});
  if ((status >= 200 && status < 300) || status === 303) return;
  if (status === 401 || status === 403 || status === 404 || status === 410)
    throw new CopyFailure("link_dead", `the store no longer takes what the site has signed (${status})`);
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    const retryAfterSeconds = wholeNumber(headers.get("retry-after"));
    throw new CopyFailure("later", `the store is not able to answer now (${status})`, { retryAfterSeconds });
  }
  throw new CopyFailure("never", `the store refuses the file (${status})`);
}
