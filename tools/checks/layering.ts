/**
 * Layering: packages form layers, `nx.tags: ["layer:N"]`, and imports only go down (docs/architecture.md). This check reads
 * package.json files and the imports in src/, so that a forbidden dependency fails even before the first import exists.
 */
import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { importCycles } from './importCycles.ts';
import { repositoryRoot, sourceFiles, workspacePackages, type Manifest, type Package } from './workspace.ts';

/** checkLayering — one sentence per violation; none means that the layers hold. */
export function checkLayering(root = repositoryRoot): string[] {
  const packages = workspacePackages(root);
  const byName = new Map(packages.map((each) => [each.name, each]));
  const rootManifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Manifest;
  return [
    ...packages.flatMap((each) => checkTags(each)),
    ...packages.flatMap((each) => checkDependencies(each, byName)),
    ...packageCycles(packages, byName),
    ...packages.flatMap((each) => checkImports(root, each, byName, rootManifest)),
    ...packages.flatMap((each) => importCycles(root, each.dir)),
  ];
}

function checkTags({ dir, layer, isTool }: Package): string[] {
  if (isTool) return layer === undefined ? [] : [`${dir}/package.json: nx.tags must be either "tool" or one "layer:N", not both`];
  return layer === undefined ? [`${dir}/package.json: nx.tags must hold one "layer:0" to "layer:5", or "tool"`] : [];
}

function checkDependencies(from: Package, byName: Map<string, Package>): string[] {
  const { dependencies, peerDependencies, optionalDependencies } = from.manifest;
  return Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies }).flatMap((name) => {
    const to = byName.get(name);
    const problem = to === undefined ? undefined : forbidden(from, to);
    return problem === undefined ? [] : [`${from.dir}/package.json: must not depend on ${name}: ${problem}`];
  });
}

/** Why `from` may not use `to` at run time, or undefined if it may. */
function forbidden(from: Package, to: Package): string | undefined {
  if (to.isTool) return from.isTool ? undefined : 'tools may only be devDependencies';
  if (from.isTool) return from.name.endsWith('/checks') ? undefined : 'tools know nothing of the packages they serve';
  if (from.layer === undefined || to.layer === undefined || to.layer < from.layer) return undefined;
  return to.layer === from.layer
    ? `both are of layer ${from.layer}, and packages of one layer never use each other`
    : `layer ${from.layer} must not use layer ${to.layer}`;
}

/** Cycles between packages, devDependencies included: the task graph must stay a graph without loops. */
function packageCycles(packages: Package[], byName: Map<string, Package>): string[] {
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (each: Package, path: string[]): void => {
    if (path.includes(each.name)) {
      found.push(`${each.dir}/package.json: packages depend on each other in a circle: ${[...path.slice(path.indexOf(each.name)), each.name].join(' → ')}`);
      return;
    }
    if (done.has(each.name)) return;
    const { dependencies, peerDependencies, devDependencies } = each.manifest;
    for (const name of Object.keys({ ...dependencies, ...peerDependencies, ...devDependencies })) {
      const next = byName.get(name);
      if (next !== undefined) visit(next, [...path, each.name]);
    }
    done.add(each.name);
  };
  for (const each of packages) visit(each, []);
  return found;
}

function checkImports(root: string, from: Package, byName: Map<string, Package>, rootManifest: Manifest): string[] {
  const { dependencies, peerDependencies, optionalDependencies, devDependencies } = from.manifest;
  const runtime = new Set(Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies }));
  const development = new Set([...runtime, ...Object.keys({ ...devDependencies, ...rootManifest.devDependencies }), from.name]);
  const check = (folder: string, declared: Set<string>) => sourceFiles(root, from.dir, folder).flatMap((file) =>
    importsOf(join(root, from.dir, file)).flatMap((specifier) => {
      const problem = importProblem(specifier, { from, file, declared, byName });
      return problem === undefined ? [] : [`${from.dir}/${file}: ${specifier}: ${problem}`];
    }));
  return [...check('src', from.isTool ? development : runtime), ...check('test', development), ...check('bench', development)];
}

type ImportPlace = { from: Package; file: string; declared: Set<string>; byName: Map<string, Package> };

function importProblem(specifier: string, { from, file, declared, byName }: ImportPlace): string | undefined {
  if (specifier.startsWith('.')) return relativeProblem(specifier, file);
  if (isBuiltin(specifier)) return specifier.startsWith('node:') ? undefined : `write node:${specifier}`;
  const name = specifier.split('/').slice(0, specifier.startsWith('@') ? 2 : 1).join('/');
  const to = byName.get(name);
  const isSource = file.startsWith('src/');
  if (isSource && name === from.name) return 'a package does not import itself by name; use a relative path';
  if (to !== undefined && specifier !== name && !(`.${specifier.slice(name.length)}` in (to.manifest.exports ?? {}))) {
    return 'deep imports are forbidden; import from the package';
  }
  if (isSource && to !== undefined) {
    const problem = forbidden(from, to);
    if (problem !== undefined) return `must not be imported here: ${problem}`;
  }
  if (declared.has(name)) return undefined;
  return isSource ? `${name} is not in dependencies or peerDependencies` : `${name} is not declared in package.json`;
}

/** A relative import must stay inside its package, and src/ must not reach into test/ or bench/. */
function relativeProblem(specifier: string, file: string): string | undefined {
  const target = join(file, '..', specifier).replaceAll('\\', '/');
  if (target.startsWith('..')) return 'leaves the package; import by package name';
  return file.startsWith('src/') && !target.startsWith('src/') && !target.endsWith('.json') ? 'src/ must not import from outside src/' : undefined;
}

/** importsOf — every module specifier a file imports or re-exports, types and dynamic imports included. */
export function importsOf(path: string): string[] {
  return ts.preProcessFile(readFileSync(path, 'utf8'), true, true).importedFiles.map(({ fileName }) => fileName);
}
