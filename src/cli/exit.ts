import { CommanderError } from "commander";
import { ProtocolError } from "../../protocols/lib/errors.ts";
import { AdminError, NodeUnreachableError } from "../admin/errors.ts";
import { SettingsError } from "./settings/mistakes.ts";

/** Exit codes, stable for scripts. */
export const EXIT = { ok: 0, failure: 1, usage: 2, unreachable: 3, refused: 4, partial: 5 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** A command that ends with a reason for its user. */
export class CliError extends Error {
  override readonly name = "CliError";
  readonly exitCode: ExitCode;
  readonly code: string;

  constructor(exitCode: ExitCode, code: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.exitCode = exitCode;
    this.code = code;
  }
}

/** Codes of the node that speak of what the user typed, or that it refused to vouch for. */
const ADMIN_EXITS: Readonly<Partial<Record<AdminError["code"], ExitCode>>> = {
  invalid: EXIT.usage,
  bad_request: EXIT.usage,
  not_provable: EXIT.refused,
  refused: EXIT.refused,
};

export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof CliError) return error.exitCode;
  if (error instanceof SettingsError) return EXIT.usage;
  if (error instanceof NodeUnreachableError) return EXIT.unreachable;
  if (error instanceof AdminError) return ADMIN_EXITS[error.code] ?? EXIT.failure;
  if (error instanceof ProtocolError) return EXIT.refused;
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  return EXIT.failure;
}

/** A stable word for scripts: the error's own code where it has one. */
export function errorCodeOf(error: unknown): string {
  if (error instanceof SettingsError || error instanceof CommanderError) return "usage";
  if (error instanceof NodeUnreachableError) return "node_unreachable";
  const { code } = error as { code?: unknown };
  return typeof code === "string" ? code : "failure";
}
