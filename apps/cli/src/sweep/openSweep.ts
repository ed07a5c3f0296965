import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Device } from '@evenkeel/core-tensor';
import { openDevice, type DeviceName } from '../devices.ts';
import { checkMemory } from '../gpt/memoryNeed.ts';
import { prepareRunData } from '../gpt/runData.ts';
import { checkFresh, inNewDirectory } from '../runDirectory.ts';
import { checkSameSweep, planSweep, type SweepFlags, type SweepPlan } from './sweepPlan.ts';
import { readSweep, SWEEP, writeSweep } from './sweepRecord.ts';

/** OpenedSweep — a sweep whose directory is there, and what its runs need besides its text. */
export type OpenedSweep = { readonly plan: SweepPlan; readonly device: Device; readonly vocabSize: number };

/** Flags that say nothing of what is measured. */
const ASIDE: ReadonlySet<string> = new Set(['out', 'resume', 'device', 'config', 'json', 'debug']);

/**
 * openSweep — the sweep of a directory: a new one, the one in it, or that one with learning rates, techniques or sizes added or left out.
 *
 * @throws UsageError  if flags do not fit together, or to the sweep that is there.
 */
export async function openSweep(directory: string, options: SweepFlags & { readonly device: DeviceName }): Promise<OpenedSweep> {
  if (!existsSync(join(directory, SWEEP))) return beginSweep(directory, options);
  const record = await readSweep(directory);
  const saysMore = [...options.given].some((name) => !ASIDE.has(name));
  const plan = saysMore ? planSweep(options) : { techniques: record.techniques, runs: record.runs };
  checkSameSweep(plan, record.runs, directory);
  const device = await openFor(plan, options.given.has('device') ? options.device : record.device as DeviceName);
  checkSizes(plan, record.vocabSize, device);
  return { plan, device, vocabSize: record.vocabSize };
}

async function beginSweep(directory: string, options: SweepFlags & { readonly device: DeviceName }): Promise<OpenedSweep> {
  const plan = planSweep(options);
  const [{ settings }] = plan.runs;
  checkFresh(directory, SWEEP);
  return inNewDirectory(directory, async (workshop) => {
    const device = await openFor(plan, options.device);
    checkSizes(plan, settings.vocabSize ?? 1, device);
    const vocabSize = await prepareRunData(settings, workshop);
    checkSizes(plan, vocabSize, device);
    await writeSweep(workshop, { ...plan, device: device.name, vocabSize });
    return { plan, device, vocabSize };
  }, SWEEP);
}

const openFor = ({ runs: [{ settings }] }: SweepPlan, name: DeviceName): Promise<Device> => openDevice(name, { precision: settings.precision });

/** Before anything is made: the device can hold every run. */
function checkSizes({ runs }: SweepPlan, vocabSize: number, { name }: Device): void {
  for (const { settings } of runs) checkMemory(settings, vocabSize, name);
}
