/**
 * Which addresses and names on the internet a stranger may send us to. Pure: literals and names only, no look-ups.
 * An address is public unless it falls into a range that somebody might mean our own network by; IPv6 is turned round: only
 * global unicast is public, and of that not everything.
 */

/** Why an address or a name is refused: exact words for the log, never for the caller. */
export type HostRefusal = "private_address" | "local_name" | "single_label" | "malformed_name";

/** `value` as one integer: 32 bits for IPv4, 128 for IPv6. */
export interface Address {
  family: 4 | 6;
  value: bigint;
}

export interface Range {
  family: 4 | 6;
  first: bigint;
  last: bigint;
}

/** IANA's special-purpose registries and what the providers keep for themselves. */
const REFUSED_RANGES = [
  "0.0.0.0/8", // this network
  "10.0.0.0/8", // private
  "100.64.0.0/10", // carrier-grade NAT
  "127.0.0.0/8", // loopback
  "169.254.0.0/16", // link local: cloud metadata lives here
  "172.16.0.0/12", // private
  "192.0.0.0/24", // protocol assignments
  "192.0.2.0/24", // documentation
  "192.88.99.0/24", // 6to4 relays
  "192.168.0.0/16", // private
  "198.18.0.0/15", // benchmarks
  "198.51.100.0/24", // documentation
  "203.0.113.0/24", // documentation
  "224.0.0.0/4", // multicast
  "240.0.0.0/4", // reserved, and broadcast
  "2001::/23", // protocol assignments: Teredo, ORCHID, benchmarks
  "2001:db8::/32", // documentation
  "2002::/16", // 6to4: carries an IPv4 address of anybody's choice
  "3fff::/20", // documentation
].map(range);

const GLOBAL_UNICAST = range("2000::/3");

/** IPv6 ranges whose last 32 bits are an IPv4 address: what counts is where that one leads. */
const CARRIES_IPV4 = [range("::ffff:0:0/96"), range("64:ff9b::/96")];

/** Names that are looked up on the local network, or stand for the machine itself. */
const LOCAL_SUFFIXES = [
  "localhost",
  "localdomain",
  "local",
  "internal",
  "intranet",
  "lan",
  "corp",
  "home",
  "home.arpa",
  "private",
];

/** The address that a host of a URL, or a DNS answer, spells; undefined if it spells none. Zone ids are no addresses. */
export function parseAddress(text: string): Address | undefined {
  const bare = text.startsWith("[") && text.endsWith("]") ? text.slice(1, -1) : text;
  const value = bare.includes(":") ? parseIpv6(bare) : parseIpv4(bare);
  return value === undefined ? undefined : { family: bare.includes(":") ? 6 : 4, value };
}

/** IPv4 inside IPv6 (mapped, NAT64) as the IPv4 address it leads to; every other address as it is. */
export function effective(address: Address): Address {
  const carries = address.family === 6 && CARRIES_IPV4.some((carrier) => inRange(address, carrier));
  return carries ? { family: 4, value: address.value & 0xffff_ffffn } : address;
}

export function isPublic(address: Address): boolean {
  const real = effective(address);
  if (real.family === 6 && !inRange(real, GLOBAL_UNICAST)) return false;
  return !REFUSED_RANGES.some((refused) => inRange(real, refused));
}

export const inRange = ({ family, value }: Address, { family: same, first, last }: Range): boolean =>
  family === same && value >= first && value <= last;

/** Why a host, as the URL parser leaves it, is refused; undefined for a public address or a name that may be looked up. */
export function hostRefusal(host: string): HostRefusal | undefined {
  const address = parseAddress(host);
  if (address !== undefined) return isPublic(address) ? undefined : "private_address";
  const name = plainName(host);
  const labels = name.split(".");
  // A last label of digits or 0x… is an address in a spelling that somebody else may read.
  const malformed =
    labels.some((label) => !/^[a-z0-9_-]{1,63}$/.test(label)) ||
    name.length > 253 ||
    /^(\d+|0x[0-9a-f]*)$/.test(labels.at(-1) ?? "");
  if (malformed) return "malformed_name";
  if (LOCAL_SUFFIXES.some((suffix) => name === suffix || name.endsWith(`.${suffix}`))) return "local_name";
  return labels.length === 1 ? "single_label" : undefined;
}

/** A name in lower case without the dot that may end it. */
export const plainName = (host: string): string => host.toLowerCase().replace(/\.$/, "");

/** `10.0.0.0/8`, `fd00::/8`, or one address. Undefined for what is none, or has bits outside its prefix. */
export function parseRange(text: string): Range | undefined {
  const [base = "", length, ...rest] = text.split("/");
  const address = parseAddress(base);
  if (address === undefined || rest.length > 0) return undefined;
  const width = address.family === 4 ? 32 : 128;
  if (length !== undefined && !/^(0|[1-9]\d{0,2})$/.test(length)) return undefined;
  const prefix = length === undefined ? width : Number(length);
  if (prefix > width) return undefined;
  const size = 1n << BigInt(width - prefix);
  if (address.value % size !== 0n) return undefined;
  return { family: address.family, first: address.value, last: address.value + size - 1n };
}

function range(text: string): Range {
  const parsed = parseRange(text);
  if (parsed === undefined) throw new TypeError(`not a range: ${text}`);
  return parsed;
}

/** Four decimal numbers and nothing else: other spellings were made into this by the URL parser, or are names. */
function parseIpv4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) <= 255))
    return undefined;
  return parts.reduce((value, part) => value * 256n + BigInt(part), 0n);
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2 || (halves.length === 2 && halves[0]?.includes("."))) return undefined;
  const [head, tail] = halves.map(groups);
  if (head === undefined || (halves.length === 2 && tail === undefined)) return undefined;
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  return [...head, ...Array<bigint>(missing).fill(0n), ...(tail ?? [])].reduce(
    (value, group) => value * 0x1_0000n + group,
    0n,
  );
}

/** The 16-bit groups of one side of `::`; the last two may be written as an IPv4 address. */
function groups(text: string): bigint[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  const embedded = parts.at(-1)?.includes(".") ? parseIpv4(parts.pop() ?? "") : 0n;
  if (embedded === undefined || !parts.every((part) => /^[0-9a-f]{1,4}$/i.test(part))) return undefined;
  const whole = parts.map((part) => BigInt(`0x${part}`));
  return text.includes(".") ? [...whole, embedded >> 16n, embedded & 0xffffn] : whole;
}
