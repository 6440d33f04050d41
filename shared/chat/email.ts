/**
 * E-mail: subject, plain text and HTML of a message, and how the providers that people use take it over HTTP. Everything from
 * outside is escaped; the mail loads nothing and follows nobody.
 */
import { clamped, LOOKS } from "./clamp.ts";
import type { Message } from "./message.ts";
import { cut, escapeHtml, oneLine } from "./text.ts";

/** RFC 5322 allows 998 in a line; mail programs show less. */
const SUBJECT_MAX = 200;

export interface Mail {
  subject: string;
  text: string;
  html: string;
}

const FONT = "-apple-system,'Segoe UI',Helvetica,Arial,sans-serif";
const row = (label: string, value: string): string =>
  `<tr><td style="padding:3px 18px 3px 0;color:#5b6472;white-space:nowrap;vertical-align:top">${escapeHtml(label)}</td><td style="padding:3px 0">${escapeHtml(value)}</td></tr>`;

export function mailOf(message: Message): Mail {
  const { title, tone, text, facts, tail, next, links = [], footer } = clamped(message);
  const { sign, colour } = LOOKS[tone];
  const widest = Math.max(0, ...facts.map(({ label }) => label.length));
  const plain = [
    title,
    text,
    facts.map(({ label, value }) => `${`${label}:`.padEnd(widest + 2)}${value}`).join("\n"),
    tail && `${tail.caption}:\n\n${tail.text.replace(/^/gm, "  ")}`,
    next && `Next: ${next}`,
    ...links.map(({ label, url }) => `${label}: ${url}`),
    footer && `-- \n${footer}`,
  ];
  const parts = [
    text && `<p style="margin:0 0 14px">${escapeHtml(text)}</p>`,
    facts.length > 0 &&
      `<table role="presentation" style="border-collapse:collapse;margin:0 0 14px;font-size:14px">${facts.map(({ label, value }) => row(label, value)).join("")}</table>`,
    tail &&
      `<p style="margin:0 0 6px;font-weight:600;font-size:14px">${escapeHtml(tail.caption)}</p><pre style="margin:0 0 14px;padding:12px;background:#f4f5f7;border-radius:6px;font:12px/1.5 Menlo,Consolas,monospace;white-space:pre-wrap;word-break:break-word">${escapeHtml(tail.text)}</pre>`,
    next && `<p style="margin:0 0 14px"><strong>Next:</strong> ${escapeHtml(next)}</p>`,
    ...links.map(
      ({ label, url }) =>
        `<p style="margin:0 0 14px"><a href="${escapeHtml(url)}" style="color:#2f6fdb">${escapeHtml(label)}</a></p>`,
    ),
    footer && `<p style="margin:18px 0 0;color:#8a94a6;font-size:12px">${escapeHtml(footer)}</p>`,
  ];
  return {
    subject: cut(`${sign} ${oneLine(title)}`, SUBJECT_MAX),
    text: `${plain.filter(Boolean).join("\n\n")}\n`,
    html: `<!doctype html><html><body style="margin:0;padding:24px;background:#fff"><div style="max-width:640px;margin:0 auto;font:15px/1.5 ${FONT};color:#1d2430"><h1 style="margin:0 0 14px;padding:0 0 0 12px;border-left:4px solid ${colour};font-size:18px;line-height:1.4">${sign} ${escapeHtml(title)}</h1>${parts.filter(Boolean).join("")}</div></body></html>`,
  };
}

export const EMAIL_PROVIDERS = ["resend", "postmark", "sendgrid"] as const;
export type EmailProvider = (typeof EMAIL_PROVIDERS)[number];

export interface EmailSettings {
  provider: EmailProvider;
  /** A secret. */
  apiKey: string;
  from: string;
  to: string[];
  /** Of the API: one of `EMAIL_URLS`, unless it is reached otherwise. */
  url: string;
}

export const EMAIL_URLS: Record<EmailProvider, string> = {
  resend: "https://api.resend.com/emails",
  postmark: "https://api.postmarkapp.com/email",
  sendgrid: "https://api.sendgrid.com/v3/mail/send",
};

export interface EmailIds {
  /** Of this mail: the same on every attempt. */
  delivery: string;
  /** Of what it is about: mails with the same are shown as one conversation. */
  thread: string;
}

/** One POST. `headers` holds the key: never logged. */
export function emailRequest(
  settings: EmailSettings,
  { subject, text, html }: Mail,
  { delivery, thread }: EmailIds,
): { url: string; headers: Record<string, string>; body: string } {
  const { provider, apiKey, from, to, url } = settings;
  const conversation = { References: `<${thread}@firewatch>`, "X-Entity-Ref-ID": delivery };
  const bearer = { authorization: `Bearer ${apiKey}` };
  switch (provider) {
    case "resend":
      return {
        url,
        // Kept there for a day: an attempt whose answer was lost sends no second mail.
        headers: { ...bearer, "idempotency-key": delivery },
        body: JSON.stringify({ from, to, subject, text, html, headers: conversation }),
      };
    case "postmark":
      return {
        url,
        headers: { "x-postmark-server-token": apiKey, accept: "application/json" },
        body: JSON.stringify({
          From: from,
          To: to.join(","),
          Subject: subject,
          TextBody: text,
          HtmlBody: html,
          TrackOpens: false,
          TrackLinks: "None",
          Headers: Object.entries(conversation).map(([Name, Value]) => ({ Name, Value })),
        }),
      };
    case "sendgrid":
      return {
        url,
        headers: bearer,
        body: JSON.stringify({
          personalizations: [{ to: to.map((email) => ({ email })) }],
          from: addressOf(from),
          subject,
          content: [
            { type: "text/plain", value: text },
            { type: "text/html", value: html },
          ],
          headers: conversation,
          tracking_settings: { click_tracking: { enable: false }, open_tracking: { enable: false } },
        }),
      };
  }
}

/** `Firewatch <jobs@example.org>` in its two halves. */
function addressOf(from: string): { email: string; name?: string } {
  const [, name, email] = /^(.*?)\s*<([^<>]+)>$/.exec(from) ?? [];
  return email === undefined ? { email: from } : { email, ...(name ? { name } : {}) };
}
