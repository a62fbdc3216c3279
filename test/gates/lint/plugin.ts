import { relative, sep } from "node:path";
import { importProblem } from "./rooms.ts";

/** The part of the ESLint rule interface that these rules use. */
interface SyntaxNode {
  readonly type: string;
  readonly name?: string;
  readonly value?: unknown;
  readonly source?: SyntaxNode | null;
  readonly callee?: SyntaxNode;
  readonly arguments?: readonly SyntaxNode[];
}
interface RuleContext {
  readonly filename: string;
  readonly cwd: string;
  report(problem: { node: SyntaxNode; message: string }): void;
}
type Visitor = Readonly<Record<string, (node: SyntaxNode) => void>>;
interface Rule {
  create(context: RuleContext): Visitor;
}

/** Folder rule: see rooms.ts. */
const rooms: Rule = {
  create(context) {
    const from = relative(context.cwd, context.filename).replaceAll(sep, "/");
    const check = (node: SyntaxNode): void => {
      const specifier = node.source?.value;
      if (typeof specifier !== "string") return;
      const message = importProblem(from, specifier);
      if (message !== undefined) context.report({ node, message });
    };
    return {
      ImportDeclaration: check,
      ExportNamedDeclaration: check,
      ExportAllDeclaration: check,
      ImportExpression: check,
      TSImportType: check,
    };
  },
};

/** `new Date()` and `Date()` read the machine's clock; `new Date(timeMs)` does not. */
const noClockRead: Rule = {
  create(context) {
    const message = "this reads the machine's clock: take the time from the clock port";
    const isDate = (node: SyntaxNode): boolean => node.callee?.type === "Identifier" && node.callee.name === "Date";
    return {
      NewExpression: (node) => {
        if (isDate(node) && node.arguments?.length === 0) context.report({ node, message });
      },
      CallExpression: (node) => {
        if (isDate(node)) context.report({ node, message });
      },
    };
  },
};

/** Node strips types and does not transform: a decorator would reach it as it stands. */
const noDecorator: Rule = {
  create: (context) => ({
    Decorator: (node) => context.report({ node, message: "decorators do not run without a transform: call a function" }),
  }),
};

const plugin: { readonly meta: { readonly name: string }; readonly rules: Readonly<Record<string, Rule>> } = {
  meta: { name: "gates" },
  rules: { rooms, "no-clock-read": noClockRead, "no-decorator": noDecorator },
};
export default plugin;
