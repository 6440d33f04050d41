/** A preset is all that a user of a platform names, besides their credential. */
import { expect, it } from "vitest";
import { ConnectionRequest } from "../../shared/contract/connection.ts";
import { PRESET_NAMES } from "../../shared/contract/presets.ts";
import { readRequest } from "../../workers/poller/site.ts";

const TOKEN_URL = "https://auth.cscs.ch/auth/realms/firecrest-clients/protocol/openid-connect/token";

it.each(PRESET_NAMES)("%s fills in address, API and token address", (preset) => {
  const path = preset.replace("cscs-", "");
  const request = ConnectionRequest.parse({ preset, auth: { clientId: "me", clientSecret: "hush" } });
  expect(readRequest(request, 0)).toMatchObject({
    config: {
      api: "v2",
      url: `https://api.cscs.ch/${path}/firecrest/v2`,
      auth: { type: "client_credentials", tokenUrl: TOKEN_URL, clientId: "me" },
    },
    secret: "hush",
  });
  const byKey = ConnectionRequest.parse({ preset, auth: { apiKey: "hush" } });
  expect(readRequest(byKey, 0).config.auth).toEqual({ type: "api_key", tokenUrl: TOKEN_URL });
});

it("an unknown platform is refused", () => {
  expect(ConnectionRequest.safeParse({ preset: "cscs-xyz", auth: { apiKey: "hush" } }).success).toBe(false);
});
