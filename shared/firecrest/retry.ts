/**
 * Whether an operation of the port may be sent again when its answer was lost: what a caller can rely on, and what the clients'
 * errors say (`blindly` is `later`, the others are `after_check`).
 */
import type { FileOps, Firecrest, ReservationOps } from "./port.ts";

/**
 * `blindly`: it changes nothing, or the same again. `after_check`: it may have happened, and the site shows whether it has.
 * `never`: it may have happened, and nothing shows it.
 */
export type Again = "blindly" | "after_check" | "never";

type PortMethod =
  | Exclude<keyof Firecrest, "api" | "files" | "reserving">
  | `files.${keyof FileOps}`
  | `reserving.${keyof ReservationOps}`;

export const AGAIN: Readonly<Record<PortMethod, Again>> = {
  systems: "blindly",
  parameters: "blindly",
  services: "blindly",
  service: "blindly",
  heartbeats: "blindly",
  whoami: "blindly",
  nodes: "blindly",
  partitions: "blindly",
  reservations: "blindly",
  submit: "after_check",
  cancel: "blindly",
  attach: "never",
  round: "blindly",
  findByName: "blindly",
  outputPaths: "blindly",
  stage: "after_check",
  findStaged: "blindly",
  findUpload: "blindly",
  stageUpload: "after_check",
  fileJob: "after_check",
  observe: "blindly",
  release: "blindly",
  probe: "blindly",
  "files.ls": "blindly",
  "files.stat": "blindly",
  "files.head": "blindly",
  "files.tail": "blindly",
  "files.view": "blindly",
  "files.checksum": "blindly",
  "files.fileType": "blindly",
  "files.download": "blindly",
  "files.mkdir": "after_check",
  "files.symlink": "after_check",
  "files.chmod": "after_check",
  "files.chown": "after_check",
  "files.remove": "after_check",
  "files.upload": "after_check",
  "files.move": "after_check",
  "files.copy": "after_check",
  "files.compress": "after_check",
  "files.extract": "after_check",
  "reserving.list": "blindly",
  "reserving.create": "after_check",
  "reserving.change": "after_check",
  "reserving.remove": "after_check",
};
