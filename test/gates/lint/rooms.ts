/**
 * Who may import whom: each room names the paths that it may import besides itself, and the packages that it may use. A path
 * that ends in `/` is a folder. Of several rooms that hold a file, the longest path counts; what no room allows is refused.
 */
export interface Room {
  readonly path: string;
  readonly mayImport: readonly string[];
  /** Packages and Node modules; "any" where effects are at home. A name stands for its subpaths too. */
  readonly packages: readonly string[] | "any";
  /** Paths inside what `mayImport` allows that are refused all the same. */
  readonly mayNotImport?: readonly string[];
}

const CONTRACTS = ["protocols/"];
const PORTS = [...CONTRACTS, "src/ports/"];
const NOUNS = ["catalog", "membership", "replication", "reputation", "discovery"];
const MESSAGES = NOUNS.map((noun) => `src/${noun}/messages.ts`);
const ACTORS = NOUNS.map((noun) => `src/${noun}/actor.ts`);
const NOUN_FOLDERS = NOUNS.map((noun) => `src/${noun}/`);
const NOUN = [...PORTS, "src/actors/", "src/api.ts", "src/federation-api.ts", ...MESSAGES];
/** Hashes and signatures of fixed inputs: no time, no chance. What of it is not pure, the determinism rule refuses. */
const PURE = ["node:crypto"];

export const ROOMS: readonly Room[] = [
  { path: "protocols/", mayImport: [], packages: ["multiformats", "node:buffer", "node:crypto", "structured-headers", "zod"] },
  // Writes the schema file from the rules; a tool that no other file imports.
  { path: "protocols/record/write-schema.ts", mayImport: CONTRACTS, packages: ["node:fs"] },

  { path: "src/ports/", mayImport: CONTRACTS, packages: [] },
  { path: "src/actors/", mayImport: ["src/ports/"], packages: [] },
  { path: "src/identity/", mayImport: PORTS, packages: ["@peculiar/x509", "reflect-metadata", ...PURE] },
  { path: "src/api.ts", mayImport: CONTRACTS, packages: [] },
  { path: "src/federation-api.ts", mayImport: [...PORTS, "src/api.ts"], packages: [] },
  { path: "src/config.ts", mayImport: [...CONTRACTS, "src/identity/"], packages: ["@multiformats/multiaddr", "zod"] },

  ...NOUN_FOLDERS.map((path) => ({ path, mayImport: NOUN, packages: PURE })),
  // Hashes a million tree nodes: a pure function in native code.
  { path: "src/catalog/tree/", mayImport: [...CONTRACTS, "src/catalog/"], packages: ["@chainsafe/hashtree", ...PURE] },
  {
    path: "src/replication/",
    // A replica is a copy of a catalogue: the same tree and rows under another writer.
    mayImport: [...NOUN, "src/config.ts", "src/catalog/"],
    mayNotImport: ACTORS.filter((path) => path !== "src/replication/actor.ts"),
    packages: PURE,
  },

  { path: "src/diagnosis.ts", mayImport: [...PORTS, "src/api.ts", ...MESSAGES], packages: [] },
  { path: "src/agent-cache.ts", mayImport: [...PORTS, "src/api.ts"], packages: [] },
  {
    path: "src/agent-reading.ts",
    mayImport: [...PORTS, "src/actors/", "src/api.ts", "src/agent-cache.ts", "src/identity/", "src/catalog/"],
    mayNotImport: ACTORS,
    packages: [],
  },
  { path: "src/cursor-seal.ts", mayImport: PORTS, packages: PURE },
  { path: "src/answered.ts", mayImport: ["src/actors/", "src/api.ts"], packages: [] },
  {
    path: "src/federation.ts",
    mayImport: [
      ...PORTS,
      "src/actors/",
      "src/answered.ts",
      "src/api.ts",
      "src/cursor-seal.ts",
      "src/federation-api.ts",
      "src/replication/limiter.ts",
      ...MESSAGES,
    ],
    packages: [],
  },
  {
    path: "src/operations.ts",
    mayImport: [
      ...[...PORTS, "src/actors/", "src/api.ts", "src/federation-api.ts", "src/diagnosis.ts", "src/identity/"],
      ...["src/agent-cache.ts", "src/agent-reading.ts", "src/answered.ts"],
      ...NOUN_FOLDERS,
    ],
    mayNotImport: ACTORS,
    packages: [],
  },
  {
    path: "src/node.ts",
    mayImport: [
      ...[...PORTS, "src/actors/", "src/api.ts", "src/federation-api.ts", "src/config.ts", "src/identity/"],
      ...["src/agent-cache.ts", "src/federation.ts", "src/operations.ts", ...NOUN_FOLDERS],
    ],
    packages: [],
  },

  ...["certificates", "checksum", "memory", "names"].map((adapter) => ({
    path: `src/adapters/${adapter}/`,
    mayImport: PORTS,
    packages: "any" as const,
  })),
  // Both dial what others name, and look it up and judge it alike.
  ...["libp2p", "web"].map((adapter) => ({
    path: `src/adapters/${adapter}/`,
    mayImport: [...PORTS, "src/adapters/names/"],
    packages: "any" as const,
  })),
  { path: "src/adapters/files.ts", mayImport: [], packages: ["node:crypto", "node:fs", "node:path"] },
  ...["level", "system"].map((adapter) => ({
    path: `src/adapters/${adapter}/`,
    mayImport: [...PORTS, "src/adapters/files.ts"],
    packages: "any" as const,
  })),
  // The twins run inside simulations: nothing of the outside world may reach them.
  { path: "src/adapters/memory/", mayImport: PORTS, packages: PURE },
  {
    path: "src/compose.ts",
    mayImport: [
      ...[...PORTS, "src/adapters/", "src/api.ts", "src/federation-api.ts", "src/config.ts", "src/identity/"],
      ...["src/facade/", "src/node.ts", "src/web-face.ts"],
    ],
    packages: "any",
  },
  {
    path: "src/web-face.ts",
    mayImport: [...PORTS, "src/adapters/", "src/api.ts", "src/config.ts", "src/identity/", "src/facade/", "src/node.ts"],
    packages: "any",
  },
  {
    path: "src/index.ts",
    mayImport: ["protocols/", "src/api.ts", "src/catalog/import/", "src/compose.ts", "src/config.ts"],
    packages: ["node:path"],
  },

  { path: "src/admin/", mayImport: [...PORTS, "src/api.ts"], packages: "any" },
  {
    path: "src/facade/",
    mayImport: [
      ...PORTS,
      "src/api.ts",
      "src/federation-api.ts",
      "src/config.ts",
      "src/identity/",
      "src/catalog/import/",
      "src/admin/",
    ],
    packages: "any",
  },
  ...cliRooms(),

  {
    path: "simulations/",
    mayImport: [
      ...PORTS,
      ...["src/actors/", "src/api.ts", "src/config.ts", "src/identity/", "src/node.ts", ...NOUN_FOLDERS],
      // A checksum over a store is as pure as the store below it.
      ...["src/adapters/memory/", "src/adapters/checksum/"],
    ],
    mayNotImport: ACTORS,
    packages: "any",
  },
  { path: "bench/", mayImport: ["protocols/", "src/"], packages: "any" },
  { path: "test/", mayImport: ["protocols/", "src/", "simulations/", "bench/"], packages: "any" },
];

