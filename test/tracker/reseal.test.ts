import { describe, expect, it } from "vitest";
import { createSeal, parseSealKeys } from "../../shared/seal.ts";
import type { Desk } from "../../workers/poller/accept.ts";
import * as hooks from "../../workers/poller/hooks.ts";
import { addLink } from "../../workers/poller/links.ts";
import { reseal } from "../../workers/poller/reseal.ts";
import { signingKeys } from "../../workers/poller/signing.ts";
import { Site } from "../../workers/poller/site.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { ACTOR, ok, SCRIPT, to, verifiesWith } from "./reception.ts";
import { content, MIB, TARGET } from "./up.ts";
import { inWorld, type World } from "./world.ts";

/** The key of every world, and the one that comes after it. */
const OLD = { kid: "t", key: btoa(String.fromCharCode(...new Uint8Array(32))) };
const NEW = { kid: "new", key: btoa(String.fromCharCode(...new Uint8Array(32).fill(7))) };
const sealOf = (...keys: { kid: string; key: string }[]) => createSeal(parseSealKeys(JSON.stringify(keys)));
const CALLBACK_SECRET = `whsec_${btoa("c".repeat(32))}`;

/** Every sealed value in any column of any table, by the key that sealed it. */
function keysInUse(world: World): Record<string, number> {
  const tables = world.house.rows<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
  );
  const everything = tables.map(({ name }) => JSON.stringify(world.house.rows(`SELECT * FROM "${name}"`))).join("\n");
  const counts: Record<string, number> = {};
  for (const [header] of everything.matchAll(/eyJ[\w-]+(?=\.\.[\w-]+\.[\w-]+\.[\w-]+)/g)) {
    const { kid } = JSON.parse(atob(header.replaceAll("-", "+").replaceAll("_", "/"))) as { kid: string };
    counts[kid] = (counts[kid] ?? 0) + 1;
  }
  return counts;
}

/** One of everything that is sealed: credential, signing key, hook, subscription, job callback, staged link, stored answer, upload form, address. */
async function furnished(world: World): Promise<{ subscription: string; secret: string }> {
  await hooks.putHook(
    world.house,
    world.desk.seal,
    ACTOR,
    "h",
    { source: "standard-webhooks", secrets: [CALLBACK_SECRET], target: { job: {} } },
    {},
  );
  const { id, secret } = await world.receive("sub", ok);
  await subscriptions.subscribe(
    world.house,
    world.desk.seal,
    ACTOR,
    { url: "https://receiver.test/other" },
    { idempotency: { route: "POST /v1/connections/c/subscriptions", key: "k", bodySha256: "b" }, origin: {} },
  );
  const job = await world.submit({
    script: SCRIPT,
    outputs: [{ path: "out.txt", key: "o" }],
    callbacks: [{ url: "https://receiver.test/job", secret: CALLBACK_SECRET }],
  });
  await addLink(world.desk, ACTOR, { key: "o" }, {});
  // The link is sealed from the moment at which the file is staged until it is released.
  await world.until(() => world.types(`transfers/${job.outputs[0]?.transferId}`).includes("transfer.staged"));
  // The site waits for a file whose Worker has died: the links that it goes by are kept.
  world.crash = { kind: "send", when: "before" };
  await world.put("in", content(8 * MIB));
  await world.upload(TARGET, { key: "in" });
  await world.until(() => world.house.rows("SELECT 1 FROM forms").length > 0);
  // A file from elsewhere whose server is away, and whose address holds a signature.
  await world.submit({
    script: SCRIPT,
    workingDirectory: "/scratch/alice",
    inputs: [{ url: "https://receiver.test/away?sig=1", path: "away.dat" }],
  });
  return { subscription: id, secret };
}

