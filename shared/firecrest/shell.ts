/** Text from outside in shell scripts: as base64 in single quotes, never as itself. */

/** Base64 of the UTF-8 bytes of a text, without line breaks. */
export function base64Of(text: string): string {
  const bytes = new TextEncoder().encode(text);
  let binary = "";
  for (let i = 0; i < bytes.length; i += 8_192) binary += String.fromCharCode(...bytes.subarray(i, i + 8_192));
  return btoa(binary);
}

/**
 * `NAME="$(…)"`: the bytes of `text` followed by an `x`, which keeps trailing newlines from being cut off and is taken
 * away by `${NAME%x}` afterwards. Fails where the text cannot be decoded.
 */
export function assignment(name: string, text: string): string {
  return `${name}="$(printf %s '${base64Of(text)}' | base64 -d && printf x)"`;
}
