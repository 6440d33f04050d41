/**
 * The reservations service: deprecated, synchronous, and of use only where the site has installed a tool of its own behind it.
 * What a change did, only a list can tell.
 */
import { count, fieldsOf, given, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { MachineReservation, ReservationOps, ReservationRequest } from "../port.ts";
import type { Call, Site } from "./call.ts";

const NAME = /^[a-z_$][-a-z_$0-9]{0,63}$/;
const WORD = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;
const TIME = /^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d$/;

/** The shell's words where the site has not installed the tool. */
const NO_TOOL = /failed to run command/;

export function createReserving(site: Site): ReservationOps {
  const path = "/reservations";
  const call: Call = (request) => site.call(request).catch(withoutTool);
  const at = (name: string) => ({ path: `${path}/${nameOf(name)}`, operation: path });
  return {
    async list(system) {
      const { body } = await call({ method: "GET", path, system, effect: false });
      const rows = fieldsOf(body).success;
      return (Array.isArray(rows) ? rows : []).flatMap((row) => reservationOf(fieldsOf(row)) ?? []);
    },
    async create(system, name, account, request) {
      const form = { reservation: nameOf(name), account: checked("the account", account, WORD), ...formOf(request) };
      await call({ method: "POST", path, system, form, effect: true });
    },
    async change(system, name, request) {
      await call({ method: "PUT", ...at(name), system, form: formOf(request), effect: true });
    },
    async remove(system, name) {
      await call({ method: "DELETE", ...at(name), system, effect: true, expect: "nothing" });
    },
  };
}

function withoutTool(error: unknown): never {
  if (!(error instanceof FirecrestError) || !NO_TOOL.test(error.message)) throw error;
  throw new FirecrestError(`the site has no tool for reservations (${error.message})`, {
    code: "not_supported",
    retry: "never",
    cause: error,
  });
}

function formOf({ nodes, nodeType, startsAt, endsAt }: ReservationRequest) {
  if (startsAt >= endsAt) throw refused("a reservation must end after it begins");
  return {
    numberOfNodes: checked("the number of nodes", String(nodes), /^[1-9]\d{0,5}$/),
    nodeType: checked("the type of node", nodeType, WORD),
    starttime: checked("the beginning", startsAt, TIME),
    endtime: checked("the end", endsAt, TIME),
  };
}

const nameOf = (name: string): string => checked("the name of the reservation", name, NAME);

/** The service pastes these into a command. */
function checked(what: string, value: string, pattern: RegExp): string {
  if (!pattern.test(value)) throw refused(`${what} must match ${pattern.source}`);
  return value;
}

const refused = (message: string): FirecrestError =>
  new FirecrestError(message, { code: "invalid_request", retry: "never" });

/** All fields are texts; times have no zone and are left out. */
function reservationOf(row: Record<string, unknown>): MachineReservation | undefined {
  const name = text(row.reservationname);
  if (name === undefined) return undefined;
  const nodes = text(row.nodes) ?? (count(row.nodecnt) === undefined ? undefined : `${count(row.nodecnt)} nodes`);
  return { name, ...given({ state: text(row.state), nodes }) };
}
