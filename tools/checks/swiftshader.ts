/** The conformance suite in Node on Chromium's SwiftShader: the smallest device there is, without f16 and with 256 invocations. */
import { join } from 'node:path';
import { command } from './command.ts';
import { conformanceOutcome } from './conformance/outcome.ts';
import type { ConformanceRun } from './conformance/run.ts';
import { failed, fromProblems, merge, skipped, type Outcome } from './outcome.ts';
import { swiftshaderPath } from './system.ts';

/** swiftshaderTests — one test per kernel, and one of the device's being what it is meant to be. */
export async function swiftshaderTests(): Promise<Outcome> {
  const driver = swiftshaderPath();
  if (driver === undefined) return skipped('swiftshader: no Chromium with its Vulkan driver (vk_swiftshader_icd.json) here');
  const { code, stdout, output } = await command(
    process.execPath, ['--conditions=@evenkeel/source', join(import.meta.dirname, 'conformance/node.ts')], { env: { VK_DRIVER_FILES: driver, VK_ICD_FILENAMES: driver } });
  if (code !== 0) return failed(`swiftshader: the suite ended with ${code}\n${output.trim()}`);
  const run = JSON.parse(stdout.trim().split('\n').at(-1)!) as ConformanceRun;
  return merge([conformanceOutcome('swiftshader', run), fromProblems('swiftshader, the device', oddities(run))]);
}

function oddities({ adapter, features, invocations }: ConformanceRun): string[] {
  return [
    ...(/swiftshader/i.test(adapter) ? [] : [`must be SwiftShader, got ${adapter}`]),
    ...(features.includes('f16') ? ['must lack f16, has it'] : []),
    ...(invocations === 256 ? [] : [`must run 256 invocations in a workgroup, got ${invocations}`]),
  ];
}
