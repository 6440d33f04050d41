/** What every picture has in common: escaping, the signs that platforms draw themselves, a frame, and Chromium. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const glyph = (background: string, path: string): string =>
  `<svg viewBox="0 0 20 20" style="width:1em;height:1em;vertical-align:-.12em"><rect x="1" y="1" width="18" height="18" rx="4" fill="${background}"/><path d="${path}" fill="none" stroke="#fff" stroke-width="2.4" stroke-linecap="round" stroke-linejoin="round"/></svg>`;
const SIGNS: Record<string, string> = {
  "✅": glyph("#2fa84f", "M5 10.5l3.4 3.4L15 6.8"),
  "❌": `<svg viewBox="0 0 20 20" style="width:1em;height:1em;vertical-align:-.12em"><path d="M4 4l12 12M16 4L4 16" stroke="#dd2e44" stroke-width="3.6" stroke-linecap="round"/></svg>`,
  "▶️": glyph("#3b88c3", "M8 6l6 4-6 4z"),
  "⏳": glyph("#8a94a6", "M6 4h8l-8 12h8z"),
  "⚠️": glyph("#d99a1c", "M10 5v6M10 14.6v.2"),
  "⏹️": glyph("#5b6472", "M7 7h6v6H7z"),
};

/** Text as it stands in the page, with platforms' own signs in place of characters that need a font. */
export function shown(text: string): string {
  const escaped = text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("\n", "<br>");
  return withSigns(escaped);
}

export const withSigns = (html: string): string =>
  Object.entries(SIGNS).reduce((rest, [sign, drawn]) => rest.replaceAll(sign, drawn), html);

export const SANS = "'Liberation Sans',Arial,sans-serif";
export const MONO = "'DejaVu Sans Mono',monospace";

/** The bot's face. */
export const face = (size: number, radius: string): string =>
  `<div style="width:${size}px;height:${size}px;border-radius:${radius};background:linear-gradient(160deg,#f97316,#b91c1c);display:grid;place-items:center;flex:none"><svg viewBox="0 0 24 24" width="${size * 0.62}" height="${size * 0.62}"><path d="M12 3c1 4 5 5.500 5 10a5 5 0 0 1-10 0c0-2 1-3.500 2-4.500 0 2 1 2.500 1.500 2.500C11.500 9 10.500 6 12 3z" fill="#fff"/></svg></div>`;

export function photograph(body: string, picture: string, width: number): void {
  const directory = mkdtempSync(join(tmpdir(), "firewatch-preview-"));
  const page = join(directory, "page.html");
  const measure = `<script>document.documentElement.dataset.height=Math.ceil(document.body.getBoundingClientRect().height)</script>`;
  writeFileSync(
    page,
    `<!doctype html><meta charset="utf-8"><body style="margin:0;width:${width}px;-webkit-font-smoothing:antialiased">${body}${measure}`,
  );
  const chromium = process.env.CHROMIUM ?? "chromium";
  const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", `--user-data-dir=${directory}`];
  try {
    const dom = execFileSync(chromium, [...flags, `--window-size=${width},800`, "--dump-dom", page], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const height = Number(/data-height="(\d+)"/.exec(dom)?.[1]);
    if (!Number.isInteger(height)) throw new Error("Chromium did not tell how high the page is");
    const size = [`--window-size=${width},${height}`, "--force-device-scale-factor=2"];
    execFileSync(chromium, [...flags, ...size, `--screenshot=${picture}`, page], { stdio: "ignore" });
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
