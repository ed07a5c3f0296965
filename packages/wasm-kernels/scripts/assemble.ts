/**
 * Compiles assembly/ into src/generated/binaries.ts: the module twice, with and without relaxed SIMD, as base64.
 * Does nothing when that file is current: it carries a hash of everything it is made from.
 *
 *     node packages/wasm-kernels/scripts/assemble.ts [--force]
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const target = join(root, 'src/generated/binaries.ts');

const VARIANTS = {
  relaxed: ['--enable', 'relaxed-simd'],
  plain: [],
};

const COMMON = [
  '--optimizeLevel', '3', '--noAssert', '--runtime', 'stub', '--use', 'abort=',
  '--importMemory', '--sharedMemory', '--maximumMemory', '65536', '--memoryBase', '4096', '--importTable',
  '--enable', 'simd', '--enable', 'threads',
];

function sources(): string[] {
  return readdirSync(join(root, 'assembly')).filter((name) => name.endsWith('.ts')).sort();
}

/** Everything the binaries depend on: sources, this script, the compiler's version. */
function fingerprint(): string {
  const hash = createHash('sha256');
  for (const name of sources()) hash.update(name).update(readFileSync(join(root, 'assembly', name)));
  hash.update(readFileSync(fileURLToPath(import.meta.url)));
  const manifest = createRequire(import.meta.url).resolve('assemblyscript/package.json');
  return hash.update(readFileSync(manifest)).digest('hex').slice(0, 32);
}

async function compile(flags: readonly string[]): Promise<Uint8Array> {
  const { default: asc } = await import('assemblyscript/asc');
  let binary: Uint8Array | undefined;
  const { error, stderr } = await asc.main(['index.ts', '--outFile', 'out.wasm', ...COMMON, ...flags], {
    readFile: (name: string) => (existsSync(join(root, 'assembly', name)) ? readFileSync(join(root, 'assembly', name), 'utf8') : null),
    writeFile: (_: string, contents: unknown) => void (binary = contents as Uint8Array),
    listFiles: () => [],
  });
  if (error !== null || binary === undefined || stderr.toString() !== '') throw new Error(`${error?.message ?? 'no output'}\n${stderr.toString()}`);
  return binary;
}

/** assemble — brings src/generated/binaries.ts up to date; calls `onCompile` before it compiles, if it must, and returns whether it did. */
export async function assemble({ force = false, onCompile = () => {} } = {}): Promise<boolean> {
  const stamp = `// sources: ${fingerprint()}`;
  if (!force && existsSync(target) && readFileSync(target, 'utf8').startsWith(stamp)) return false;
  onCompile();
  let text = `${stamp}\n// Written by scripts/assemble.ts from assembly/. Do not edit.\n`;
  for (const [name, flags] of Object.entries(VARIANTS)) {
    text += `export const ${name} = '${Buffer.from(await compile(flags)).toString('base64')}';\n`;
  }
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(`${target}.${process.pid}`, text);
  renameSync(`${target}.${process.pid}`, target);
  return true;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const started = performance.now();
  const compiled = await assemble({ force: process.argv.includes('--force') });
  if (compiled) process.stdout.write(`wasm-kernels: compiled assembly/ in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
}
