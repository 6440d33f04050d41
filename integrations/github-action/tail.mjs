/** A job's output as it grows, read from a door that only shows its last lines. */

/** As many lines as the door gives at once. */
export const TAIL_LINES = 10_000;

/**
 * Answers a function that takes the last lines as they are now and answers what was not seen before. A line without its end
 * waits for it, until `whole` says that nothing more will come.
 */
export function createTail() {
  let seen = [];
  return (text, whole) => {
    const lines = text.split("\n");
    const rest = lines.pop() ?? "";
    if (whole && rest !== "") lines.push(rest);
    const from = overlap(seen, lines);
    const gap = seen.length > 0 && from === 0 && lines.length > 0;
    seen = lines.length > 0 ? lines : seen;
    const fresh = lines.slice(from);
    if (fresh.length === 0) return "";
    return `${gap ? "[… lines in between were not seen …]\n" : ""}${fresh.join("\n")}\n`;
  };
}

/** How many of `now`'s first lines are the end of `before`. */
function overlap(before, now) {
  // Usually nothing has been cut off yet: then `now` begins with all that was seen.
  for (let start = 0; start < before.length; start++) {
    const length = before.length - start;
    if (
      length <= now.length &&
      before[start] === now[0] &&
      before.every((line, i) => i < start || line === now[i - start])
    )
      return length;
  }
  return 0;
}
