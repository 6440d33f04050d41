/** What the Tracker's contract says of objects and share links, in memory. */
import { systemRandom } from "../../../shared/clock.ts";
import type { Caller, Scope } from "../../../shared/contract/access.ts";
import type { ShareLink } from "../../../shared/contract/link.ts";
import type { Answer, Refusal } from "../../../shared/contract/rpc.ts";
import { newId } from "../../../shared/ids.ts";
import type { Tracker } from "../deps.ts";
import { EXAMPLE } from "../examples.ts";

const ok = <T>(value: T): { ok: true; value: T } => ({ ok: true, value });

export abstract class FakeShelf {
  quotaBytes = Number.POSITIVE_INFINITY;
  readonly stored = { objects: 0, bytes: 0 };
  readonly reservations = new Map<string, number>();
  readonly keysTaken = new Set<string>();
  readonly heldLinks = new Map<string, ShareLink>();

  abstract admit(caller: Caller, scope: Scope): { ok: true; value: { actor: string } } | Refusal;

  #for<T>(caller: Caller, scope: Scope, work: () => Answer<T>): Answer<T> {
    const admitted = this.admit(caller, scope);
    return admitted.ok ? work() : admitted;
  }

  reserveObject: Tracker["reserveObject"] = async (caller, { id, key, bytes }) =>
    this.#for(caller, "transfers:write", () => {
      const reserved = [...this.reservations].reduce((sum, [other, n]) => sum + (other === id ? 0 : n), 0);
      if (this.keysTaken.has(key)) return { ok: false, code: "conflict", detail: "A transfer is under way." };
      if (this.stored.bytes + reserved + bytes > this.quotaBytes) return { ok: false, code: "quota_exceeded" };
      this.reservations.set(id, bytes);
      return ok(null);
    });
  objectChanged: Tracker["objectChanged"] = async (caller, { id = "", objects, bytes }) =>
    this.#for(caller, "transfers:write", () => {
      for (const other of this.reservations.keys())
        if (other === id || (id.endsWith("/") && other.startsWith(id))) this.reservations.delete(other);
      this.stored.objects += objects;
      this.stored.bytes += bytes;
      return ok(null);
    });
  addLink: Tracker["addLink"] = async (caller, { key, etag }) =>
    this.#for(caller, "transfers:write", () => {
      const { url: _, ...example } = EXAMPLE.newLink;
      const link: ShareLink = {
        ...example,
        id: newId("lnk", Date.parse("2026-11-22"), systemRandom),
        key,
        ...(etag && { etag }),
      };
      this.heldLinks.set(link.id, link);
      return ok({ link, token: `token-of-${link.id}` });
    });
  links: Tracker["links"] = async (caller) =>
    this.#for(caller, "transfers:read", () => ok({ items: [...this.heldLinks.values()] }));
  removeLink: Tracker["removeLink"] = async (caller, id) =>
    this.#for(caller, "transfers:write", () =>
      this.heldLinks.delete(id) ? ok(null) : { ok: false, code: "not_found" },
    );
}
