/**
 * Wildcards in the paths of a job's outputs, read as a POSIX shell reads them: `*` any characters, `?` one, `[a-c]` one of a
 * set, `[!a-c]` one outside of it. None of them matches a slash, nor a dot at the beginning of a name. A wildcard that is
 * meant as itself stands in a set: `[*]`.
 */

/** Whether a path has wildcards. */
export const isGlob = (path: string): boolean => /[*?[]/.test(path);

type Token = { kind: "star" } | { kind: "one"; takes(character: string): boolean };

/** Whether a name matches a pattern of one segment. Takes time in proportion to both lengths at most. */
export function segmentMatcher(pattern: string): (name: string) => boolean {
  const tokens = tokensOf([...pattern]);
  return (name) => (!name.startsWith(".") || pattern.startsWith(".")) && matches(tokens, [...name]);
}

/** Goes on greedily, and comes back only to the last star: an earlier one need never take more. */
function matches(tokens: readonly Token[], name: readonly string[]): boolean {
  let at = 0;
  let token = 0;
  let retry: { at: number; token: number } | undefined;
  while (at < name.length) {
    const wanted = tokens[token];
    if (wanted?.kind === "star") {
      retry = { at, token: ++token };
    } else if (wanted?.takes(name[at] ?? "") === true) {
      at++;
      token++;
    } else if (retry !== undefined) {
      retry.at++;
      ({ at, token } = retry);
    } else {
      return false;
    }
  }
  return tokens.slice(token).every(({ kind }) => kind === "star");
}

function tokensOf(pattern: readonly string[]): Token[] {
  const tokens: Token[] = [];
  for (let i = 0; i < pattern.length; i++) {
    const character = pattern[i] ?? "";
    const end = character === "[" ? endOfSet(pattern, i) : undefined;
    if (character === "*") tokens.push({ kind: "star" });
    else if (character === "?") tokens.push({ kind: "one", takes: () => true });
    else if (end !== undefined) {
      tokens.push(setOf(pattern.slice(i + 1, end)));
      i = end;
    } else tokens.push({ kind: "one", takes: (other) => other === character });
  }
  return tokens;
}

/** A `]` that comes first belongs to the set. A set that never ends is no set. */
function endOfSet(pattern: readonly string[], start: number): number | undefined {
  const first = start + (/[!^]/.test(pattern[start + 1] ?? "") ? 2 : 1);
  const end = pattern.indexOf("]", first + 1);
  return end === -1 ? undefined : end;
}

function setOf(content: readonly string[]): Token {
  const negated = /[!^]/.test(content[0] ?? "");
  const members = negated ? content.slice(1) : content;
  const ranges: [string, string][] = [];
  for (let i = 0; i < members.length; i++) {
    const from = members[i] ?? "";
    const to = members[i + 1] === "-" ? members[i + 2] : undefined;
    ranges.push([from, to ?? from]);
    if (to !== undefined) i += 2;
  }
  return { kind: "one", takes: (other) => ranges.some(([from, to]) => from <= other && other <= to) !== negated };
}
