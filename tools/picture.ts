/**
 * Makes `docs/pictures/demo.png` from a recording of a real run, by Chromium without a window:
 *
 *     script -qec "npm run --silent demo" demo.ansi && node tools/picture.ts demo.ansi
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const WIDTH_PX = 1100;
const LINE_PX = 20;
const FRAME_PX = 84;
/** The colours that `local/timeline.ts` uses. */
const STYLES: Record<string, string> = {
  1: "color:#fff;font-weight:700",
  2: "color:#8b98a9",
  31: "color:#f87171",
  32: "color:#4ade80",
};

const escapeHtml = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;");

/** What is left of a line on the screen: a carriage return followed by "clear the line" takes back what stood there. */
const asSeen = (line: string): string => line.replace(/^.*\r\u001b\[2K/s, "").replaceAll("\r", "");

const toHtml = (line: string): string =>
  escapeHtml(line).replace(
    /\u001b\[(\d+)m(.*?)\u001b\[0m/g,
    (_, code, text) => `<span style="${STYLES[code] ?? ""}">${text}</span>`,
  );

const [recording = "demo.ansi", picture = join(import.meta.dirname, "..", "docs", "pictures", "demo.png")] =
  process.argv.slice(2);
const lines = readFileSync(recording, "utf8")
  .split("\n")
  .map((line) => asSeen(line))
  .filter((line) => !/^Script (started|done) on /.test(line));
const shown = ["\u001b[32m$\u001b[0m \u001b[1mnpm run demo\u001b[0m", ...lines.join("\n").trimEnd().split("\n")];

const directory = mkdtempSync(join(tmpdir(), "firewatch-picture-"));
const page = join(directory, "page.html");
writeFileSync(
  page,
  `<!doctype html><meta charset="utf-8"><body style="margin:0;background:#0d1117">
<div style="display:flex;gap:8px;padding:16px 20px 0">${["#ff5f57", "#febc2e", "#28c840"].map((colour) => `<i style="width:12px;height:12px;border-radius:50%;background:${colour}"></i>`).join("")}</div>
<pre style="margin:18px 20px;color:#d5dce6;font:13.5px/${LINE_PX}px 'DejaVu Sans Mono',ui-monospace,monospace">${shown.map(toHtml).join("\n")}</pre>`,
);
const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", `--user-data-dir=${directory}`];
const size = `--window-size=${WIDTH_PX},${shown.length * LINE_PX + FRAME_PX}`;
execFileSync(process.env.CHROMIUM ?? "chromium", [...flags, size, `--screenshot=${picture}`, page], {
  stdio: "ignore",
});
rmSync(directory, { recursive: true, force: true });
