import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  mailProblems,
  mattermostProblems,
  rocketchatProblems,
  slackProblems,
  strings,
  teamsProblems,
} from "../../test/support/chat-limits.ts";
import { mailOf } from "./email.ts";
import { escapeMarkdown, fenced, mattermostAttachment, mattermostWebhookBody } from "./mattermost.ts";
import { ACTIONS, type Message, TONES } from "./message.ts";
import { parted, rocketchatBody } from "./rocketchat.ts";
import { slackMessage, slackWebhookBody } from "./slack.ts";
import { teamsBody } from "./teams.ts";
import { cut, lastLines, oneLine } from "./text.ts";

const NASTY = [
  "<!channel> <@U012345> <!everyone> <!subteam^S1>",
  "<https://evil.example|click here>",
  "@all @here @channel @someone",
  "[pay here](https://evil.example) ![](https://evil.example/x.png)",
  "*bold* _it_ ~gone~ `code` ```fence``` ~town-square :tada: #tag",
  "</pre><script>alert(1)</script><img src=x onerror=alert(1)>",
  '"><a href="javascript:alert(1)">',
  "{{DATE(2026-11-22T00:00:00Z,SHORT)}} <at>everyone</at>",
  "\u202egnp.exe \u2066\u200bhidden\ufeff \ud800 lone \u0000 nul \u001b[31mred\u001b[0m",
  "a\r\nBcc: everyone@example.org",
  "&amp; &lt;!channel&gt; & < >",
  "````\nfour\n````",
  "\n# heading\n- item\n> quote\n| a | b |",
  "👩‍🔬 Zürich 計算 𝕊𝕝𝕦𝕣𝕞",
];

const hostile = fc.oneof(
  fc.constantFrom(...NASTY),
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.array(fc.constantFrom(...NASTY), { maxLength: 40 }).map((parts) => parts.join("\n")),
  fc.constantFrom("x".repeat(20_000), "<".repeat(9_000), "&@*`".repeat(3_000), "漢".repeat(8_000), "`".repeat(5_000)),
);
const maybe = <K extends string, T>(key: K, value: fc.Arbitrary<T>): fc.Arbitrary<{ [k in K]?: T }> =>
  fc.oneof(
    fc.constant({}),
    value.map((made) => ({ [key]: made }) as { [k in K]?: T }),
  );

const button = fc
  .record({ action: fc.constantFrom(...ACTIONS), label: hostile, value: fc.string({ maxLength: 3_000 }) })
  .chain((made) =>
    maybe("confirm", fc.record({ question: hostile, yes: hostile, no: hostile })).map((more) => ({ ...made, ...more })),
  );
const message: fc.Arbitrary<Message> = fc
  .tuple(
    fc.record({
      title: hostile,
      tone: fc.constantFrom(...TONES),
      facts: fc.array(fc.record({ label: hostile, value: hostile }), { maxLength: 30 }),
    }),
    maybe("text", hostile),
    maybe("tail", fc.record({ caption: hostile, text: hostile })),
    maybe("next", hostile),
    maybe(
      "links",
      fc.array(
        fc.record({
          label: hostile,
          url: fc.oneof(hostile, fc.webUrl(), fc.constantFrom("javascript:alert(1)", "https://a:b@c.example/")),
        }),
        { maxLength: 12 },
      ),
    ),
    maybe("footer", hostile),
    maybe("buttons", fc.uniqueArray(button, { selector: ({ action }) => action })),
  )
  .map((parts) => Object.assign({}, ...parts) as Message);

const holds = (check: (message: Message) => string[]): void =>
  fc.assert(
    fc.property(message, (one) => {
      expect(check(one)).toEqual([]);
    }),
    { numRuns: 300 },
  );

