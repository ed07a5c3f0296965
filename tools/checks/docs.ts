import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { publishedPackages, repositoryRoot, type Package } from './workspace.ts';

const HEADINGS = ['## Example', '## Functions', '## Memory', '## Limits'];

/** checkDocs — every package has its README; every value its index exports is named there, as code. One sentence per gap. */
export function checkDocs(root = repositoryRoot): string[] {
  return publishedPackages(root).flatMap((each) => checkReadme(root, each));
}

function checkReadme(root: string, { dir, manifest }: Package): string[] {
  const path = join(root, dir, 'README.md');
  if (!existsSync(path)) return [`${dir}/README.md: missing`];
  const text = readFileSync(path, 'utf8');
  if (manifest.exports === undefined) return []; // a program, not a library
  const named = new Set(codeIn(text).flatMap((code) => code.match(/[A-Za-z_$][\w$]*/g) ?? []));
  return [
    ...HEADINGS.filter((heading) => !text.includes(`\n${heading}\n`)).map((heading) => `${dir}/README.md: must have the heading "${heading}"`),
    ...exportedNames(join(root, dir, 'src/index.ts')).filter((name) => !named.has(name)).map((name) => `${dir}/README.md: must name the export ${name}`),
  ];
}

/** The contents of `code spans`, outside fenced blocks. */
function codeIn(markdown: string): string[] {
  return (markdown.replace(/^```[^]*?^```/gm, '').match(/`[^`]+`/g) ?? []);
}

/** exportedNames — the values a module exports, following `export *` through relative files; types speak through them. */
export function exportedNames(path: string): string[] {
  const source = ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.Latest);
  return source.statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement)) return reexportedNames(path, statement);
    const modifiers = ts.canHaveModifiers(statement) ? ts.getModifiers(statement) : undefined;
    if (!modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword)) return [];
    if (ts.isTypeAliasDeclaration(statement) || ts.isInterfaceDeclaration(statement)) return [];
    if (ts.isVariableStatement(statement)) return statement.declarationList.declarations.map(({ name }) => (name as ts.Identifier).text);
    return [(statement as ts.FunctionDeclaration).name?.text ?? 'default'];
  });
}

function reexportedNames(path: string, { exportClause, moduleSpecifier, isTypeOnly }: ts.ExportDeclaration): string[] {
  if (isTypeOnly) return [];
  if (exportClause === undefined) return exportedNames(join(path, '..', (moduleSpecifier as ts.StringLiteral).text));
  return ts.isNamedExports(exportClause) ? exportClause.elements.filter((element) => !element.isTypeOnly).map(({ name }) => name.text) : [exportClause.name.text];
}
