/** How the staging area's answers look on the wire: ranges, conditions, XML. */
import type { StorageError } from "./form-post.ts";
import type { StagedObject } from "./staging.ts";

/** Answers a GET of an object: conditions first, then the range. `cutAfter` breaks the body off after that many bytes. */
export function objectResponse(
  object: StagedObject,
  headers: Headers,
  read: (start: number, end: number) => ReadableStream<Uint8Array>,
  cutAfter: number | undefined,
): Response {
  const etag = `"${object.etag}"`;
  const ifMatch = headers.get("if-match");
  if (ifMatch !== null && !listsEtag(ifMatch, etag))
    return xmlResponse(412, "Error", { Code: "PreconditionFailed", Message: "" });
  const ifNoneMatch = headers.get("if-none-match");
  if (ifNoneMatch !== null && listsEtag(ifNoneMatch, etag))
    return new Response(null, { status: 304, headers: { etag } });

  const range = parseRange(headers.get("range"), object.size);
  if (range === "unsatisfiable") return xmlResponse(416, "Error", { Code: "InvalidRange", Message: "" });
  const { start, end } = range ?? { start: 0, end: object.size };
  const answer = new Headers({
    etag,
    "accept-ranges": "bytes",
    "content-type": "binary/octet-stream",
    "content-length": String(end - start),
    "last-modified": new Date(object.createdAt).toUTCString(),
    "x-amz-expiration": `expiry-date="${new Date(object.expiresAt).toUTCString()}", rule-id="ExpiredObjects"`,
  });
  if (range !== undefined) answer.set("content-range", `bytes ${start}-${end - 1}/${object.size}`);
  const body = read(start, end);
  return new Response(cutAfter === undefined ? body : breakingOff(body, cutAfter), {
    status: range === undefined ? 200 : 206,
    headers: answer,
  });
}

/** `bytes=a-b`, `bytes=a-`, `bytes=-n`; `undefined` = no range (or one that S3 ignores: several, malformed). */
function parseRange(header: string | null, size: number): { start: number; end: number } | "unsatisfiable" | undefined {
  const parts = /^bytes=(\d*)-(\d*)$/.exec(header?.trim() ?? "");
  const [first, last] = [parts?.[1] ?? "", parts?.[2] ?? ""];
  if (first === "" && last === "") return undefined;
  if (first === "") {
    const suffix = Math.min(Number(last), size);
    return suffix === 0 ? "unsatisfiable" : { start: size - suffix, end: size };
  }
  const start = Number(first);
  const end = last === "" ? size : Math.min(Number(last) + 1, size);
  if (last !== "" && Number(last) < start) return undefined;
  return start >= size ? "unsatisfiable" : { start, end };
}

function listsEtag(header: string, etag: string): boolean {
  return header.split(",").some((item) => [etag, "*", etag.slice(1, -1)].includes(item.trim().replace(/^W\//, "")));
}

function breakingOff(body: ReadableStream<Uint8Array>, bytes: number): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  let left = bytes;
  return new ReadableStream(
    {
      async pull(controller) {
        if (left === 0) {
          await reader.cancel();
          return controller.error(new Error("the connection was cut on purpose"));
        }
        const { done, value } = await reader.read();
        if (done) return controller.close();
        controller.enqueue(value.subarray(0, left));
        left -= Math.min(left, value.byteLength);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** Part numbers with their ETags (unquoted), in the order of the document. */
export function readCompletion(xml: string): { partNumber: string; etag: string }[] {
  return [...xml.matchAll(/<Part>([\s\S]*?)<\/Part>/g)].map(([, part = ""]) => ({
    partNumber: /<PartNumber>\s*(\d+)\s*<\/PartNumber>/.exec(part)?.[1] ?? "",
    etag: (/<ETag>\s*([\s\S]*?)\s*<\/ETag>/.exec(part)?.[1] ?? "").replace(/&quot;|&#34;|"/g, ""),
  }));
}

/** An S3 error document; no body for HEAD. */
export function errorResponse(error: StorageError, bucket: string, method: string): Response {
  const response = xmlResponse(error.status, "Error", { Code: error.code, Message: error.message, BucketName: bucket });
  return method === "HEAD" ? new Response(null, { status: error.status, headers: response.headers }) : response;
}

export function xmlResponse(status: number, root: string, fields: Record<string, string>): Response {
  const inner = Object.entries(fields).map(([name, text]) => `<${name}>${escapeXml(text)}</${name}>`);
  return new Response(`<?xml version="1.0" encoding="UTF-8"?><${root}>${inner.join("")}</${root}>`, {
    status,
    headers: { "content-type": "application/xml", "accept-ranges": "bytes" },
  });
}

function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}
