/** Words of a site, made safe to show: error texts of FirecREST quote commands, links and sometimes credentials. */

const MAX_CHARACTERS = 500;

/** Everything after the path of a URL: that is where signatures live. */
const URL_SECRET = /(\bhttps?:\/\/[^\s?#"'<>]*)[?#][^\s"'<>]*/gi;
const JWT = /\beyJ[\w-]*\.[\w-]*\.[\w-]*/g;
const BEARER = /\bbearer\s+[\w.~+/=-]+/gi;
const SIGNED_FIELD = /\b(x-amz-[a-z-]+|signature|policy|temp_url_sig)(["']?\s*[=:]\s*["']?)[^\s"'&,}]+/gi;

/**
 * One line of at most 500 characters without control characters, tokens, or the signed part of a link.
 * Anything but a string, number or boolean becomes "".
 */
export function siteText(value: unknown): string {
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") return "";
  const text = value
    .slice(0, 8 * MAX_CHARACTERS)
    .replace(URL_SECRET, "$1?…")
    .replace(JWT, "…")
    .replace(BEARER, "Bearer …")
    .replace(SIGNED_FIELD, "$1$2…")
    .replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, " ")
    .trim();
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS - 1)}…` : text;
}
