/** What the workflow runner gives and takes: inputs, outputs, state for the post step, and lines in the log. */
import { randomUUID } from "node:crypto";
import { appendFileSync } from "node:fs";
import { EOL } from "node:os";

/** An input of action.yml, trimmed; "" where it was not given. */
export const input = (name) => (process.env[`INPUT_${name.replaceAll(" ", "_").toUpperCase()}`] ?? "").trim();

/** The lines of an input that say something. */
export const lines = (name) =>
  input(name)
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "");

export const state = (name) => process.env[`STATE_${name}`] ?? "";

const write = (file, name, value) => {
  if (file) appendFileSync(file, `${name}=${value}${EOL}`);
};
export const output = (name, value) => write(process.env.GITHUB_OUTPUT, name, value);
export const keep = (name, value) => write(process.env.GITHUB_STATE, name, value);

export const say = (text) => void process.stdout.write(`${text}${EOL}`);
const command = (name, text) =>
  say(`::${name}::${text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A")}`);
export const fail = (text) => command("error", text);
export const warn = (text) => command("warning", text);
export const mask = (secret) => command("add-mask", secret);

/** Lines that somebody else wrote: what looks like a command of the runner in them is only text. */
export function quote(text) {
  const token = randomUUID();
  say(`::stop-commands::${token}`);
  say(text.replace(/\r?\n$/, ""));
  say(`::${token}::`);
}
