/** One Worker as a single module, resolved the way `wrangler deploy` resolves it: workerd's conditions, platform modules left out. */
import { join } from "node:path";
import { build } from "esbuild";

const ROOT = join(import.meta.dirname, "..");

/** Answers the files of ours that went in, from the project's root. Without `outfile` nothing is written. */
export async function bundle(entry: string, outfile?: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [entry],
    absWorkingDir: ROOT,
    ...(outfile === undefined ? { write: false, outdir: ROOT } : { outfile }),
    bundle: true,
    metafile: true,
    format: "esm",
    platform: "neutral",
    target: "es2024",
    mainFields: ["module", "main"],
    conditions: ["workerd", "worker", "browser", "import"],
    external: ["cloudflare:*", "node:*"],
    sourcemap: outfile === undefined ? false : "inline",
    logLevel: "error",
  });
  return Object.keys(metafile.inputs).filter((file) => !file.includes("node_modules/"));
}
