/** What the local deployment keeps under its folder: secrets made once, and the file that tells programs where everything is. */
import { randomBytes } from "node:crypto";
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";

/** Made at the first start; the same after a restart. */
const Secrets = z.object({
  adminToken: z.string(),
  sealKeys: z.string(),
  apiKeys: z.record(z.string(), z.string()),
});
export type Secrets = z.infer<typeof Secrets>;

/** `.firewatch/local.json`: the contract with programs that use the local deployment. Readers ignore unknown fields. */
export interface LocalFile {
  url: string;
  adminToken: string;
  connections: Record<string, { apiKey: string; url: string }>;
  firecrest: { v1Url: string; v2Url?: string; tokenUrl: string; clientId: string; clientSecret: string; root: string };
  pid: number;
}

export class LocalState {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  path(...parts: string[]): string {
    return join(this.dir, ...parts);
  }

  get localFile(): string {
    return this.path("local.json");
  }

  async secrets(): Promise<Secrets> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 });
    const file = this.path("secrets.json");
    const text = await readFile(file, "utf8").catch(() => undefined);
    if (text !== undefined) return Secrets.parse(JSON.parse(text));
    const fresh: Secrets = {
      adminToken: randomBytes(24).toString("base64url"),
      sealKeys: JSON.stringify([{ kid: "local", key: randomBytes(32).toString("base64") }]),
      apiKeys: {},
    };
    await this.keepSecrets(fresh);
    return fresh;
  }

  async keepSecrets(secrets: Secrets): Promise<void> {
    await writeAtomically(this.path("secrets.json"), secrets);
  }

  async publish(local: LocalFile): Promise<void> {
    await writeAtomically(this.localFile, local);
  }

  async unpublish(): Promise<void> {
    await rm(this.localFile, { force: true });
  }
}

/** Complete or not there at all, and for its owner's eyes only. */
async function writeAtomically(file: string, value: unknown): Promise<void> {
  const draft = `${file}.${process.pid}.tmp`;
  await writeFile(draft, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  await chmod(draft, 0o600);
  await rename(draft, file);
}
