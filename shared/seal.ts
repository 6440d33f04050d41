/**
 * Secrets at rest. A sealed secret is a compact JWE (`dir`, `A256GCM`) whose protected header says what it is and whose it is,
 * so a sealed value copied to another row, purpose or connection does not open there. Keys are rotated by putting a new one
 * first: the first key seals, every key opens. Exists in the poller Worker only.
 */
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader, errors } from "jose";
import { fromBase64, utf8 } from "./bytes.ts";
import { z } from "./contract/words.ts";

/** What a sealed value is bound to: all three must be the same to open it. */
export interface Binding {
  /** What it is for: `credential`, `staged_link`, `webhook_secret` … */
  purpose: string;
  connection: string;
  /** The row it belongs to. */
  id: string;
}

export interface SealKey {
  kid: string;
  key: Uint8Array;
}

/** At least one: the first seals. */
export type SealKeys = readonly [SealKey, ...SealKey[]];

export type SealFailure = "malformed" | "unknown_key" | "wrong_binding" | "tampered";

/** A sealed value that does not open here. Holds neither the value nor a key. */
export class SealError extends Error {
  override readonly name = "SealError";
  readonly reason: SealFailure;

  constructor(reason: SealFailure) {
    super(`a sealed value did not open: ${reason}`);
    this.reason = reason;
  }
}

export interface Seal {
  /** `kid` of the key that seals. */
  readonly current: string;
  seal(text: string, binding: Binding): Promise<string>;
  /** Throws SealError. */
  open(jwe: string, binding: Binding): Promise<string>;
  /** Whether a value should be sealed again because a newer key came first since. */
  isStale(jwe: string): boolean;
  /** The same secret under the same binding, sealed with the first key. Throws SealError. */
  renew(jwe: string): Promise<string>;
}

const ALGORITHMS = { alg: "dir", enc: "A256GCM" } as const;

export function createSeal(keys: SealKeys): Seal {
  const [current] = keys;
  const byKid = new Map(keys.map(({ kid, key }) => [kid, key]));

  const sealing: Seal = {
    current: current.kid,

    seal: (text, { purpose, connection, id }) =>
      new CompactEncrypt(utf8(text))
        .setProtectedHeader({ ...ALGORITHMS, kid: current.kid, purpose, connection, id })
        .encrypt(current.key),

    async open(jwe, binding) {
      const header = headerOf(jwe);
      const key = typeof header.kid === "string" ? byKid.get(header.kid) : undefined;
      if (key === undefined) throw new SealError("unknown_key");
      // The header is only believed once the tag over it has been checked.
      const plaintext = await decrypt(jwe, key);
      const bound =
        header.purpose === binding.purpose && header.connection === binding.connection && header.id === binding.id;
      if (!bound) throw new SealError("wrong_binding");
      return new TextDecoder().decode(plaintext);
    },

    isStale: (jwe) => headerOf(jwe).kid !== current.kid,

    async renew(jwe) {
      const { purpose, connection, id } = headerOf(jwe);
      if (typeof purpose !== "string" || typeof connection !== "string" || typeof id !== "string")
        throw new SealError("malformed");
      // Opening checks the tag, and with it that the binding is the one it was sealed under.
      return sealing.seal(await sealing.open(jwe, { purpose, connection, id }), { purpose, connection, id });
    },
  };
  return sealing;
}

const KeyList = z
  .array(
    z.strictObject({
      kid: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "must be 1 to 64 of A-Z, a-z, 0-9, _, . and -"),
      key: z.string().refine((text) => fromBase64(text)?.length === 32, "must be 32 bytes in base64"),
    }),
    "must be a list",
  )
  .min(1, "must hold at least one key")
  .refine((list) => new Set(list.map(({ kid }) => kid)).size === list.length, "must not name a kid twice");

const HOW = 'expected [{"kid":"k1","key":"<32 random bytes in base64>"}], for example from `openssl rand -base64 32`';

/** Reads `SEAL_KEYS`. Throws an Error that says what is wrong and never quotes what it read. */
export function parseSealKeys(text: string | undefined): SealKeys {
  if (text === undefined || text.trim() === "") throw new Error(`SEAL_KEYS is not set; ${HOW}`);
  const list = KeyList.safeParse(jsonOrUndefined(text));
  if (!list.success) {
    const [issue] = list.error.issues;
    const where = issue?.path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`)).join("");
    const what = issue?.code === "unrecognized_keys" ? "has a field that is neither kid nor key" : issue?.message;
    throw new Error(`SEAL_KEYS${where} ${what}; ${HOW}`);
  }
  const [first, ...rest] = list.data.map(
    ({ kid, key }): SealKey => ({ kid, key: fromBase64(key) ?? new Uint8Array() }),
  );
  if (first === undefined) throw new Error(`SEAL_KEYS must hold at least one key; ${HOW}`);
  return [first, ...rest];
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function headerOf(jwe: string): Record<string, unknown> {
  try {
    return { ...decodeProtectedHeader(jwe) };
  } catch {
    throw new SealError("malformed");
  }
}

async function decrypt(jwe: string, key: Uint8Array): Promise<Uint8Array> {
  try {
    const opened = await compactDecrypt(jwe, key, {
      keyManagementAlgorithms: [ALGORITHMS.alg],
      contentEncryptionAlgorithms: [ALGORITHMS.enc],
    });
    return opened.plaintext;
  } catch (cause) {
    throw new SealError(cause instanceof errors.JWEDecryptionFailed ? "tampered" : "malformed");
  }
}
