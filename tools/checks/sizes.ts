/**
 * Bundle sizes: what each package adds to somebody's page, minified and compressed, peers and siblings not counted.
 * sizes.json holds a limit per package; `node tools/checks/sizes.ts --update` (after a build) rewrites it.
 */
import { build, type BuildOptions } from 'esbuild';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { publishedPackages, repositoryRoot } from './workspace.ts';

export type Sizes = Record<string, { gzipBytes: number; limit: number }>;

const FILE = join(import.meta.dirname, 'sizes.json');

/** bundle — one minified ES module in memory. */
export async function bundle(options: BuildOptions): Promise<{ code: string; gzipBytes: number }> {
  const { outputFiles } = await build({
    bundle: true, minify: true, format: 'esm', target: 'es2022', write: false, logLevel: 'silent', legalComments: 'none', ...options,
  });
  return { code: outputFiles![0]!.text, gzipBytes: gzipSync(outputFiles![0]!.contents, { level: 9 }).length };
}

/** measureSizes — the compressed size of every library's built entry. */
export async function measureSizes(root = repositoryRoot): Promise<Map<string, number>> {
  const libraries = publishedPackages(root).filter(({ manifest }) => manifest.exports !== undefined);
  return new Map(await Promise.all(libraries.map(async ({ name, dir }) => {
    const { gzipBytes } = await bundle({ entryPoints: [join(root, dir, 'dist/index.js')], packages: 'external', platform: 'neutral' });
    return [name, gzipBytes] as const;
  })));
}

/** sizeProblems — packages that grew beyond their limit, have none, or no longer exist. */
export function sizeProblems(measured: Map<string, number>, recorded: Sizes): string[] {
  return [
    ...[...measured].flatMap(([name, bytes]) => {
      const limit = recorded[name]?.limit;
      if (limit === undefined) return [`${name}: ${bytes} bytes, no limit recorded`];
      return bytes <= limit ? [] : [`${name}: ${bytes} bytes compressed, at most ${limit}`];
    }),
    ...Object.keys(recorded).filter((name) => !measured.has(name)).map((name) => `${name}: recorded, but there is no such package`),
  ].map((problem) => `${problem} (node tools/checks/sizes.ts --update, if that is meant)`);
}

/** readSizes — the recorded limits. */
export function readSizes(): Sizes {
  return JSON.parse(readFileSync(FILE, 'utf8')) as Sizes;
}

/** Limits leave room for a tenth more, in steps of 500 bytes. */
function withLimits(measured: Map<string, number>): Sizes {
  return Object.fromEntries([...measured].map(([name, gzipBytes]) => [name, { gzipBytes, limit: Math.ceil((gzipBytes * 1.1) / 500) * 500 }]));
}

/** Functions, what their bundles must hold, and what of their packages they must not. */
const ALONE = [
  { name: 'rmsNorm', from: 'norms', holds: 'evenkeel/rmsNorm', not: 'layerNorm' },
  { name: 'flashAttention', from: 'flash-attention', holds: 'attentionKeyValueGrad', not: 'attentionVarlen' },
  { name: 'attentionReference', from: 'flash-attention', holds: 'attentionReference', not: 'attentionKeyValueGrad' },
  { name: 'mergeAttention', from: 'flash-attention', holds: 'mergeAttention', not: 'attentionKeyValueGrad' },
] as const;

/** treeShakingProblems — importing one function of a package must not bring its siblings along. */
export async function treeShakingProblems(root = repositoryRoot): Promise<string[]> {
  const problems = await Promise.all(ALONE.map(async ({ name, from, holds, not }) => {
    const { code } = await bundle({
      stdin: { contents: `import { ${name} } from '@evenkeel/${from}'; console.log(${name});`, resolveDir: root },
      alias: { [`@evenkeel/${from}`]: join(root, `packages/${from}/dist/index.js`) },
      external: ['@tensorflow/*', '@evenkeel/core-tensor'],
    });
    return [
      ...(code.includes(holds) ? [] : [`${name} alone: the bundle lacks ${holds}`]),
      ...(code.includes(not) ? [`${name} alone: the bundle still holds ${not}`] : []),
    ];
  }));
  return problems.flat();
}

if (import.meta.main && process.argv.includes('--update')) {
  const sizes = withLimits(await measureSizes());
  writeFileSync(FILE, `${JSON.stringify(sizes, undefined, 2)}\n`);
  process.stdout.write(`${Object.entries(sizes).map(([name, { gzipBytes, limit }]) => `${name}: ${gzipBytes} bytes, limit ${limit}`).join('\n')}\n`);
}
