import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { effective, hostRefusal, isPublic, parseAddress, parseRange } from "./address.ts";

const publicness = (text: string) => {
  const address = parseAddress(text);
  return address === undefined ? "no address" : isPublic(address) ? "public" : "refused";
};

/** First and last address of every range, and their neighbours where those are public. */
const RANGES: { name: string; inside: string[]; outside: string[] }[] = [
  { name: "0.0.0.0/8", inside: ["0.0.0.0", "0.255.255.255"], outside: ["1.0.0.0"] },
  { name: "10.0.0.0/8", inside: ["10.0.0.0", "10.255.255.255"], outside: ["9.255.255.255", "11.0.0.0"] },
  { name: "100.64.0.0/10", inside: ["100.64.0.0", "100.127.255.255"], outside: ["100.63.255.255", "100.128.0.0"] },
  {
    name: "127.0.0.0/8",
    inside: ["127.0.0.0", "127.0.0.1", "127.255.255.255"],
    outside: ["126.255.255.255", "128.0.0.0"],
  },
  {
    name: "169.254.0.0/16",
    inside: ["169.254.0.0", "169.254.169.254", "169.254.255.255"],
    outside: ["169.253.255.255", "169.255.0.0"],
  },
  { name: "172.16.0.0/12", inside: ["172.16.0.0", "172.31.255.255"], outside: ["172.15.255.255", "172.32.0.0"] },
  { name: "192.0.0.0/24", inside: ["192.0.0.0", "192.0.0.255"], outside: ["191.255.255.255", "192.0.1.0"] },
  { name: "192.0.2.0/24", inside: ["192.0.2.0", "192.0.2.255"], outside: ["192.0.1.255", "192.0.3.0"] },
  { name: "192.88.99.0/24", inside: ["192.88.99.0", "192.88.99.255"], outside: ["192.88.98.255", "192.88.100.0"] },
  { name: "192.168.0.0/16", inside: ["192.168.0.0", "192.168.255.255"], outside: ["192.167.255.255", "192.169.0.0"] },
  { name: "198.18.0.0/15", inside: ["198.18.0.0", "198.19.255.255"], outside: ["198.17.255.255", "198.20.0.0"] },
  { name: "198.51.100.0/24", inside: ["198.51.100.0", "198.51.100.255"], outside: ["198.51.99.255", "198.51.101.0"] },
  { name: "203.0.113.0/24", inside: ["203.0.113.0", "203.0.113.255"], outside: ["203.0.112.255", "203.0.114.0"] },
  { name: "224.0.0.0/4", inside: ["224.0.0.0", "239.255.255.255"], outside: ["223.255.255.255"] },
  { name: "240.0.0.0/4", inside: ["240.0.0.0", "255.255.255.254", "255.255.255.255"], outside: [] },
  { name: "below 2000::/3", inside: ["::", "::1", "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], outside: ["2000::"] },
  {
    name: "above 2000::/3",
    inside: ["4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    outside: ["3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  },
  {
    name: "2001::/23",
    inside: ["2001::", "2001::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"],
    outside: ["2000:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:200::"],
  },
  {
    name: "2001:db8::/32",
    inside: ["2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"],
    outside: ["2001:db7:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db9::"],
  },
  {
    name: "2002::/16",
    inside: ["2002::", "2002:7f00:1::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
    outside: ["2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2003::"],
  },
  {
    name: "3fff::/20",
    inside: ["3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"],
    outside: ["3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "3fff:1000::"],
  },
  { name: "64:ff9b:1::/48", inside: ["64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:808:808"], outside: [] },
  { name: "100::/64", inside: ["100::", "100::ffff:ffff:ffff:ffff"], outside: [] },
  { name: "5f00::/16", inside: ["5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], outside: [] },
  { name: "fc00::/7", inside: ["fc00::", "fd00:ec2::254", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], outside: [] },
  { name: "fe80::/10", inside: ["fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], outside: [] },
  { name: "fec0::/10", inside: ["fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], outside: [] },
  { name: "ff00::/8", inside: ["ff00::", "ff02::1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"], outside: [] },
];

describe.each(RANGES)("$name", ({ inside, outside }) => {
  it.each(inside)("%s is refused", (text) => {
    expect(publicness(text)).toBe("refused");
  });
  if (outside.length > 0) {
    it.each(outside)("its neighbour %s is public", (text) => {
      expect(publicness(text)).toBe("public");
    });
  }
});

describe("IPv4 inside IPv6", () => {
  const bytes = fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join("."));

  it("leads where the IPv4 address leads, mapped or through NAT64, in any spelling", () => {
    fc.assert(
      fc.property(
        bytes,
        fc.constantFrom("::ffff:", "0:0:0:0:0:ffff:", "64:ff9b::", "0064:FF9B:0:0:0:0:"),
        (ipv4, carrier) => {
          const hex = ipv4
            .split(".")
            .map((part) => Number(part).toString(16).padStart(2, "0"))
            .join("");
          for (const text of [carrier + ipv4, `${carrier}${hex.slice(0, 4)}:${hex.slice(4)}`, `[${carrier}${ipv4}]`]) {
            expect(publicness(text)).toBe(publicness(ipv4));
            expect(effective(parseAddress(text)!)).toEqual(parseAddress(ipv4));
          }
        },
      ),
    );
  });

  it("is refused in every other wrapping, public or not", () => {
    fc.assert(
      fc.property(bytes, (ipv4) => {
        const hex = ipv4
          .split(".")
          .map((part) => Number(part).toString(16).padStart(2, "0"))
          .join("");
        const [high, low] = [hex.slice(0, 4), hex.slice(4)];
        for (const text of [
          `::${ipv4}`,
          `2002:${high}:${low}::1`,
          `64:ff9b:1::${ipv4}`,
          `::ffff:0:${ipv4}`,
          `2001:0:${high}:${low}::1`,
          `fe80::5efe:${ipv4}`,
        ]) {
          expect(publicness(text)).toBe("refused");
        }
      }),
    );
  });
});

describe("addresses", () => {
  it.each([
    "8.8.8.8",
    "1.1.1.1",
    "148.187.1.1",
    "2606:4700:4700::1111",
    "2a00:1450:4001::200e",
    "[2620:fe::fe]",
    "64:ff9b::808:808",
  ])("%s is public", (text) => {
    expect(publicness(text)).toBe("public");
  });

  it.each([
    "",
    "1",
    "1.2.3",
    "1.2.3.4.5",
    "256.1.1.1",
    "01.2.3.4",
    "0x7f.0.0.1",
    "1.2.3.4 ",
    "1.2.3.-4",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "g::",
    "fe80::1%eth0",
    "1.2.3.4::",
    "::1.2.3",
    "::1.2.3.256",
    "[::1",
    "example.org",
  ])("%j is none", (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });

  it("are read as the URL parser writes them", () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const { hostname } = new URL(`https://[${text}]/`);
        expect(parseAddress(hostname)).toEqual(parseAddress(text));
        expect(parseAddress(hostname)).toBeDefined();
      }),
    );
  });
});

describe("names", () => {
  it.each([
    "example.org",
    "EXAMPLE.org",
    "example.org.",
    "a.b.c.example.co.uk",
    "xn--bcher-kva.example",
    "api.cscs.ch",
    "hooks_1.example.org",
    "internal.example.org",
    "local.example.org",
    "1.example.org",
    "localhost.example.org",
  ])("%s may be looked up", (name) => {
    expect(hostRefusal(name)).toBeUndefined();
  });

  it.each([
    ["localhost", "local_name"],
    ["LOCALHOST", "local_name"],
    ["localhost.", "local_name"],
    ["a.localhost", "local_name"],
    ["a.b.localhost.", "local_name"],
    ["localhost.localdomain", "local_name"],
    ["printer.local", "local_name"],
    ["printer.local.", "local_name"],
    ["metadata.google.internal", "local_name"],
    ["metadata.google.internal.", "local_name"],
    ["ip-10-0-0-1.eu-central-1.compute.internal", "local_name"],
    ["router.home.arpa", "local_name"],
    ["nas.lan", "local_name"],
    ["wiki.corp", "local_name"],
    ["intranet", "local_name"],
    ["metadata", "single_label"],
    ["kubernetes", "single_label"],
    ["metadata.", "single_label"],
    ["", "malformed_name"],
    [".", "malformed_name"],
    ["..", "malformed_name"],
    ["localhost..", "malformed_name"],
    [".localhost", "malformed_name"],
    ["a..b", "malformed_name"],
    ["a b.example", "malformed_name"],
    ["a%2eexample.org", "malformed_name"],
    ["exämple.org", "malformed_name"],
    ["127.0.0.1.", "malformed_name"],
    ["2130706433", "malformed_name"],
    ["0x7f000001", "malformed_name"],
    ["a.0x7f", "malformed_name"],
    ["1.2.3", "malformed_name"],
    ["[fe80::1%25eth0]", "malformed_name"],
    [`${"a".repeat(64)}.org`, "malformed_name"],
    [`${"a.".repeat(127)}org`, "malformed_name"],
    ["127.0.0.1", "private_address"],
    ["[::1]", "private_address"],
    ["[::ffff:10.0.0.1]", "private_address"],
  ])("%j is refused as %s", (name, reason) => {
    expect(hostRefusal(name)).toBe(reason);
  });
});

describe("ranges", () => {
  it.each([
    ["127.0.0.0/8", "127.0.0.0", "127.255.255.255"],
    ["10.1.2.3", "10.1.2.3", "10.1.2.3"],
    ["0.0.0.0/0", "0.0.0.0", "255.255.255.255"],
    ["::1/128", "::1", "::1"],
    ["fd00::/8", "fd00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
  ])("%s goes from %s to %s", (text, first, last) => {
    const range = parseRange(text)!;
    expect([range.first, range.last]).toEqual([parseAddress(first)?.value, parseAddress(last)?.value]);
  });

  it.each([
    "",
    "/8",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.1/8",
    "10.0.0.0/8/8",
    "10.0.0.0/-1",
    "10.0.0.0/08",
    "::/129",
    "localhost/8",
    "10.0.0.0/8 ",
  ])("%j is none", (text) => {
    expect(parseRange(text)).toBeUndefined();
  });
});
