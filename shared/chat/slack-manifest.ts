/** The Slack app as one paste: what it is called, where it sends, and what its bot may do. Made from what the code uses. */
import { VERBS } from "./command.ts";

/** Each with what it is for. */
export const SLACK_SCOPES = {
  commands: "to be asked by /hpc",
  "chat:write": "to post and edit its messages",
  "chat:write.public": "to post where somebody asked it to, without being invited first",
  "im:write": "to write to one person",
  "im:history": "to find a message again whose answer was lost, instead of posting it twice",
  "channels:history": "to do the same in public channels",
  "groups:history": "to do the same in private channels that it was invited to",
} as const;

/** Of Slack: longer ones are refused. */
const MAX_HINT = 1_000;

export function slackManifest(publicUrl: string, workspace: string): Record<string, unknown> {
  const url = `${publicUrl}/chat/${workspace}/slack`;
  return {
    display_information: {
      name: "Firewatch",
      description: "Starts and follows jobs on supercomputers.",
      background_color: "#1d2430",
    },
    features: {
      app_home: { home_tab_enabled: false, messages_tab_enabled: true, messages_tab_read_only_enabled: true },
      bot_user: { display_name: "Firewatch", always_online: true },
      slash_commands: [
        {
          command: "/hpc",
          url,
          description: "Jobs on supercomputers",
          usage_hint: Object.keys(VERBS).join(" | ").slice(0, MAX_HINT),
          // What people type is taken as they type it; mentions in it mean nothing to us.
          should_escape: false,
        },
      ],
    },
    oauth_config: { scopes: { bot: Object.keys(SLACK_SCOPES) } },
    settings: {
      interactivity: { is_enabled: true, request_url: url },
      org_deploy_enabled: false,
      socket_mode_enabled: false,
      token_rotation_enabled: false,
    },
  };
}
