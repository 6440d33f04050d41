import { expect, it } from "vitest";
import { IdentityRequest } from "./access.ts";
import { OidcConfig } from "./hook.ts";

const GITHUB = "https://token.actions.githubusercontent.com";
const binding = (issuer: string, claims: Record<string, unknown>, audience = "firewatch") => ({
  issuer,
  audience,
  claims,
});
const wrong = (value: unknown): string[] =>
  [IdentityRequest, OidcConfig].map((schema) => schema.safeParse(value).error?.issues[0]?.path.join(".") ?? "");

it.each([
  [GITHUB, { repository_id: "74", ref: "refs/heads/main" }],
  [`${GITHUB}/`, { repository_owner_id: 65 }],
  ["https://gitlab.com", { project_id: "7" }],
  ["https://ci.example.org", { sub: "whoever its operator means" }],
])("tokens of %s may be bound by what lasts: %j", (issuer, claims) => {
  expect(wrong(binding(issuer, claims))).toEqual(["", ""]);
});

it.each([
  [GITHUB, { repository: "org/name" }],
  [GITHUB, { sub: "repo:org/name:ref:refs/heads/main" }],
  [`${GITHUB}/`, { repository_owner: "org", ref: "refs/heads/main" }],
  ["https://gitlab.com", { project_path: "group/name" }],
])("tokens of %s are bound by no name alone: %j", (issuer, claims) => {
  expect(wrong(binding(issuer, claims))).toEqual(["claims", "claims"]);
});

it("an issuer's default audience is nobody's own", () => {
  for (const audience of ["https://github.com/org", "https://gitlab.com"])
    expect(wrong(binding(GITHUB, { repository_id: "74" }, audience))).toEqual(["audience", "audience"]);
});
