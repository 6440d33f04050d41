import { describe, expect, it } from "vitest";
import { operationsOfAFile } from "../../bench/file-cost.ts";
import type { TransferMessage } from "../../shared/contract/queue.ts";
import type { ConsumerDeps } from "../../workers/transfer/consume.ts";
import { inWorld, type World } from "./world.ts";

const MIB = 1024 * 1024;
const CLASS_B = ["head", "get"];

/** Counts what a bucket is asked for, by method. */
function counting(bucket: R2Bucket, asked: string[]): R2Bucket {
  const counted = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, name) {
        const member: unknown = Reflect.get(object, name);
        if (typeof member !== "function") return member;
        return (...args: unknown[]) => {
          if (name !== "resumeMultipartUpload") asked.push(String(name));
          const result: unknown = Reflect.apply(member, object, args);
          if (name === "resumeMultipartUpload") return counted(result as object);
          return name === "createMultipartUpload" ? (result as Promise<object>).then(counted) : result;
        };
      },
    });
  return counted(bucket);
}

async function counted(world: World, bytes: number) {
  const path = `/scratch/${world.firecrest.user}/file.dat`;
  const seat = await world.firecrest.host.as(world.firecrest.user);
  await seat.files.write(path, new Uint8Array(bytes));
  const asked: string[] = [];
  const messages = { commands: 0, transfers: 0, callbacks: 0 };
  world.worker = (deps: ConsumerDeps, _message: TransferMessage) => ({ ...deps, bucket: counting(deps.bucket, asked) });
  world.fate = (queue) => {
    messages[queue]++;
    return "deliver";
  };
  const { id } = await world.download(path, "file");
  await world.until(() => world.transfer(id).endedAt !== undefined && world.owed() === 0);
  expect(world.transfer(id).status).toBe("stored");
  return {
    r2ClassA: asked.filter((name) => !CLASS_B.includes(name)).length,
    r2ClassB: asked.filter((name) => CLASS_B.includes(name)).length,
    transferInvocations: messages.transfers,
    pollerInvocations: messages.commands,
  };
}

describe("what a file costs", () => {
  it.each([0, 1, 1_000_000, 32 * MIB, 32 * MIB + 1, 70 * MIB])("is what the formula says, for %i bytes", (bytes) =>
    inWorld(async (world) => {
      const { parts: _, ...formula } = operationsOfAFile(bytes);
      expect(await counted(world, bytes)).toEqual(formula);
    }),
  );

  it("grows by one operation a part, in parts that grow with the file", () => {
    expect(operationsOfAFile(1e9)).toMatchObject({ parts: 30, r2ClassA: 32 });
    expect(operationsOfAFile(5e9)).toMatchObject({ parts: 75, r2ClassA: 77 });
    expect(operationsOfAFile(5e9, 3).transferInvocations).toBe(4);
  });
});
