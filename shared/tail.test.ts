import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isOfRun, shownTail } from "./tail.ts";

/** Printed lines, and what of them nobody else may read. */
const PRINTED: [string, string][] = [
  ["export AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG", "wJalrXUtnFEMI"],
  ["AWS_ACCESS_KEY_ID AKIAIOSFODNN7EXAMPLE", "IOSFODNN7EXAMPLE"],
  ["PGPASSWORD=hunter2 psql", "hunter2"],
  ["MYSQL_PWD='hun ter2'", "ter2"],
  ['db_password: "s3cr3t with spaces"', "with spaces"],
  ["{'api_key': 'abc123def'}", "abc123def"],
  ["HF_TOKEN => hf_abcdefghijklmnopqrst", "abcdefghijkl"],
  ["model key hf_abcdefghijklmnopqrstuvwx", "abcdefghijkl"],
  ["sk-ant-api03-abcdefghijkl", "abcdefghijkl"],
  ["OPENAI sk-abcdefghijklmnopqrstuv", "abcdefghijkl"],
  ["curl -u me:pa55word https://x.example", "pa55word"],
  ["tool --password pa55word --verbose", "pa55word"],
  ["machine x.example login me password pa55word", "pa55word"],
  ["Authorization: Bearer abc.def.ghi", "abc.def.ghi"],
  ["GET https://s3.example/b/o?X-Amz-Signature=deadbeef", "deadbeef"],
  ["cloning https://me:ghtoken1@git.example/r", "ghtoken1"],
  ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8G"],
  ["root:$6$saltsalt$abcdefghijklmnopqrstuvwxyz:19000", "abcdefghijklmnop"],
  ["-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXk\n-----END OPENSSH PRIVATE KEY-----", "b3BlbnNzaC1"],
];

describe("the end of an output that others may read", () => {
  it.each(PRINTED)("masks %j", (line, secret) => {
    const shown = shownTail(`begin\n${line}\nend\n`, 20);
    expect(shown).not.toContain(secret);
    expect(shown).toMatch(/^begin\n[\s\S]*\[redacted\][\s\S]*\nend\n$/);
  });

  it.each(PRINTED)("masks it behind colours, zero widths and what was overwritten: %j", (line, secret) => {
    for (const hidden of [
      [...line].join("\u001b[0m"),
      [...line].join("\u200b"),
      [...line].join("\u0000"),
      line.replace("=", "=\u001b]8;;x\u0007"),
      `50 %\r${line.replaceAll("\n", "\r\n")}`,
    ])
      expect(shownTail(hidden, 20)).not.toContain(secret);
  });

  it("masks a key whose beginning was cut off", () => {
    expect(shownTail("b3BlbnNzaC1rZXk\nAAAA\n-----END OPENSSH PRIVATE KEY-----\ndone\n", 20)).toBe(
      "[redacted]\ndone\n",
    );
  });

  it("leaves ordinary output as it is", () => {
    const text = [
      "step 12/100  loss=0.25 tokens/s: 5120",
      "slurmstepd: error: *** JOB 42 ON nid001 CANCELLED AT 2026-11-22T12:00:00 DUE TO TIME LIMIT ***",
      '  File "run.py", line 3, in <module>',
      "ValueError: könnte größer sein: 3 > 2",
      "\tkeyword: value",
      "",
    ].join("\n");
    expect(shownTail(text, 20)).toBe(text);
  });

  it("is the last lines, of which the first is whole, and a progress bar's last state", () => {
    expect(shownTail("a\nb\nc\nd\n", 2)).toBe("c\nd\n");
    expect(shownTail("a\nb\nc\nd", 2)).toBe("c\nd");
    expect(shownTail("10 %\r50 %\r100 %\ndone\n", 5)).toBe("100 %\ndone\n");
    expect(shownTail("", 5)).toBe("");
    const long = `password=${"x".repeat(70_000)}\nlast\n`;
    expect(shownTail(long, 5)).toBe("last\n");
  });

  it("costs little and never throws, whatever a job prints", () => {
    const began = performance.now();
    for (const piece of [
      "password=",
      "-u a:",
      "\u001b[",
      "\u001b]",
      "\r",
      "-----BEGIN ",
      "=>",
      "login a ",
      "$6$",
      '"',
      "a_secret_",
    ])
      shownTail(piece.repeat(100_000), 50);
    expect(performance.now() - began).toBeLessThan(5_000);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 500 }), fc.nat(30), (text, lines) => {
        const shown = shownTail(text, lines + 1);
        expect(shown.isWellFormed()).toBe(true);
        expect(shown.split("\n").length).toBeLessThanOrEqual(lines + 2);
        expect(shown).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
      }),
    );
  });
});

describe("whether an output is that of the run", () => {
  const START = Date.UTC(2026, 10, 22, 12);
  it("is told by when the file was last written, with some patience for clocks", () => {
    expect(isOfRun(START / 1000 + 5, START)).toBe(true);
    expect(isOfRun(START / 1000 - 20, START)).toBe(true);
    expect(isOfRun(START / 1000 - 60, START)).toBe(false);
  });
});
