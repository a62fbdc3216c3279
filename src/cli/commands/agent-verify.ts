import type { Command } from "commander";
import {
  PROOF_DOCUMENT_LENGTH_MAX,
  verifyProofDocument,
  type ProofReport,
} from "../../../protocols/checkpoint/proof-document.ts";
import type { Cli } from "../cli.ts";
import { EXIT } from "../exit.ts";
import { readText } from "../input.ts";
import { paint, type CliIo } from "../io.ts";
import { facts, plain } from "../text.ts";

/** UTF-8 has at most three bytes for a UTF-16 code unit. */
const PROOF_BYTES_MAX: number = PROOF_DOCUMENT_LENGTH_MAX * 3;

export function verifyCommand(agent: Command, cli: Cli): void {
  agent
    .command("verify")
    .argument("<file>", "what `agent get DID --proof` printed; - for standard input")
    .description("check a proof offline (needs no node)")
    .action(async (file: string, _options, command: Command) => {
      const report = verifyProofDocument(await readText(cli.io, file, PROOF_BYTES_MAX));
      await cli.show(command, report, () => describeReport(cli.io, report));
      if (!report.ok) cli.exitCode = EXIT.refused;
    });
}

/** Nothing in it could be checked: it is no proof document at all, or no longer the text that was written. */
function isUnread(problem: string): boolean {
  return problem.startsWith("document: ");
}

const UNREAD_FIX =
  "this is no proof document as `registry agent get <did> --proof` writes it: give that file as it was written, neither edited nor indented anew";

function describeReport(io: CliIo, report: ProofReport): string {
  const verdict = report.ok
    ? paint(io.stdout, io.environment, "green", "✓ verified")
    : paint(io.stdout, io.environment, "red", "✗ does not hold");
  const { checkpoint } = report;
  const lines = facts(
    [
      ["agent", plain(report.did ?? "")],
      ["id", plain(report.humanReadableId ?? "")],
      ["registry", plain(report.registry ?? "")],
      ["revision", report.revision === null ? "" : String(report.revision)],
      ["checkpoint", checkpoint === null ? "" : `${checkpoint.size} commits, ${plain(checkpoint.origin)}`],
      ["as of", checkpoint === null ? "" : asOf(checkpoint.time, report.isLastCommit)],
      ["problems", report.problems.map(plain).join("\n")],
      ["what to do", report.problems.some(isUnread) ? UNREAD_FIX : ""],
    ],
    "  ",
  );
  return lines === "" ? verdict : `${verdict}\n${lines}`;
}

function asOf(timeMs: number, isLastCommit: boolean): string {
  const time = Number.isFinite(new Date(timeMs).getTime()) ? new Date(timeMs).toISOString() : String(timeMs);
  return isLastCommit ? `${time}, the checkpoint's last commit` : `${time}, an earlier commit than the checkpoint's last`;
}