describe("resealing", () => {
  it("leaves nothing that the old key sealed, and all opens without it", () =>
    inWorld(async (world) => {
      const { secret } = await furnished(world);
      const before = keysInUse(world);
      expect(Object.keys(before)).toEqual(["t"]);
      expect(before.t).toBeGreaterThanOrEqual(9);

      const rotating: Desk = { ...world.desk, seal: sealOf(NEW, OLD) };
      expect(await reseal(rotating, { ip: "192.0.2.1" })).toMatchObject({
        resealed: before.t,
        unreadable: 0,
        more: false,
      });
      expect(keysInUse(world)).toEqual({ new: before.t });
      const again = await reseal(rotating, {});
      expect(again).toMatchObject({ resealed: 0, unreadable: 0, more: false });
      // A share link is in somebody's hands: it is told of until its time is over, and new ones are under the new key.
      expect(again.staleLinks).toEqual({ count: 1, until: expect.any(Number) });
      await addLink({ ...world.desk, seal: rotating.seal }, ACTOR, { key: "o" }, {});
      expect((await reseal(rotating, {})).staleLinks.count).toBe(1);

      // The old key is gone for good from here on.
      const seal = sealOf(NEW);
      const after: Desk = { ...world.desk, seal, site: new Site(world.house, seal, world.egress) };
      expect((await signingKeys(after))[0].kty).toBe("OKP");
      expect(await hooks.openHook(world.house, after.seal, "h")).toMatchObject({ secrets: [CALLBACK_SECRET] });
      Object.assign(world.desk, after);
      expect(await world.house.env.TOKENS.get(`token/${world.house.name}`)).toBeNull();
      await world.until(() => to(world, "job").length > 0 && to(world, "sub").length > 0 && world.owed() === 0);
      expect(to(world, "job").every((hit) => verifiesWith(CALLBACK_SECRET, hit))).toBe(true);
      expect(to(world, "sub").every((hit) => verifiesWith(secret, hit))).toBe(true);
    }));

  it("is on record with who asked from where, and a pass that changes nothing is not", () =>
    inWorld(async (world) => {
      const rotating: Desk = { ...world.desk, seal: sealOf(NEW, OLD) };
      await reseal(rotating, { ip: "192.0.2.1" });
      await reseal(rotating, { ip: "192.0.2.1" });
      const lines = world.house.rows<{ doc: string }>("SELECT doc FROM audit").map(({ doc }) => JSON.parse(doc));
      expect(lines.filter(({ act }) => act === "connection.reseal")).toMatchObject([
        { actor: "admin", origin: "192.0.2.1" },
      ]);
    }));

  it("counts what no key opens, and leaves it as it is", () =>
    inWorld(async (world) => {
      const foreign = await sealOf({ kid: "gone", key: NEW.key }).seal("x", { purpose: "p", connection: "c", id: "i" });
      world.house.setMeta("odd", foreign);
      const rotating: Desk = { ...world.desk, seal: sealOf(NEW, OLD) };
      expect(await reseal(rotating, {})).toMatchObject({ unreadable: 1 });
      expect(world.house.meta("odd")).toBe(foreign);
    }));

  it("goes on where it stopped: five hundred rows at a time, and never over a newer value", () =>
    inWorld(async (world) => {
      const { seal } = world.desk;
      for (let n = 0; n < 600; n++)
        world.house.run(
          "INSERT INTO hooks (name, doc, secrets) VALUES (?, '{}', ?)",
          `n${n}`,
          await seal.seal("[]", { purpose: "hook_secrets", connection: world.house.name, id: `n${n}` }),
        );
      const renewing = sealOf(NEW, OLD);
      const racing: Desk = {
        ...world.desk,
        seal: {
          ...renewing,
          renew: async (jwe) => {
            if (jwe === world.house.row<{ secrets: string }>("SELECT secrets FROM hooks WHERE name = 'n0'")?.secrets)
              world.house.run("UPDATE hooks SET secrets = 'newer' WHERE name = 'n0'");
            return renewing.renew(jwe);
          },
        },
      };
      expect(await reseal(racing, {})).toMatchObject({ more: true });
      expect(world.house.row("SELECT secrets FROM hooks WHERE name = 'n0'")).toEqual({ secrets: "newer" });
      expect(await reseal(racing, {})).toMatchObject({ more: false, unreadable: 0 });
      expect(keysInUse(world).t).toBeUndefined();
    }));
});
