import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Command } from "commander";
import { loadOrCreateKeyFile } from "../../adapters/system/key-file.ts";
import { BUNDLE_FILE, TLS_DIRECTORY } from "../../adapters/system/tls-files.ts";
import { KEY_FILE_NAME } from "../../config.ts";
import { NodeUnreachableError } from "../../admin/errors.ts";
import { createKeyMaterial } from "../../identity/key-material.ts";
import { spiffeId } from "../../identity/name.ts";
import { bundleAuthorities, certificateFacts, describeValidity, storedBundle, type CertificateFacts } from "../certificates.ts";
import type { Cli } from "../cli.ts";
import { CliError, EXIT } from "../exit.ts";
import { facts } from "../text.ts";

export function idCommand(program: Command, cli: Cli): void {
  program
    .command("id")
    .option("--certificates", "show its certificate (of a running node) and the authorities of its trust bundle, too")
    .description("show who this registry is (needs no node, only its key)")
    .action(async (options: { certificates?: boolean }, command: Command) => {
      const { dataDir, name: configured } = cli.settings(command, ["dataDir", "name"]).config;
      const keyFile = join(dataDir, KEY_FILE_NAME);
      if (!existsSync(keyFile)) {
        const message = `there is no registry in ${dataDir}; make one with \`registry init\`, or name its directory with --data-dir`;
        throw new CliError(EXIT.failure, "not_found", message);
      }
      const { did, peerId, trustDomain } = createKeyMaterial((await loadOrCreateKeyFile(keyFile)).seed);
      // The name is not part of the key: a running node knows the one that it was started with.
      const running = await cli.withNode(command, (client) => client.identity()).catch(() => undefined);
      const name = running?.did === did ? running.name : configured;
      const own = { name, did, peerId, spiffeId: spiffeId(trustDomain, name), trustDomain };
      const certificates = options.certificates === true ? await readCertificates(cli, command, dataDir) : undefined;
      const identity = { ...own, ...certificates };
      await cli.show(command, identity, () =>
        facts([
          ["name", name],
          ["DID", did],
          ["PeerId", peerId],
          ["SPIFFE ID", identity.spiffeId],
          ["trust domain", trustDomain],
          ...describeCertificates(certificates, Date.now()),
        ]),
      );
    });
}

interface Certificates {
  /** What is served now; its key stays in the node's memory, so that there is none without a node. */
  readonly svid: CertificateFacts | null;
  readonly authorities: readonly CertificateFacts[];
  /** SPIFFE bundle document. */
  readonly bundle: string;
}

/** From the running node, else what it left in the data directory. @throws CliError `not_found`, AdminError */
async function readCertificates(cli: Cli, command: Command, dataDir: string): Promise<Certificates> {
  try {
    const { svid, bundle } = await cli.withNode(command, (client) => client.certificates());
    return { svid: certificateFacts(svid.certificate), authorities: bundleAuthorities(bundle), bundle };
  } catch (error) {
    if (!(error instanceof NodeUnreachableError)) throw error;
  }
  const bundle = storedBundle(join(dataDir, TLS_DIRECTORY, BUNDLE_FILE));
  if (bundle === undefined) {
    const message = `there is no trust bundle in ${dataDir} yet; it is made when the registry starts with an HTTPS interface`;
    throw new CliError(EXIT.failure, "not_found", message);
  }
  cli.say("no node is running: these are the authorities that it published last");
  return { svid: null, authorities: bundleAuthorities(bundle), bundle };
}

function describeCertificates(certificates: Certificates | undefined, nowMs: number): [string, string][] {
  if (certificates === undefined) return [];
  const { svid, authorities } = certificates;
  const line = (certificate: CertificateFacts): string =>
    `${describeValidity(certificate, nowMs)}, until ${certificate.notAfter}\nSHA-256 ${certificate.fingerprint}`;
  return [
    ["certificate", svid === null ? "none without a running node" : `${svid.spiffeId ?? ""}\n${line(svid)}`],
    ["authorities", authorities.map(line).join("\n")],
  ];
}
