import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export type Manifest = {
  name: string;
  version: string;
  private?: boolean;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
  optionalDependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
  exports?: Record<string, unknown>;
  bin?: Record<string, string>;
  files?: string[];
  nx?: { tags?: string[] };
};

/** One package of the workspace; `layer` is undefined for tools (and for a package that forgot its tag). */
export type Package = { name: string; dir: string; manifest: Manifest; layer: number | undefined; isTool: boolean };

/** The root of the repository this file stands in. */
export const repositoryRoot = join(import.meta.dirname, '../..');

/** workspacePackages — every package under packages/, apps/ and tools/, `dir` relative to the root. */
export function workspacePackages(root = repositoryRoot): Package[] {
  return ['packages', 'apps', 'tools'].flatMap((folder) => (existsSync(join(root, folder)) ? readdirSync(join(root, folder)).sort() : [])
    .map((name) => `${folder}/${name}`)
    .filter((dir) => existsSync(join(root, dir, 'package.json')))
    .map((dir) => readPackage(root, dir)));
}

/** publishedPackages — those that go to the registry. */
export function publishedPackages(root = repositoryRoot): Package[] {
  return workspacePackages(root).filter(({ manifest }) => manifest.private !== true);
}

/** sourceFiles — the TypeScript files of one folder of a package, relative to the package; generated files left out. */
export function sourceFiles(root: string, dir: string, folder = 'src'): string[] {
  const start = join(root, dir, folder);
  if (!existsSync(start)) return [];
  return readdirSync(start, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.(ts|tsx|mts)$/.test(file) && !/(^|[\\/])(generated|node_modules|dist)[\\/]/.test(file))
    .map((file) => `${folder}/${file.replaceAll('\\', '/')}`)
    .sort();
}

function readPackage(root: string, dir: string): Package {
  const manifest = JSON.parse(readFileSync(join(root, dir, 'package.json'), 'utf8')) as Manifest;
  const tags = manifest.nx?.tags ?? [];
  const layer = tags.map((tag) => /^layer:([0-5])$/.exec(tag)?.[1]).find((found) => found !== undefined);
  return { name: manifest.name, dir, manifest, layer: layer === undefined ? undefined : Number(layer), isTool: tags.includes('tool') };
}
