import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { command, pnpm, temporaryFolder } from './command.ts';
import type { Manifest } from './workspace.ts';

/** A packed package: the archive, what is in it, and where it lies unpacked. */
export type Tarball = { name: string; path: string; files: string[]; folder: string; manifest: Manifest };

/** packPackages — packs the packages in the given folders exactly as a release would, and unpacks a copy of each. */
export async function packPackages(dirs: readonly string[]): Promise<Tarball[]> {
  const destination = temporaryFolder('tarballs');
  const filters = dirs.flatMap((dir) => ['--filter', `./${dir}`]);
  const { code, stdout, output } = await pnpm(['--recursive', ...filters, 'pack', '--pack-destination', destination, '--json']);
  if (code !== 0) throw new Error(`pnpm pack ended with ${code}\n${output}`);
  const listed = JSON.parse(stdout.slice(stdout.search(/^[[{]/m))) as PackedJson | PackedJson[];
  return Promise.all([listed].flat().map(unpack));
}

type PackedJson = { name: string; filename: string; files: { path: string }[] };

async function unpack({ name, filename, files }: PackedJson): Promise<Tarball> {
  const folder = temporaryFolder('unpacked');
  const { code, output } = await command('tar', ['-xzf', filename, '-C', folder, '--strip-components=1']);
  if (code !== 0) throw new Error(`tar ended with ${code}\n${output}`);
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest;
  return { name, path: filename, files: files.map(({ path }) => path), folder, manifest };
}

/** tarballProblems — one sentence per thing that a published package must not have or must not lack. */
export function tarballProblems({ name, files, manifest }: Omit<Tarball, 'folder' | 'path'>): string[] {
  const { dependencies, peerDependencies, optionalDependencies } = manifest;
  const workspace = Object.entries({ ...dependencies, ...peerDependencies, ...optionalDependencies }).filter(([, range]) => range.startsWith('workspace:'));
  const strange = files.filter((file) => !/^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/.+)$/.test(file) || /\.test\.|(^|\/)(test|bench)\//.test(file));
  const targets = targetsOf([manifest.exports, manifest.bin]).map((target) => target.replace(/^\.\//, ''));
  return [
    ...workspace.map(([dependency, range]) => `depends on ${dependency} ${range}, which only exists in the workspace`),
    ...strange.map((file) => `must not ship ${file}`),
    ...['README.md', 'LICENSE'].filter((file) => !files.includes(file)).map((file) => `must ship ${file}`),
    ...targets.filter((target) => !files.includes(target)).map((target) => `names ${target}, which it does not ship`),
    ...(JSON.stringify(manifest.exports ?? {}).includes('@evenkeel/source') ? ['exports the development condition @evenkeel/source'] : []),
    ...(targets.length === 0 ? ['exports nothing'] : []),
  ].map((problem) => `${name}: ${problem}`);
}

/** Every file named in an `exports` or `bin` value. */
function targetsOf(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(targetsOf) : [];
}