function cliRooms(): Room[] {
  // The command line speaks to a running node; what it does alone (settings, reading agents, checking proofs) is pure.
  const mayImport = [
    ...CONTRACTS,
    ...["src/api.ts", "src/config.ts", "src/identity/", "src/catalog/import/"],
    ...["client", "errors", "messages"].map((file) => `src/admin/${file}.ts`),
    "src/cli/",
  ];
  const commands = "src/cli/commands/";
  // It is the node: it composes it and opens its admin socket.
  const start = [...mayImport, "src/compose.ts", "src/admin/server.ts", "src/adapters/system/"];
  // They make and show the key of a registry that does not run.
  const key = [...mayImport, "src/adapters/system/key-file.ts"];
  // They look at what a registry that does not run has left in its data directory.
  const secrets = [...key, ...["tls-files", "token-file"].map((file) => `src/adapters/system/${file}.ts`)];
  return [
    { path: "src/cli/", mayImport, packages: "any" },
    { path: "src/cli/registry.js", mayImport: ["dist/src/cli/main.js"], packages: [] },
    { path: `${commands}start.ts`, mayImport: start, packages: "any" },
    {
      path: `${commands}init.ts`,
      mayImport: [...key, "src/adapters/level/data-directory.ts", "src/adapters/system/"],
      packages: "any",
    },
    { path: `${commands}id.ts`, mayImport: secrets, packages: "any" },
    {
      path: `${commands}doctor.ts`,
      mayImport: [...secrets, "src/adapters/system/web-certificate-pair.ts"],
      packages: "any",
    },
  ];
}

/** The room of a path from the repository root, `undefined` where the table says nothing. */
export function roomOf(path: string): Room | undefined {
  const holding = ROOMS.filter((room) => holds(room.path, path));
  // The later of two equal paths refines the earlier.
  return holding.reduce<Room | undefined>(
    (best, room) => (room.path.length >= (best?.path.length ?? 0) ? room : best),
    undefined,
  );
}

/**
 * Why the file at `from` may not import `specifier`, or `undefined` when it may.
 * @param from path from the repository root, with `/`
 */
export function importProblem(from: string, specifier: string): string | undefined {
  const room = roomOf(from);
  if (room === undefined) return `${from} belongs to no room: name its room in test/gates/lint/rooms.ts`;
  if (!specifier.startsWith(".")) {
    const { packages } = room;
    if (packages === "any" || packages.some((name) => specifier === name || specifier.startsWith(`${name}/`))) return undefined;
    return `${room.path} may not use "${specifier}": effects come in through a port`;
  }
  const target = new URL(specifier, `file:///${from}`).pathname.slice(1);
  const isAllowed = [room.path, ...room.mayImport].some((allowed) => holds(allowed, target));
  const isRefused = room.mayNotImport?.includes(target) === true;
  if (isAllowed && !isRefused) return undefined;
  return `${room.path} may not import ${target}; it may import ${room.mayImport.join(", ") || "nothing but itself"}`;
}

function holds(path: string, file: string): boolean {
  return path.endsWith("/") ? file.startsWith(path) : file === path;
}
