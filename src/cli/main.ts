import { runCli } from "./program.ts";

// A reader that has seen enough (`registry agent export | head`) is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));

const exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  environment: process.env,
  workingDirectory: process.cwd(),
});

// Standard input that is still open, or a timer of a library, must not keep a command that has ended.
process.stdout.write("", () => process.exit(exitCode));
