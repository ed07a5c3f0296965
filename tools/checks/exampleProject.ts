/**
 * Proof that a package is really separate: an empty project that gets its tarball and what its README's install line
 * names, and runs the README's example in plain Node.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import ts from 'typescript';
import { command, pnpm, temporaryFolder } from './command.ts';
import type { Tarball } from './tarball.ts';

/** What a user installs beside any package: tfjs-core alone computes nothing. */
const BACKENDS = ['@tensorflow/tfjs-backend-cpu', '@tensorflow/tfjs-backend-webgpu', '@evenkeel/wasm-kernels', '@evenkeel/webgpu-kernels'];

/** runExample — problems met while installing the package alone and running its README's example; none is success. */
export async function runExample(tarball: Tarball, all: readonly Tarball[]): Promise<string[]> {
  if (tarball.manifest.bin !== undefined) return runProgram(tarball, all);
  const readme = existsSync(join(tarball.folder, 'README.md')) ? readFileSync(join(tarball.folder, 'README.md'), 'utf8') : '';
  const code = exampleOf(readme);
  const install = installLine(readme);
  if (code === undefined) return ['README.md must have a ```js block under "## Example"'];
  if (install === undefined) return ['README.md must have an install line, `npm i …`'];
  const problems = [...installProblems(tarball.manifest, install), ...importProblems(code, install)];
  if (problems.length > 0) return problems;
  const project = await createProject(install, all);
  if (typeof project !== 'string') return project.problems;
  writeFileSync(join(project, 'example.js'), code);
  const { code: status, stdout, output } = await command(process.execPath, ['example.js'], { cwd: project, env: plainEnvironment, timeoutMs: 120_000 });
  if (status !== 0) return [`the README's example ended with ${status}\n${indent(output)}`];
  return stdout.trim() === '' ? ['the README\'s example must print something'] : [];
}

/** What a program must be able to do when it is installed alone: each of these ends with 0 and prints something. */
const PROGRAM_RUNS: Record<string, readonly string[][]> = {
  evenkeel: [
    ['--help'],
    ['doctor', '--json'],
    ['train', 'gpt', '--data', 'package.json', '--tokenizer', 'char', '--depth', '1', '--dim', '16', '--num-heads', '2', '--context', '8', '--steps', '3', '--out', 'run', '--json'],
    ['generate', '--checkpoint', 'run', '--prompt', 'name', '--max-tokens', '3', '--json'],
  ],
};

/** A package that is a program: commands load their parts late, so every kind of command runs once. */
async function runProgram(tarball: Tarball, all: readonly Tarball[]): Promise<string[]> {
  const project = await createProject([tarball.name], all);
  if (typeof project !== 'string') return project.problems;
  for (const program of Object.keys(tarball.manifest.bin!)) {
    for (const args of PROGRAM_RUNS[program] ?? [['--help']]) {
      const { code, stdout, output } = await command(join(project, 'node_modules/.bin', program), args, { cwd: project, env: plainEnvironment, timeoutMs: 120_000 });
      if (code !== 0 || stdout.trim() === '') return [`${program} ${args.join(' ')} ended with ${code}\n${indent(output)}`];
    }
  }
  return [];
}

/** The first js block under "## Example". */
export function exampleOf(readme: string): string | undefined {
  const section = /^## Example\n([^]*?)(?=^## |(?![^]))/m.exec(readme)?.[1];
  return section === undefined ? undefined : /^```js\n([^]*?)^```/m.exec(section)?.[1];
}

/** The packages named by the README's `npm i …` line. */
export function installLine(readme: string): string[] | undefined {
  return /^\s*(?:npm (?:i|install)|pnpm add) (.+)$/m.exec(readme)?.[1]!.replaceAll('`', '').trim().split(/\s+/).filter((word) => !word.startsWith('-'));
}

/** The install line must name the package and its required peers, and beyond them only its own dependencies and a backend. */
export function installProblems({ name, dependencies, peerDependencies, peerDependenciesMeta }: Tarball['manifest'], install: readonly string[]): string[] {
  const required = [name, ...Object.keys(peerDependencies ?? {}).filter((peer) => peerDependenciesMeta?.[peer]?.optional !== true)];
  const allowed = [...required, ...Object.keys({ ...dependencies, ...peerDependencies }), ...BACKENDS];
  return [
    ...required.filter((each) => !install.includes(each)).map((each) => `README.md's install line must name ${each}`),
    ...install.filter((each) => !allowed.includes(each)).map((each) => `README.md's install line names ${each}, which is neither a dependency, a peer nor a backend`),
  ];
}

/** An example may import only what its reader has been told to install, even where npm would hoist more. */
export function importProblems(code: string, install: readonly string[]): string[] {
  return ts.preProcessFile(code, true, true).importedFiles
    .map(({ fileName }) => fileName.split('/').slice(0, fileName.startsWith('@') ? 2 : 1).join('/'))
    .filter((name) => !isBuiltin(name) && !install.includes(name))
    .map((name) => `README.md's example imports ${name}, which its install line does not name`);
}

/** createProject — an empty project with the named packages installed, ours from their tarballs. */
export async function createProject(names: readonly string[], all: readonly Tarball[]): Promise<string | { problems: string[] }> {
  const folder = temporaryFolder('project');
  const ours = new Map(all.map(({ name, path }) => [name, `file:${path}`]));
  const dependencies = Object.fromEntries(names.map((name) => [name, ours.get(name) ?? knownRange(name, all)]));
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'example', private: true, type: 'module', dependencies }));
  const overrides = [...ours].map(([name, file]) => `  '${name}': '${file}'\n`).join('');
  writeFileSync(join(folder, 'pnpm-workspace.yaml'), `packages: ['.']\nautoInstallPeers: false\nstrictPeerDependencies: true\noverrides:\n${overrides}`);
  const { code, output } = await pnpm(['install', '--prefer-offline', '--ignore-scripts', '--no-optional'], { cwd: folder });
  return code === 0 ? folder : { problems: [`pnpm install of ${names.join(' ')} ended with ${code}\n${indent(output)}`] };
}

/** The range that our packages ask of a foreign package. */
function knownRange(name: string, all: readonly Tarball[]): string {
  const ranges = all.map(({ manifest }) => ({ ...manifest.dependencies, ...manifest.peerDependencies })[name]);
  return ranges.find((range) => range !== undefined) ?? '*';
}

/** No trace of the workspace: neither the source condition nor loaders. */
const plainEnvironment = { NODE_OPTIONS: '', NODE_PATH: '' };

function indent(text: string): string {
  return text.trim().split('\n').slice(-40).map((line) => `      ${line}`).join('\n');
}
