/** The copy of the transfer Worker, unchanged, with an HTTP sink in place of R2; and beside it what it is measured against. */
import { partBytesFor } from "../../shared/contract/cut.ts";
import type { CopyWork } from "../../shared/contract/work.ts";
import { copy } from "../../workers/transfer/copy.ts";
import { systemClock } from "../../workers/transfer/patience.ts";
import { Turns } from "../../workers/transfer/turns.ts";

/** Parts go out as PUT requests. Only what `copy` calls is there. */
function sinkBucket(sink: string): R2Bucket {
  const upload = {
    uploadId: "bench",
    async uploadPart(partNumber: number, body: ReadableStream) {
      const response = await fetch(sink, { method: "PUT", body });
      await response.arrayBuffer();
      return { partNumber, etag: response.headers.get("etag") ?? "" };
    },
    async abort() {},
  };
  return { createMultipartUpload: async () => upload, resumeMultipartUpload: () => upload } as unknown as R2Bucket;
}

interface Order {
  kind: "copy" | "pass";
  source: string;
  sink: string;
  work: CopyWork;
}

async function pass({ source, sink }: Order): Promise<unknown> {
  const { body } = await fetch(source);
  const response = await fetch(sink, { method: "PUT", body });
  await response.arrayBuffer();
  return { outcome: { kind: response.ok ? "copied" : "failed" } };
}

export default {
  async fetch(request) {
    const order: Order = await request.json();
    if (order.kind === "pass") return Response.json(await pass(order));
    const report = {
      started: async (upload: NonNullable<CopyWork["upload"]>) => ({ go: true, upload }),
      partsDone: async () => ({ go: true }),
    };
    const deps = {
      bucket: sinkBucket(order.sink),
      fetch: (url: string, init: RequestInit) => fetch(url, init),
      partBytesFor,
      clock: systemClock,
      turns: new Turns(),
      report,
    };
    return Response.json(await copy(order.work, deps));
  },
} satisfies ExportedHandler;
