/** Platforms that a connection can be made for by their name. A person there types the name and their credential, nothing else. */

export interface Preset {
  platform: string;
  /** FirecREST v2, which is all that CSCS has answered since December 2025. */
  url: string;
  /** Where v1 was, for whoever finds it in older scripts. */
  formerUrl: string;
  tokenUrl: string;
  systems: readonly string[];
}

const cscs = (platform: string, path: string, systems: readonly string[]): Preset => ({
  platform,
  url: `https://api.cscs.ch/${path}/firecrest/v2`,
  formerUrl: `https://api.cscs.ch/${path}/firecrest/v1`,
  tokenUrl: "https://auth.cscs.ch/auth/realms/firecrest-clients/protocol/openid-connect/token",
  systems,
});

export const PRESETS = {
  "cscs-hpc": cscs("CSCS, HPC platform", "hpc", ["daint", "eiger"]),
  "cscs-ml": cscs("CSCS, machine learning platform", "ml", ["bristen", "clariden"]),
  "cscs-cw": cscs("CSCS, climate and weather platform", "cw", ["santis"]),
} as const satisfies Record<string, Preset>;

export const PRESET_NAMES = Object.keys(PRESETS) as (keyof typeof PRESETS)[];
