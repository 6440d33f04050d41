/** The form that starts a job: what it asks in a Slack modal, and what its answers mean. */
import { PlatformId } from "../contract/chat.ts";
import { JobRequest } from "../contract/job.ts";
import type { FieldProblem } from "../contract/rpc.ts";
import { ConnectionName, z } from "../contract/words.ts";
import { fieldProblems } from "../problem.ts";
import { readTimeLimit } from "./command.ts";

export const FORM_ID = "firewatch:submit";

/** Goes with the form and comes back with it. */
export const FormMetadata = z.object({ connection: ConnectionName, channel: PlatformId.optional() });
export type FormMetadata = z.infer<typeof FormMetadata>;

/** Slack takes no longer text in one field, and no more choices in one list. */
const MAX_TEXT = 3_000;
const MAX_CHOICES = 100;

const SCRIPT = "#!/bin/bash -l\n#SBATCH --nodes=1\n\nsrun hostname\n";

interface Field {
  label: string;
  hint?: string;
  placeholder?: string;
  multiline?: true;
  initial?: string;
  required?: true;
}

/** One block each; its name is also the key of its answer. */
const FIELDS = {
  script: { label: "Script", multiline: true, initial: SCRIPT, required: true },
  name: { label: "Name", placeholder: "simulate" },
  time: { label: "Time limit", placeholder: "2h, 45m or 1:30:00" },
  nodes: { label: "Nodes", placeholder: "1" },
  partition: { label: "Partition" },
  account: { label: "Account" },
  env: {
    label: "Values for the script",
    multiline: true,
    hint: "One NAME=value in each line; any text may be a value.",
  },
  outputs: {
    label: "Results to fetch",
    multiline: true,
    hint: "One path in each line, fetched when the job has ended.",
  },
} as const satisfies Record<string, Field>;

const FIELD_NAMES = ["system", ...Object.keys(FIELDS), "here"];

const plain = (text: string) => ({ type: "plain_text", text: text.slice(0, 75) });

/** As `views.open` takes it. */
export function submitView(metadata: FormMetadata, systems: readonly string[]): Record<string, unknown> {
  const options = systems.slice(0, MAX_CHOICES).map((name) => ({ text: plain(name), value: name }));
  const [first] = options;
  const system =
    first === undefined
      ? { type: "plain_text_input", action_id: "value", max_length: 63 }
      : { type: "static_select", action_id: "value", options, initial_option: first };
  return {
    type: "modal",
    callback_id: FORM_ID,
    private_metadata: JSON.stringify(metadata),
    title: plain("Submit a job"),
    submit: plain("Submit"),
    close: plain("Not now"),
    blocks: [
      { type: "context", elements: [plain(`Through ${metadata.connection}`)] },
      { type: "input", block_id: "system", label: plain("System"), element: system },
      ...Object.entries<Field>(FIELDS).map(([name, field]) => input(name, field)),
      ...(metadata.channel === undefined ? [] : [shareChoice]),
    ],
  };
}

const shareChoice = {
  type: "input",
  block_id: "here",
  optional: true,
  label: plain("Its message"),
  element: {
    type: "checkboxes",
    action_id: "value",
    options: [{ text: plain("Show it in this channel, for everybody in it"), value: "yes" }],
  },
};

function input(name: string, { label, hint, placeholder, multiline, initial, required }: Field) {
  return {
    type: "input",
    block_id: name,
    label: plain(label),
    optional: required !== true,
    ...(hint === undefined ? {} : { hint: plain(hint) }),
    element: {
      type: "plain_text_input",
      action_id: "value",
      max_length: MAX_TEXT,
      multiline: multiline === true,
      ...(placeholder === undefined ? {} : { placeholder: plain(placeholder) }),
      ...(initial === undefined ? {} : { initial_value: initial }),
    },
  };
}

export type FormErrors = Record<string, string>;
export type ReadForm = { ok: true; request: JobRequest; here: boolean } | { ok: false; errors: FormErrors };

/** What was filled in, read by the schema of every other way in. */
export function readForm(values: Readonly<Record<string, string>>): ReadForm {
  const errors: FormErrors = {};
  const { system, script, name, partition, account, time, nodes } = values;
  const timeLimitSeconds = time === undefined ? undefined : readTimeLimit(time.trim());
  if (time !== undefined && timeLimitSeconds === undefined) errors.time = "must be like 45m, 2h, 1d or 1:30:00";
  const count = nodes === undefined ? undefined : Number(/^\d{1,6}$/.exec(nodes.trim())?.[0] ?? Number.NaN);
  if (Number.isNaN(count)) errors.nodes = "must be a number";
  const pairs = linesOf(values.env).map((line) => /^([^=\s]+)=(.*)$/.exec(line));
  if (pairs.includes(null)) errors.env = "must have one NAME=value in each line";
  if (Object.keys(errors).length > 0) return { ok: false, errors };

  const resources = {
    ...(partition === undefined ? {} : { partition: partition.trim() }),
    ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
    ...(count === undefined ? {} : { nodes: count }),
  };
  const asked = {
    system,
    script: script?.replaceAll("\r\n", "\n"),
    ...(name === undefined ? {} : { name: name.trim() }),
    ...(account === undefined ? {} : { account: account.trim() }),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
    ...(pairs.length === 0 ? {} : { env: Object.fromEntries(pairs.map((pair) => [pair?.[1], pair?.[2]])) }),
    ...(values.outputs === undefined
      ? {}
      : { outputs: linesOf(values.outputs).map((path) => ({ path: path.trim() })) }),
  };
  const read = JobRequest.safeParse(asked);
  if (!read.success) return { ok: false, errors: errorsByField(fieldProblems(read.error, asked)) };
  return { ok: true, request: read.data, here: values.here === "yes" };
}

const linesOf = (text = ""): string[] => text.split(/\r?\n/).filter((line) => line.trim() !== "");

const ELSEWHERE: Record<string, string> = { timeLimitSeconds: "time", workingDirectory: "script" };

/** Each problem at the field that it is about; what belongs to none stands at the script. */
export function errorsByField(problems: readonly FieldProblem[]): FormErrors {
  const errors: FormErrors = {};
  for (const { field, message } of problems) {
    const steps = field.split("/").slice(1);
    const known = steps.map((step) => ELSEWHERE[step] ?? step).find((step) => FIELD_NAMES.includes(step)) ?? "script";
    const inner = steps.filter((step) => step !== known && ELSEWHERE[step] !== known && step !== "resources");
    errors[known] ??= [...inner, message].join(" ").slice(0, 150);
  }
  return errors;
}
