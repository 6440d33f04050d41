/** The credential of a connection is replaced while it is used: no token of the old one is used, or sent to the new site. */
import { describe, expect, it } from "vitest";
import { perform } from "../../workers/poller/commands.ts";
import { create } from "../../workers/poller/connections.ts";
import { begin, finish } from "../../workers/poller/far.ts";
import { clientOf, Site } from "../../workers/poller/site.ts";
import { inWorld, type World } from "./world.ts";

const ADMIN = { name: "admin" };

/** A site's own token endpoint: each token tells whose secret it was made with. */
function tokensAt(world: World, path: string): void {
  world.receivers.set(`/${path}`, (_request, body) => {
    const secret = new URLSearchParams(body).get("client_secret") ?? "";
    return Response.json({ access_token: `${path}.${secret}`, token_type: "Bearer", expires_in: 3600 });
  });
}

const put = (world: World, path: string, clientSecret: string) =>
  world.run(
    create(
      world.desk,
      ADMIN,
      world.house.name,
      {
        api: "v1",
        url: "https://receiver.test/site",
        auth: { type: "client_credentials", tokenUrl: `https://receiver.test/${path}`, clientId: "c", clientSecret },
      },
      {},
    ),
  );

describe("a replaced credential", () => {
  it("is the one that counts, also for a token that was being asked for", () =>
    inWorld(async (world) => {
      tokensAt(world, "token");
      await put(world, "token", "first");
      const { seal, site } = world.desk;
      // The old credential is being opened when the new one is saved.
      let release = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      const slow = new Site(
        world.house,
        {
          ...seal,
          open: async (jwe, binding) => {
            const text = await seal.open(jwe, binding);
            if (binding.purpose === "credential") await gate;
            return text;
          },
        },
        world.egress,
      );
      await world.house.env.TOKENS.delete(`token/${world.house.name}`);
      const early = slow.token();
      await put(world, "token", "second");
      slow.changed();
      await world.house.env.TOKENS.delete(`token/${world.house.name}`);
      release();
      await early.catch(() => {});
      expect(await slow.token()).toBe("token.second");
      expect(await site.token()).toBe("token.second");
    }));

  it("does not find the token of the old one, however late that was kept", () =>
    inWorld(async (world) => {
      tokensAt(world, "token");
      await put(world, "token", "first");
      const { TOKENS } = world.house.env;
      const name = `token/${world.house.name}`;
      expect(await world.desk.site.token()).toBe("token.first");
      const kept = await TOKENS.get(name);
      await put(world, "token", "second");
      // What was under way when the credential changed writes last, or a copy elsewhere is a minute old.
      await TOKENS.put(name, kept ?? "");
      const { house, seal } = world.desk;
      expect(await new Site(house, seal, world.egress).token()).toBe("token.second");
    }));

  it("that stays the same finds its token again after a restart", () =>
    inWorld(async (world) => {
      tokensAt(world, "token");
      await put(world, "token", "first");
      const asked = world.hits.length;
      const { house, seal } = world.desk;
      expect(await new Site(house, seal, world.egress).token()).toBe("token.first");
      expect(world.hits).toHaveLength(asked);
    }));

  it("has no token for what was begun before it: that begins anew, at the new address", () =>
    inWorld(async (world) => {
      tokensAt(world, "token");
      await put(world, "token", "first");
      world.fate = () => "drop";
      const { id } = await world.submit({});
      const effect = world.queues.commands.at(-1)?.effect ?? "";
      const begun = await begin(world.desk, effect);
      if (!begun.go) throw new Error(begun.why);
      const { credential } = begun.work.site;
      expect(await world.desk.site.token(false, credential)).toBe("token.first");
      await put(world, "token", "second");
      const asked = world.hits.length;
      const client = clientOf(begun.work.site, world.egress, {
        token: (renew) => world.desk.site.token(renew, credential),
        now: world.house.now,
        sleep: world.house.sleep,
        log: () => {},
      });
      const outcome = await world.run(perform(begun.work, client, undefined as unknown as R2Bucket));
      expect(world.hits).toHaveLength(asked);
      await finish(world.desk, effect, outcome, begun.attempt);
      expect(world.house.row("SELECT state FROM effects WHERE id = ?", effect)).toEqual({ state: "planned" });
      expect(world.job(id).status).toBe("submitting");
    }));
});
