/** Names as `ls` prints them in the C locale: octal escapes for everything beyond ASCII, C escapes for control characters. */
export function escapeName(name: string): string {
  const simple: Record<number, string> = {
    7: "\\a",
    8: "\\b",
    9: "\\t",
    10: "\\n",
    11: "\\v",
    12: "\\f",
    13: "\\r",
    34: '\\"',
    92: "\\\\",
  };
  return [...new TextEncoder().encode(name)]
    .map(
      (byte) =>
        simple[byte] ??
        (byte < 32 || byte > 126 ? `\\${byte.toString(8).padStart(3, "0")}` : String.fromCharCode(byte)),
    )
    .join("");
}
