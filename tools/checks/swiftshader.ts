/** The conformance suite in Node on Chromium's SwiftShader: the smallest device there is, without f16 and with 256 invocations. */
import { join } from 'node:path';
import { command } from './command.ts';
import { conformanceOutcome } from './conformance/outcome.ts';
import type { ConformanceRun } from './conformance/run.ts';
import { failed, fromProblems, merge, skipped, type Outcome } from './outcome.ts';
import { swiftshaderPath } from './system.ts';

/** swiftshaderTests — one test per kernel, one of the device's being what it is meant to be, and one of what it says where memory ends. */
export async function swiftshaderTests(): Promise<Outcome> {
  const driver = swiftshaderPath();
  if (driver === undefined) return skipped('swiftshader: no Chromium with its Vulkan driver (vk_swiftshader_icd.json) here');
  const run = await onSwiftshader<ConformanceRun>(driver, 'node.ts');
  const memory = await onSwiftshader<{ large: string; next: string }>(driver, 'outOfMemory.ts');
  const failure = [run, memory].find((each) => 'failure' in each);
  if (failure !== undefined) return failed(`swiftshader: ${(failure as Failure).failure}`);
  const problems = Object.entries(memory as object).flatMap(([which, said]) => (/got out of memory in Fill: /.test(said as string) ? [] : [`the error of the ${which} operation must name the one without memory, got: ${said}`]));
  return merge([
    conformanceOutcome('swiftshader', run as ConformanceRun), fromProblems('swiftshader, the device', oddities(run as ConformanceRun)),
    fromProblems('swiftshader, out of memory', problems),
  ]);
}

type Failure = { readonly failure: string };

/** What a program of the suite says in its last line. */
async function onSwiftshader<T>(driver: string, program: string): Promise<T | Failure> {
  const { code, stdout, output } = await command(
    process.execPath, ['--conditions=@evenkeel/source', join(import.meta.dirname, 'conformance', program)], { env: { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver } });
  return code === 0 ? JSON.parse(stdout.trim().split('\n').at(-1)!) as T : { failure: `${program} ended with ${code}\n${output.trim()}` };
}

function oddities({ adapter, features, invocations }: ConformanceRun): string[] {
  return [
    ...(/swiftshader/i.test(adapter) ? [] : [`must be SwiftShader, got ${adapter}`]),
    ...(features.includes('f16') ? ['must lack f16, has it'] : []),
    ...(invocations === 256 ? [] : [`must run 256 invocations in a workgroup, got ${invocations}`]),
  ];
}
