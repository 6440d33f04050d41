/** Reading v1 requests: query strings, forms, and the checks every value goes through. */
import type { Ctx } from "./answers.ts";

const FORBIDDEN = /[<>|;"'&\\()\x00-\x1f`]/;

/** Why a value is not acceptable, or `undefined`. */
export function valueProblem(name: string, value: string | undefined): string | undefined {
  if (value === undefined) return `'${name}' not specified`;
  if (value === "") return `'${name}' is empty`;
  return FORBIDDEN.test(value) ? `'${name}' has invalid char` : undefined;
}

export function hasForbiddenCharacter(value: string): boolean {
  return FORBIDDEN.test(value);
}

export function isTrue(value: string | undefined): boolean {
  return /^(?:true|yes|1)$/i.test(value ?? "");
}

/** The form of a request, urlencoded or multipart; empty for any other body. */
export class Form {
  readonly #data: FormData;

  constructor(data: FormData) {
    this.#data = data;
  }

  static async of(c: Ctx): Promise<Form> {
    return (await Form.within(c, Number.POSITIVE_INFINITY)) ?? new Form(new FormData());
  }

  /** `undefined` when the whole body is larger than allowed. */
  static async within(c: Ctx, maxBytes: number): Promise<Form | undefined> {
    if (Number(c.req.header("content-length") ?? 0) > maxBytes) return undefined;
    const type = c.req.header("content-type") ?? "";
    if (!/^(?:application\/x-www-form-urlencoded|multipart\/form-data)/i.test(type)) return new Form(new FormData());
    const body = await c.req.arrayBuffer();
    if (body.byteLength > maxBytes) return undefined;
    const parsed = new Response(body, { headers: { "content-type": type } }).formData();
    return new Form(await parsed.catch(() => new FormData()));
  }

  text(name: string): string | undefined {
    const value = this.#data.get(name);
    return typeof value === "string" ? value : undefined;
  }

  has(name: string): boolean {
    return this.#data.has(name);
  }

  file(name: string): File | undefined {
    const value: unknown = this.#data.get(name);
    return value instanceof File ? value : undefined;
  }
}

/** A file name without a path and without what a shell could stumble over, as the servers clean it. */
export function secureFileName(name: string): string {
  return name
    .normalize("NFKD")
    .replace(/[^\x20-\x7e]/g, "")
    .replace(/[/\\]/g, " ")
    .trim()
    .split(/\s+/)
    .join("_")
    .replace(/[^A-Za-z0-9_.-]/g, "")
    .replace(/^[._]+|[._]+$/g, "");
}
