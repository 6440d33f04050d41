import { describe, expect, it } from "vitest";
import {
  judgeEmail,
  judgeMattermostApi,
  judgeMattermostWebhook,
  judgeRocketchat,
  judgeSlackApi,
  judgeSlackWebhook,
  judgeTeams,
} from "./verdict.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const answered = (status: number, body: unknown = "", headers: Record<string, string> = {}) => ({
  status,
  headers: new Headers(headers),
  body: typeof body === "string" ? body : JSON.stringify(body),
});

describe("Slack's Web API", () => {
  const outcome = (error: string, status = 200) => {
    const judged = judgeSlackApi(answered(status, { ok: false, error }), NOW);
    return judged.ok ? "ok" : judged.verdict.outcome;
  };

  it("is believed when it says ok, not when it says 200", () => {
    expect(judgeSlackApi(answered(200, { ok: true, ts: "1.2" }), NOW)).toMatchObject({
      ok: true,
      answer: { ts: "1.2" },
    });
    expect(judgeSlackApi(answered(200, "<html>"), NOW)).toMatchObject({ ok: false, verdict: { outcome: "retry" } });
    expect(judgeSlackApi(answered(500, { ok: true }), NOW).ok).toBe(false);
  });

  it.each(["channel_not_found", "is_archived", "not_in_channel", "token_revoked", "account_inactive", "missing_scope"])(
    "%s switches the channel off and says why",
    (error) => {
      const judged = judgeSlackApi(answered(200, { ok: false, error }), NOW);
      expect(judged).toMatchObject({
        ok: false,
        verdict: { outcome: "disable", reason: expect.stringMatching(/\.$/) },
      });
    },
  );

  it("is asked again later for what passes, and not again for a message that it refuses", () => {
    for (const error of ["internal_error", "fatal_error", "service_unavailable", "a_word_of_tomorrow", "constructor"])
      expect(outcome(error)).toBe("retry");
    for (const error of ["msg_too_long", "invalid_blocks", "msg_blocks_too_long"]) expect(outcome(error)).toBe("abort");
  });

  it("over its rate holds the whole channel for as long as it asks", () => {
    const limited = judgeSlackApi(answered(429, { ok: false, error: "ratelimited" }, { "retry-after": "30" }), NOW);
    expect(limited).toMatchObject({ verdict: { outcome: "retry", minDelayMs: 30_000, laneDelayMs: 30_000 } });
    const unsaid = judgeSlackApi(answered(200, { ok: false, error: "rate_limited" }), NOW);
    expect(unsaid).toMatchObject({ verdict: { outcome: "retry", laneDelayMs: 5_000 } });
  });

  it("tells when a message is no longer there to be edited", () => {
    for (const error of ["message_not_found", "edit_window_closed", "cant_update_message"])
      expect(judgeSlackApi(answered(200, { ok: false, error }), NOW)).toMatchObject({ ok: false, gone: true });
  });
});

