/** Reads the progress frames of a connection's event stream, as a page or a terminal would. */
import type { Progress } from "../shared/contract/transfer.ts";

/** Calls `show` with each frame until the answer is called. Whatever goes wrong, there is only less to see. */
export function followProgress(url: string, apiKey: string, show: (progress: Progress) => void): () => void {
  const over = new AbortController();
  const headers = { authorization: `Bearer ${apiKey}`, accept: "text/event-stream" };
  const reading = async () => {
    const { body } = await fetch(`${url}/events`, { headers, signal: over.signal });
    let text = "";
    const decoder = new TextDecoder();
    for await (const piece of body ?? []) {
      const frames = (text + decoder.decode(piece, { stream: true })).split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const data = /^event: progress\ndata: (.*)$/.exec(frame)?.[1];
        if (data !== undefined) show(JSON.parse(data) as Progress);
      }
    }
  };
  reading().catch(() => {});
  return () => over.abort();
}
