import { beforeEach, describe, expect, it } from "vitest";
import { sseOf } from "./event-stream.ts";
import { EXAMPLE } from "./examples.ts";
import { createWorld, problemIn, type World } from "./testing/world.ts";

/** The api's end of a WebSocket: an EventTarget that remembers whether it was accepted and closed. */
class FakeSocket extends EventTarget {
  state: "new" | "open" | "closed" = "new";
  accept(): void {
    this.state = "open";
  }
  close(): void {
    this.state = "closed";
  }
  send(frame: unknown): void {
    this.dispatchEvent(
      Object.assign(new Event("message"), { data: typeof frame === "string" ? frame : JSON.stringify(frame) }),
    );
  }
  hangUp(): void {
    this.dispatchEvent(new Event("close"));
  }
}

const event = (sequence: number) => ({ ...EXAMPLE.event, sequence });

let world: World;
let socket: FakeSocket;
beforeEach(async () => {
  world = await createWorld();
  socket = new FakeSocket();
  world.lab.socket = { url: "", caller: "", webSocket: socket as unknown as WebSocket };
});

const open = (query = "", headers: Record<string, string> = {}) =>
  world.send(`/v1/connections/lab/events${query}`, {
    token: world.apiKey,
    headers: { accept: "text/event-stream", ...headers },
  });

/** Reads until the text holds `wanted`. */
async function readUntil(reader: ReadableStreamDefaultReader<Uint8Array>, wanted: string): Promise<string> {
  let text = "";
  while (!text.includes(wanted)) {
    const { done, value } = await reader.read();
    if (done) return text;
    text += new TextDecoder().decode(value);
  }
  return text;
}

describe("the stream of events", () => {
  it("numbers events, does not number progress, and comments while nothing happens", async () => {
    const response = await open();
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const reader = response.body!.getReader();
    expect(await readUntil(reader, "\n\n")).toBe("retry: 3000\n\n");
    expect(socket.state).toBe("open");
    socket.send({ event: event(1) });
    expect(await readUntil(reader, "\n\n")).toBe(`id: 1\ndata: ${JSON.stringify(event(1))}\n\n`);
    socket.send({ progress: { transfer: "tr_x", bytes: 5 } });
    expect(await readUntil(reader, "\n\n")).toBe('event: progress\ndata: {"transfer":"tr_x","bytes":5}\n\n');
    for (const tick of world.ticks) tick();
    expect(await readUntil(reader, "\n\n")).toBe(":\n\n");
  });

  it("goes on after Last-Event-ID, or after the query, and says who reads", async () => {
    await open("?after=3");
    expect(world.lab.socket?.url).toBe("https://tracker/stream?after=3");
    await open("?after=3", { "last-event-id": "7" });
    expect(world.lab.socket?.url).toBe("https://tracker/stream?after=7");
    await open("", { "last-event-id": "junk" });
    expect(world.lab.socket?.url).toBe("https://tracker/stream?after=0");
    expect(JSON.parse(world.lab.socket?.caller ?? "")).toMatchObject({
      kind: "key",
      hash: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it("ends at both ends when either goes", async () => {
    const gone = await open();
    await gone.body!.cancel();
    expect([socket.state, world.ticks.size]).toEqual(["closed", 0]);

    socket = new FakeSocket();
    world.lab.socket = { url: "", caller: "", webSocket: socket as unknown as WebSocket };
    const reader = (await open()).body!.getReader();
    socket.hangUp();
    await readUntil(reader, "never");
    expect([socket.state, world.ticks.size]).toEqual(["closed", 0]);
  });

  it("lets a reader go that does not read", async () => {
    const response = await open();
    for (let i = 1; socket.state === "open" && i < 100; i++)
      socket.send({ event: { ...event(i), subject: "x".repeat(50_000) } });
    expect(socket.state).toBe("closed");
    await response.body!.cancel();
  });

  it("is refused as a problem before it is open", async () => {
    world.lab.heldEvents.push({ ...event(9) } as never);
    expect(await problemIn(await open("?after=1"))).toMatchObject({ status: 410, code: "gone", oldest: 5 });
    const stranger = await world.send("/v1/connections/lab/events", { headers: { accept: "text/event-stream" } });
    expect([stranger.status, socket.state]).toEqual([401, "new"]);
  });
});

describe("a frame", () => {
  it("that this version does not know is left out", () => {
    for (const frame of ["", "{", "null", '{"event":{}}', '{"other":1}', new ArrayBuffer(1)])
      expect(sseOf(frame)).toBeUndefined();
  });

  it("cannot break out of its line", () => {
    const text = sseOf(JSON.stringify({ event: { sequence: 1, data: "a\n\nid: 9\r\ndata: x" } }));
    expect(text?.split("\n")).toHaveLength(4);
  });
});