describe("incoming webhooks", () => {
  it("of Slack answer in a word", () => {
    expect(judgeSlackWebhook(answered(200, "ok"), NOW).outcome).toBe("delivered");
    expect(judgeSlackWebhook(answered(410, "channel_is_archived"), NOW).outcome).toBe("disable");
    expect(judgeSlackWebhook(answered(404, "no_service"), NOW).outcome).toBe("disable");
    expect(judgeSlackWebhook(answered(400, "invalid_payload"), NOW).outcome).toBe("abort");
    expect(judgeSlackWebhook(answered(404, "<html>a proxy"), NOW).outcome).toBe("retry");
    expect(judgeSlackWebhook(answered(500, "rollup_error"), NOW).outcome).toBe("retry");
  });

  it("of Mattermost name their error", () => {
    const error = (id: string, status: number) => answered(status, { id, status_code: status });
    expect(judgeMattermostWebhook(answered(200, "ok"), NOW).outcome).toBe("delivered");
    expect(judgeMattermostWebhook(error("web.incoming_webhook.invalid.app_error", 400), NOW).outcome).toBe("disable");
    expect(judgeMattermostWebhook(error("web.incoming_webhook.parse.app_error", 400), NOW).outcome).toBe("abort");
    expect(judgeMattermostWebhook(answered(502, "bad gateway"), NOW).outcome).toBe("retry");
    expect(judgeMattermostWebhook(answered(401, "a login page"), NOW).outcome).toBe("retry");
  });

  it("of Rocket.Chat say whether it worked", () => {
    expect(judgeRocketchat(answered(200, { success: true }), NOW).outcome).toBe("delivered");
    const refused = { success: false, error: "Invalid integration id or token provided." };
    expect(judgeRocketchat(answered(400, refused), NOW).outcome).toBe("disable");
    expect(judgeRocketchat(answered(200, { success: false, error: "error-message-size-exceeded" }), NOW).outcome).toBe(
      "abort",
    );
  });

  it("of Teams accept first, and name what is wrong with the workflow", () => {
    expect(judgeTeams(answered(202), NOW).outcome).toBe("delivered");
    const off = { error: { code: "WorkflowTriggerIsNotEnabled", message: "…" } };
    expect(judgeTeams(answered(400, off), NOW).outcome).toBe("disable");
    expect(judgeTeams(answered(404), NOW).outcome).toBe("disable");
    expect(judgeTeams(answered(413), NOW).outcome).toBe("abort");
    expect(judgeTeams(answered(429, "", { "retry-after": "10" }), NOW)).toMatchObject({ laneDelayMs: 10_000 });
    const connector = "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 413";
    expect(judgeTeams(answered(200, connector), NOW).outcome).toBe("abort");
  });
});

describe("Mattermost's API", () => {
  it("tells a missing post from a missing channel and from a token that is no longer good", () => {
    const error = (id: string, status: number) => judgeMattermostApi(answered(status, { id }), NOW);
    expect(error("app.post.get.app_error", 404)).toMatchObject({ gone: true });
    expect(error("app.channel.get.existing.app_error", 404)).toMatchObject({
      gone: false,
      verdict: { outcome: "disable" },
    });
    expect(error("api.context.session_expired.app_error", 401)).toMatchObject({ verdict: { outcome: "disable" } });
    expect(error("api.context.permissions.app_error", 403)).toMatchObject({ verdict: { outcome: "disable" } });
    expect(judgeMattermostApi(answered(201, { id: "p1" }), NOW)).toMatchObject({ ok: true });
    expect(judgeMattermostApi(answered(503, "<html>"), NOW)).toMatchObject({ verdict: { outcome: "retry" } });
  });
});

describe("mail providers", () => {
  it("refuse a key, a recipient, or one mail, each with its own end", () => {
    expect(judgeEmail("resend", answered(200, { id: "x" }), NOW).outcome).toBe("delivered");
    expect(judgeEmail("resend", answered(403, { name: "invalid_api_key" }), NOW).outcome).toBe("disable");
    expect(judgeEmail("resend", answered(422, { name: "validation_error" }), NOW).outcome).toBe("abort");
    expect(judgeEmail("resend", answered(429, { name: "daily_quota_exceeded" }), NOW)).toMatchObject({
      laneDelayMs: 3_600_000,
    });
    expect(judgeEmail("postmark", answered(422, { ErrorCode: 406 }), NOW).outcome).toBe("disable");
    expect(judgeEmail("postmark", answered(422, { ErrorCode: 300 }), NOW).outcome).toBe("abort");
    expect(judgeEmail("sendgrid", answered(202), NOW).outcome).toBe("delivered");
    expect(judgeEmail("sendgrid", answered(503), NOW).outcome).toBe("retry");
  });

  it("that already have this mail are not sent it again", () => {
    expect(judgeEmail("resend", answered(409, { name: "invalid_idempotent_request" }), NOW).outcome).toBe("delivered");
    expect(judgeEmail("resend", answered(409, { name: "concurrent_idempotent_requests" }), NOW).outcome).toBe("retry");
  });
});
