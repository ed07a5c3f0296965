import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { nodeTool } from './command.ts';
import { createProject, runExample } from './exampleProject.ts';
import { fromProblems, merge, type Outcome } from './outcome.ts';
import { bundle, measureSizes, readSizes, sizeProblems, treeShakingProblems } from './sizes.ts';
import { packPackages, tarballProblems, type Tarball } from './tarball.ts';
import { publishedPackages } from './workspace.ts';

/** packTests — every package as its users get it: contents, metadata, size, alone in an empty project, in a browser bundle. */
export async function packTests(): Promise<Outcome> {
  const tarballs = await packPackages(publishedPackages().map(({ dir }) => dir));
  const measured = await measureSizes();
  process.stdout.write(`  compressed bundles: ${[...measured].map(([name, bytes]) => `${name.replace(/^@\w+\//, '')} ${(bytes / 1000).toFixed(1)} kB`).join(', ')}\n`);
  return merge([
    fromProblems('bundle sizes', sizeProblems(measured, readSizes())),
    fromProblems('tree shaking', await treeShakingProblems()),
    ...tarballs.map((tarball) => fromProblems(`contents of ${tarball.name}`, tarballProblems(tarball))),
    ...await Promise.all(tarballs.map(async (tarball) => fromProblems(`publint of ${tarball.name}`, await publintProblems(tarball)))),
    fromProblems('types in a user\'s project', await typeProblems(tarballs)),
    fromProblems('browser bundle of models-gpt and wasm-kernels', await browserBundleProblems(tarballs)),
    ...await twoAtATime(tarballs, async (tarball) => fromProblems(`${tarball.name} alone`, await runExample(tarball, tarballs))),
  ]);
}

async function publintProblems({ folder, manifest }: Tarball): Promise<string[]> {
  const { messages } = await publint({ pkgDir: folder, pack: false, strict: true });
  return messages.filter(({ type }) => type !== 'suggestion').map((message) => formatMessage(message, manifest as object, { color: false }) ?? message.code);
}

/** The published declarations, seen by a user's strict TypeScript in Node's own resolution: nothing may be missing. */
async function typeProblems(tarballs: readonly Tarball[]): Promise<string[]> {
  const libraries = tarballs.filter(({ manifest }) => manifest.exports !== undefined);
  const peers = libraries.flatMap(({ manifest }) => Object.keys(manifest.peerDependencies ?? {}).filter((peer) => peer.startsWith('@tensorflow/')));
  const project = await createProject([...new Set([...libraries.map(({ name }) => name), ...peers])], tarballs);
  if (typeof project !== 'string') return project.problems;
  writeFileSync(join(project, 'user.ts'), libraries.map(({ name }, i) => `import * as p${i} from '${name}';\nvoid p${i};\n`).join(''));
  const compilerOptions = { target: 'es2023', module: 'nodenext', strict: true, noEmit: true, types: [] };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['user.ts'] }));
  const { stdout } = await nodeTool('typescript', ['-p', project, '--pretty', 'false'], { bin: 'tsc', cwd: project });
  return stdout.split('\n').filter((line) => /error TS/.test(line) && /^user\.ts|@evenkeel/.test(line));
}

/** A page that trains a GPT must bundle without any of Node's modules. */
async function browserBundleProblems(tarballs: readonly Tarball[]): Promise<string[]> {
  const names = ['@evenkeel/models-gpt', '@evenkeel/wasm-kernels', '@evenkeel/core-tensor', '@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-cpu'];
  const project = await createProject(names, tarballs);
  if (typeof project !== 'string') return project.problems;
  const entry = join(project, 'page.js');
  writeFileSync(entry, `import { gpt } from '@evenkeel/models-gpt';\nimport { wasm } from '@evenkeel/wasm-kernels';\nimport { useDevice } from '@evenkeel/core-tensor';\nglobalThis.parts = { gpt, wasm, useDevice };\n`);
  try {
    const { gzipBytes } = await bundle({ entryPoints: [entry], platform: 'browser' });
    process.stdout.write(`  a page with models-gpt, wasm-kernels and tfjs: ${(gzipBytes / 1000).toFixed(0)} kB\n`);
    return [];
  } catch (error) {
    return (error as { errors?: { text: string; location?: { file: string } }[] }).errors?.map(({ text, location }) => `${location?.file ?? ''}: ${text}`) ?? [String(error)];
  }
}

/** Runs two jobs at a time, results in order. */
async function twoAtATime<T, R>(items: readonly T[], job: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async () => {
    while (next < items.length) {
      const index = next++;
      results[index] = await job(items[index]!);
    }
  };
  await Promise.all([worker(), worker()]);
  return results;
}
