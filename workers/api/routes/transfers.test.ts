import { beforeEach, describe, expect, it } from "vitest";
import type { Transfer } from "../../../shared/contract/transfer.ts";
import { EXAMPLE } from "../examples.ts";
import { createWorld, problemIn, type World } from "../testing/world.ts";

const ID = "tr_01jd8x0f3q8y2k5v7n9r4t6wzc";
const RECEIPT = `/v1/connections/lab/transfers/${ID}/receipt`;
let world: World;

beforeEach(async () => {
  world = await createWorld();
  world.lab.heldTransfers.set(ID, { ...(EXAMPLE.transfer as Transfer), status: "stored" });
});

describe("a receipt", () => {
  it("is a JWS for programs that store it, and JSON for those that ask", async () => {
    const jose = await world.send(RECEIPT, { token: world.apiKey, headers: { accept: "*/*" } });
    expect([jose.status, jose.headers.get("content-type"), await jose.text()]).toEqual([
      200,
      "application/jose",
      "e30.e30.c2ln",
    ]);
    const json = await world.send(RECEIPT, { token: world.apiKey, headers: { accept: "application/json" } });
    expect(json.headers.get("content-type")).toBe("application/json");
    expect(await json.json()).toMatchObject({ receipt: EXAMPLE.receipt, jws: "e30.e30.c2ln" });
    expect([jose.headers.get("vary"), json.headers.get("vary")]).toEqual(["accept", "accept"]);
  });

  it("is for those who may read transfers, of a transfer that is there and stored", async () => {
    expect((await world.send(RECEIPT)).status).toBe(401);
    expect((await world.send(RECEIPT, { token: await world.keyWith("jobs:read") })).status).toBe(403);
    expect((await world.send(RECEIPT.replace(ID, "tr_x"), { token: world.apiKey })).status).toBe(404);
    world.lab.heldTransfers.set(ID, { ...(EXAMPLE.transfer as Transfer), status: "copying" });
    expect(await problemIn(await world.send(RECEIPT, { token: world.apiKey }))).toMatchObject({
      status: 409,
      detail: expect.stringContaining("copying"),
    });
  });
});