describe("whatever a job is called and whatever it prints, the message is one that is taken and harms nobody, on", () => {
  it("Slack, by bot", () => holds((one) => slackProblems(slackMessage(one))));
  it("Slack, by webhook, without buttons that nobody would answer", () =>
    holds((one) => [
      ...slackProblems(slackWebhookBody(one)),
      ...[...strings(slackWebhookBody(one))].filter((text) => /^firewatch:(?!open)/.test(text)),
    ]));
  it("Mattermost, by bot", () =>
    holds((one) =>
      mattermostProblems({
        message: "",
        props: { attachments: [mattermostAttachment(one, "https://fw.example/chat")] },
      }),
    ));
  it("Mattermost, by webhook", () => holds((one) => mattermostProblems(mattermostWebhookBody(one))));
  it("Teams", () => holds((one) => teamsProblems(teamsBody(one))));
  it("Rocket.Chat", () => holds((one) => rocketchatProblems(rocketchatBody(one))));
  it("e-mail", () => holds((one) => mailProblems(mailOf(one))));
});

const failure: Message = {
  title: "simulate on daint ran out of time",
  tone: "bad",
  text: "It was stopped at its time limit.",
  facts: [{ label: "Time", value: "1 h of 1 h" }],
  tail: {
    caption: "Last lines of its errors",
    text: "slurmstepd: error: *** JOB 4821 CANCELLED DUE TO TIME LIMIT ***",
  },
  next: "Resubmit it with --time=02:00:00 or so.",
  links: [{ label: "Open", url: "https://fw.example/jobs/1" }],
  buttons: [{ action: "resubmit", label: "Resubmit", style: "primary", value: "v" }],
  footer: "cscs-hpc",
};

describe("every platform says all of it", () => {
  const bodies = {
    slack: slackMessage(failure),
    slackWebhook: slackWebhookBody(failure),
    mattermost: mattermostAttachment(failure),
    teams: teamsBody(failure),
    rocketchat: rocketchatBody(failure),
    mailText: mailOf(failure).text,
    mailHtml: mailOf(failure).html,
  };
  /** As it is read: without the marks that keep it from being markup. */
  const read = (text: string): string => text.replace(/\\(?=[^\w\s])|\u200b|\u00a0/g, "").replaceAll("&lt;", "<");

  it.each(Object.entries(bodies))("%s", (_, body) => {
    const all = [...strings(body)].map(read).join("\n");
    const parts = [
      failure.title,
      failure.text,
      "1 h of 1 h",
      failure.tail?.text,
      failure.next,
      failure.links?.[0]?.url,
    ];
    for (const part of parts) expect(all).toContain(part);
  });
});

describe("text", () => {
  it("is cut between characters and never longer than asked, also when escaping makes it longer", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.nat(50), (text, max) => {
        const clean = text.toWellFormed();
        const shown = cut(clean, max, escapeMarkdown);
        expect(shown.length).toBeLessThanOrEqual(Math.max(max, 0));
        expect(shown.isWellFormed()).toBe(true);
      }),
    );
    expect(cut("abcdef", 4)).toBe("abc…");
    expect(cut("abcd", 4)).toBe("abcd");
  });

  it("of many lines becomes one, without what hides", () => {
    expect(oneLine("a\r\n\tb\u202ec\u200b\u001b[31md\u0000")).toBe("a bcd");
  });

  it("of an output ends with its last lines, as a screen would show them", () => {
    const output = "start\r\n 10 %\r 50 %\r100 %\r\n\u001b[31merror:\u001b[0m no such file\n\n\n";
    expect(lastLines(output, { lines: 2, characters: 100 })).toBe("100 %\nerror: no such file");
    expect(lastLines("one\ntwo\nthree", { lines: 5, characters: 10 })).toBe("two\nthree");
    expect(lastLines("", { lines: 5, characters: 10 })).toBe("");
  });

  it("reads the same in Mattermost as it was written", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const clean = oneLine(text);
        const shown = escapeMarkdown(clean).replaceAll("\u200b", "").replace(/\\(.)/gu, "$1");
        expect(shown.replaceAll("¦", "|")).toBe(clean.replaceAll("¦", "|"));
      }),
    );
  });

  it("in a fence cannot end it", () => {
    for (const text of ["```", "````\nx", "a ``` b", "``````"]) {
      const [fence = ""] = /^`+/.exec(fenced(text)) ?? [];
      expect(text.split("\n").some((line) => line.startsWith(fence))).toBe(false);
    }
  });

  it("for Rocket.Chat leaves no mark beside the word that it would change", () => {
    expect(parted("@all [x](y)").replaceAll("\u200b", "")).toBe("@all [x](y)");
    expect(parted("@all")).not.toMatch(/@\w/);
  });
});
