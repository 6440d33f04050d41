import { describe, expect, it } from "vitest";
import { createRules, type RefusalReason } from "./rules.ts";

const strict = createRules({ cidrs: [], hosts: [] }, ["firewatch.example", "objects.firewatch.example"]);
const local = createRules(
  { cidrs: ["127.0.0.0/8", "::1/128"], hosts: ["localhost", "receiver.hpc.internal:9000", "*.lab.internal"] },
  ["localhost"],
);

const reasonOf = (rules: typeof strict, url: string): RefusalReason | "allowed" => {
  const checked = rules.check(url);
  return checked.ok ? "allowed" : checked.reason;
};

/** URLs that must never be fetched for a stranger: every spelling that a parser somewhere takes for an inside address. */
const REFUSED: [string, RefusalReason][] = [
  ["https://127.0.0.1/", "private_address"],
  ["https://127.1/", "private_address"],
  ["https://127.0.1/", "private_address"],
  ["https://2130706433/", "private_address"],
  ["https://0x7f000001/", "private_address"],
  ["https://0x7f.0.0.1/", "private_address"],
  ["https://0X7F.1/", "private_address"],
  ["https://0177.0.0.1/", "private_address"],
  ["https://017700000001/", "private_address"],
  ["https://0/", "private_address"],
  ["https://0.0.0.0/", "private_address"],
  ["https://127.0.0.1./", "private_address"],
  ["https://%31%32%37.0.0.1/", "private_address"],
  ["https://１２７.０.０.１/", "private_address"],
  ["https://①②⑦.⓪.⓪.①/", "private_address"],
  ["https://127。0。0。1/", "private_address"],
  ["https://127．0．0．1/", "private_address"],
  ["https:\\\\127.0.0.1\\", "private_address"],
  ["https:127.0.0.1", "private_address"],
  ["https://127.0.\n0.1/", "private_address"],
  ["  https://127.0.0.1/  ", "private_address"],
  ["HTTPS://127.0.0.1:443/", "private_address"],
  ["https://10.0.0.1/", "private_address"],
  ["https://172.16.0.1:8443/", "private_address"],
  ["https://192.168.1.1/", "private_address"],
  ["https://169.254.169.254/latest/meta-data/", "private_address"],
  ["https://2852039166/", "private_address"],
  ["https://0xa9fea9fe/", "private_address"],
  ["https://100.100.100.200/", "private_address"],
  ["https://198.18.0.1/", "private_address"],
  ["https://255.255.255.255/", "private_address"],
  ["https://[::]/", "private_address"],
  ["https://[::1]/", "private_address"],
  ["https://[0:0:0:0:0:0:0:1]/", "private_address"],
  ["https://[::127.0.0.1]/", "private_address"],
  ["https://[::ffff:127.0.0.1]/", "private_address"],
  ["https://[::ffff:7f00:1]/", "private_address"],
  ["https://[::FFFF:a9fe:a9fe]/", "private_address"],
  ["https://[0:0:0:0:0:ffff:10.0.0.1]/", "private_address"],
  ["https://[64:ff9b::127.0.0.1]/", "private_address"],
  ["https://[64:ff9b::a9fe:a9fe]/", "private_address"],
  ["https://[64:ff9b:1::1]/", "private_address"],
  ["https://[2002:7f00:1::]/", "private_address"],
  ["https://[2002:a9fe:a9fe::1]/", "private_address"],
  ["https://[2001::1]/", "private_address"],
  ["https://[2001:db8::1]/", "private_address"],
  ["https://[3fff::1]/", "private_address"],
  ["https://[100::1]/", "private_address"],
  ["https://[5f00::1]/", "private_address"],
  ["https://[fc00::1]/", "private_address"],
  ["https://[fd00:ec2::254]/", "private_address"],
  ["https://[fe80::1]/", "private_address"],
  ["https://[ff02::1]/", "private_address"],
  ["https://localhost/", "local_name"],
  ["https://LocalHost/", "local_name"],
  ["https://localhost./", "local_name"],
  ["https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "local_name"],
  ["https://loc%61lhost/", "local_name"],
  ["https://foo.localhost:8443/", "local_name"],
  ["https://metadata.google.internal/", "local_name"],
  ["https://metadata.google.internal./", "local_name"],
  ["https://printer.local/", "local_name"],
  ["https://metadata/", "single_label"],
  ["https://kubernetes.:6443/", "single_label"],
  ["https://localhost../", "malformed_name"],
  ["https://firewatch.example/hooks/c/h", "own_host"],
  ["https://FIREWATCH.example./", "own_host"],
  ["https://objects.firewatch.example:8443/", "own_host"],
  ["http://example.org/", "not_https"],
  ["http://firewatch.example/", "own_host"],
  ["ftp://example.org/", "not_https"],
  ["file:///etc/passwd", "not_https"],
  ["gopher://example.org/", "not_https"],
  ["data:text/plain,x", "not_https"],
  ["javascript:alert(1)", "not_https"],
  ["ws://example.org/", "not_https"],
  ["blob:https://example.org/x", "not_https"],
  ["https://user@example.org/", "userinfo"],
  ["https://user:pass@example.org/", "userinfo"],
  ["https://example.org@127.0.0.1/", "userinfo"],
  ["https://:pass@example.org/", "userinfo"],
  ["https://example.org/#x", "fragment"],
  ["https://example.org/#", "fragment"],
  ["https://example.org:22/", "port"],
  ["https://example.org:25/", "port"],
  ["https://example.org:80/", "port"],
  ["https://example.org:1023/", "port"],
  ["https://example.org:0/", "port"],
  ["https://example.org:65536/", "not_a_url"],
  ["https://[fe80::1%25eth0]/", "not_a_url"],
  ["https://[::1", "not_a_url"],
  ["https://256.256.256.256/", "not_a_url"],
  ["https://1.2.3.4.5/", "not_a_url"],
  ["https:///", "not_a_url"],
  ["//example.org/", "not_a_url"],
  ["example.org", "not_a_url"],
  ["", "not_a_url"],
];

describe("a URL that a stranger chose", () => {
  it.each(REFUSED)("%j is refused: %s", (url, reason) => {
    expect(reasonOf(strict, url)).toBe(reason);
  });

  it.each([
    "https://example.org/",
    "https://example.org:443/callbacks?x=1",
    "https://example.org:1024/",
    "https://example.org:8443/",
    "https://example.org./",
    "https://bücher.example/",
    "https://8.8.8.8/",
    "https://[2606:4700:4700::1111]/",
    "https://[::ffff:8.8.8.8]/",
    "https://notfirewatch.example/",
    "https://@example.org/",
  ])("%s may be fetched", (url) => {
    expect(reasonOf(strict, url)).toBe("allowed");
  });
});

describe("an operator's allow-list", () => {
  it.each([
    "http://127.0.0.1:8787/",
    "http://127.0.0.1/",
    "https://127.9.9.9:22/",
    "http://2130706433:9000/",
    "http://[::1]:9000/",
    "http://[::ffff:127.0.0.1]:9000/",
    "http://localhost:8788/",
    "http://localhost./",
    "http://receiver.hpc.internal:9000/",
    "https://a.lab.internal/",
    "http://a.b.lab.internal:80/",
  ])("lets %s through", (url) => {
    expect(reasonOf(local, url)).toBe("allowed");
  });

  it.each<[string, RefusalReason]>([
    ["http://10.0.0.1/", "not_https"],
    ["https://10.0.0.1/", "private_address"],
    ["http://receiver.hpc.internal:9001/", "not_https"],
    ["https://receiver.hpc.internal/", "local_name"],
    ["https://lab.internal/", "local_name"],
    ["https://evillab.internal/", "local_name"],
    ["http://localhost.example.org/", "not_https"],
    ["http://user@127.0.0.1/", "userinfo"],
    ["http://127.0.0.1/#x", "fragment"],
    ["ftp://127.0.0.1/", "not_https"],
  ])("does not open %s: %s", (url, reason) => {
    expect(reasonOf(local, url)).toBe(reason);
  });

  it("says at once what it cannot read", () => {
    expect(() => createRules({ cidrs: ["10.0.0.1/8"], hosts: [] }, [])).toThrow('"10.0.0.1/8", which is not a CIDR');
  });
});
