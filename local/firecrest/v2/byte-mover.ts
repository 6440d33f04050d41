/**
 * The work of the two transfer jobs: a file goes into the object store part by part, or comes out of it. The same code
 * runs inside a job's process (`mover.ts`) and, on hosts without a shell, inside the site.
 */

/** Where a job's words, bytes and requests go. */
export interface Surroundings {
  /** Size of a readable regular file; undefined for anything else. */
  sizeOf(path: string): Promise<number | undefined>;
  read(path: string, start: number, end: number): Promise<BodyInit>;
  /** Creates or replaces. */
  write(path: string, body: ReadableStream<Uint8Array>): Promise<void>;
  send(request: Request): Promise<Response>;
  sleep(ms: number): Promise<void>;
  print(line: string): void;
  warn(line: string): void;
}

export interface Egress {
  kind: "egress";
  path: string;
  partUrls: string[];
  partBytes: number;
  completeUrl: string;
}

export interface Ingress {
  kind: "ingress";
  path: string;
  url: string;
  pollMs: number;
  /** After so many looks the job gives up, without a word of success and without a failure. */
  looks: number;
  phraseWithoutFile: boolean;
}

/** Exit codes as FirecREST's own job scripts have them. */
const NO_SOURCE = 34;
const COMPLETION_REJECTED = 70;
const TARGET_IS_DIRECTORY = 3;

export async function moveBytes(work: Egress | Ingress, around: Surroundings): Promise<number> {
  return work.kind === "egress" ? await send(work, around) : await fetchInto(work, around);
}

async function send(work: Egress, around: Surroundings): Promise<number> {
  around.print(`Uploading file:${work.path} into ${work.partUrls.length} chunks`);
  const size = await around.sizeOf(work.path);
  if (size === undefined) {
    around.warn("file_not_found");
    return NO_SOURCE;
  }
  const parts: string[] = [];
  for (const [index, url] of work.partUrls.entries()) {
    const [start, end] = [index * work.partBytes, Math.min((index + 1) * work.partBytes, size)];
    const headers = { "content-length": String(Math.max(0, end - start)) };
    const request = new Request(url, {
      method: "PUT",
      headers,
      body: await around.read(work.path, start, end),
      ...HALF_DUPLEX,
    });
    const response = await around.send(request);
    if (!response.ok) around.warn(`upload_failed_part_${index + 1}`);
    const etag = response.headers.get("etag") ?? "";
    parts.push(`<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
  }
  const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`;
  const headers = { "content-type": "application/x-www-form-urlencoded", "content-length": String(body.length) };
  const completed = await around.send(new Request(work.completeUrl, { method: "POST", headers, body }));
  if (!completed.ok) {
    around.warn(`upload_completion_rejected ${completed.status}`);
    return COMPLETION_REJECTED;
  }
  around.print("Multipart file upload successfully completed");
  return 0;
}

/** Node wants to be told that a streamed body is sent before the answer is read. */
const HALF_DUPLEX = { duplex: "half" } as RequestInit;

async function fetchInto(work: Ingress, around: Surroundings): Promise<number> {
  around.print("Waiting till file to tranfer is available");
  for (let look = 0; look < work.looks; look++) {
    const response = await around.send(new Request(work.url));
    if (response.ok && response.body !== null) return await store(work, around, response.body, response.headers);
    await response.body?.cancel();
    // Nobody lets time go by for a job that looks only once.
    if (look + 1 < work.looks) await around.sleep(work.pollMs);
  }
  return 0;
}

async function store(
  work: Ingress,
  around: Surroundings,
  body: ReadableStream<Uint8Array>,
  headers: Headers,
): Promise<number> {
  if (work.phraseWithoutFile) await body.cancel();
  else {
    try {
      await around.write(work.path, body);
    } catch (error) {
      // The script goes on as if nothing had happened, unless the target is a directory.
      around.warn(error instanceof Error ? error.message : String(error));
      if (/Is a directory|EISDIR/.test(String(error))) return TARGET_IS_DIRECTORY;
    }
  }
  const megabytes = Math.floor(Number(headers.get("content-length") ?? 0) / 1_048_576);
  around.print(`File was successfully downloaded (size: ${megabytes}MB)`);
  return 0;
}
