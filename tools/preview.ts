/**
 * Pictures of messages as people see them, for the docs: what the renderers send is read as each platform would read it, and
 * photographed by Chromium without a window.
 *
 *     node tools/preview.ts            writes docs/pictures/{slack,mattermost,teams,email}.png
 */
import { join } from "node:path";
import { mailOf } from "../shared/chat/email.ts";
import { mattermostPage } from "./preview/mattermost.ts";
import { photograph, SANS, shown, withSigns } from "./preview/page.ts";
import { SAMPLES } from "./preview/samples.ts";
import { slackPage } from "./preview/slack.ts";
import { teamsPage } from "./preview/teams.ts";

const directory = join(import.meta.dirname, "..", "docs", "pictures");

function mailPage(): string {
  const { subject, html } = mailOf(SAMPLES.timeoutMail);
  return `<div style="background:#fff;font:14px ${SANS};color:#1d2430"><div style="padding:16px 24px;border-bottom:1px solid #e3e5e9"><div style="font-size:18px;margin-bottom:10px">${shown(subject)}</div><b>Firewatch</b> <span style="color:#5b6472">&lt;jobs@example.org&gt; to anna@example.org</span></div><div style="padding:24px">${withSigns(html)}</div></div>`;
}

const PAGES: Record<string, { body: string; width: number }> = {
  slack: {
    body: slackPage(
      [
        { message: SAMPLES.succeeded, time: "11:57 (edited)", note: "1 reply" },
        { message: SAMPLES.timeout, time: "11:58 (edited)", note: "1 reply" },
        { message: SAMPLES.running, time: "13:08 (edited)" },
      ],
      [
        { message: SAMPLES.timeout, time: "11:58 (edited)" },
        { message: SAMPLES.timeoutTail, time: "14:00" },
      ],
    ),
    width: 1180,
  },
  mattermost: { body: mattermostPage(SAMPLES.array, SAMPLES.arrayTail), width: 760 },
  teams: { body: teamsPage(SAMPLES.memory), width: 720 },
  email: { body: mailPage(), width: 760 },
};

for (const [name, { body, width }] of Object.entries(PAGES)) photograph(body, join(directory, `${name}.png`), width);
