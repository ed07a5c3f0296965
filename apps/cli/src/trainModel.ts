import { join } from 'node:path';
import type { Device, Params } from '@evenkeel/core-tensor';
import type { TrainResult } from '@evenkeel/training';
import { announceDevice, openDevice, peakMemory, type DeviceName, type Precision } from './devices.ts';
import { UsageError } from './errors.ts';
import { formatBytes, formatCount, wrap } from './format.ts';
import type { Io } from './output.ts';
import { PROGRAM, shellWord } from './programName.ts';
import { checkFresh, defaultRunDirectory, inNewDirectory } from './runDirectory.ts';
import { readRecord, writeRecord } from './runRecord.ts';
import { resumedSettings, type Flags, type RunSettings } from './runSettings.ts';
import { parameterCount, round, type Spread } from './statistics.ts';
import type { Conclusion, Family } from './task.ts';
import { runTraining, writeRunReport, type TrainingRun } from './trainingRun.ts';

/** TrainFlags — the flags that every run has besides its settings. */
export type TrainFlags = Flags & { readonly out?: string; readonly resume?: boolean; readonly device: DeviceName; readonly precision: Precision; readonly tune?: boolean };

/** TrainRunResult — what every run says with `--json`; families add fields of their own. */
export type TrainRunResult = {
  readonly command: string;
  readonly device: string;
  /** Number of parameters. */
  readonly params: number;
  /** Number of those that are trained, where it is not all. */
  readonly trainableParams?: number;
  readonly steps: number;
  /** Mean over the last 20 steps. */
  readonly trainLoss: number;
  /** Over the validation data; null without any. */
  readonly valLoss: number | null;
  readonly msPerStep: Spread;
  /** Most bytes of tensors alive at once. */
  readonly peakBytes: number;
  /** The run directory. */
  readonly checkpoint: string;
};

/** trainModel — trains a model of some kind into a run directory, or goes on with a run that was stopped. */
export async function trainModel<S extends RunSettings, F extends TrainFlags>(family: Family<S, F>, flags: F, io: Io): Promise<TrainRunResult> {
  const resume = flags.resume === true;
  const run = resume ? await openRun(family, flags) : await beginRun(family, flags);
  const { task } = run;
  try {
    announceDevice(run.device, flags.device, io.line);
    describe(run, io);
    const memory = peakMemory();
    const trained = await runTraining(run, { resume, io });
    const conclusion = await task.conclude(io, run.directory);
    const result = resultOf(run, trained, conclusion, memory.peakBytes());
    const { sample, tiles, sections } = conclusion;
    await writeRunReport(run, { result: { ...trained, valLoss: conclusion.valLoss ?? trained.valLoss, peakBytes: result.peakBytes }, sample, tiles, sections });
    say(result, conclusion, task.perStep, io);
    return result;
  } finally {
    task.dispose();
  }
}

async function beginRun<S extends RunSettings, F extends TrainFlags>(family: Family<S, F>, flags: F): Promise<TrainingRun> {
  const directory = flags.out ?? defaultRunDirectory(family.slug);
  checkFresh(directory);
  const begun = await inNewDirectory(directory, async (workshop) => {
    let opened: Promise<Device> | undefined;
    const open = (): Promise<Device> => (opened ??= openDevice(flags.device, { precision: flags.precision, tune: flags.tune }));
    const { settings, facts, task } = await family.begin(flags, { workshop, device: open });
    const device = await open();
    await writeRecord(workshop, { command: family.command, device: device.name, facts, settings });
    return { device, settings, facts, task };
  });
  return { family, directory, device: begun.device, settings: begun.settings, task: begun.task ?? await family.open(begun.settings, begun.facts, directory) };
}

async function openRun<S extends RunSettings, F extends TrainFlags>(family: Family<S, F>, flags: F): Promise<TrainingRun> {
  const directory = flags.out;
  if (directory === undefined) throw new UsageError('--resume needs --out, the directory of the run');
  const record = await readRecord<S>(directory, family);
  const settings = resumedSettings(record.settings, flags);
  const device = await openDevice(flags.given.has('device') ? flags.device : record.device as DeviceName, { precision: settings.precision, tune: flags.tune });
  family.check(settings, record.facts, device.name);
  const accepted = (): Promise<void> => writeRecord(directory, { ...record, device: device.name, settings });
  return { family, directory, settings, device, accepted, task: await family.open(settings, record.facts, directory) };
}

function describe({ directory, settings: { steps, batchSize }, task }: TrainingRun, io: Io): void {
  for (const [label, text] of [...task.about, ['run', `${directory}: ${formatCount(steps)} step${steps === 1 ? '' : 's'} of ${stepInWords(task.perStep, batchSize)}`]] as const) {
    for (const line of wrap(label.padEnd(7), text)) io.line(line);
  }
}

/** `12 × 64 tokens`, `64 images`. */
const stepInWords = ({ count, unit }: TrainingRun['task']['perStep'], batchSize: number): string => (unit === 'tokens' ? `${batchSize} × ${count / batchSize} tokens` : `${count} ${unit}`);

function resultOf({ family, directory, device, task: { params, modelSize, perStep } }: TrainingRun, trained: TrainResult, { valLoss, fields }: Conclusion, peakBytes: number): TrainRunResult {
  const { steps, trainLoss, msPerStep: { median, p10, p90 } } = trained;
  const trainable = parameterCount(params as Params);
  return {
    command: family.command, device: device.name, params: modelSize ?? trainable, ...(modelSize !== undefined && { trainableParams: trainable }), steps, trainLoss, valLoss: valLoss ?? null, ...fields,
    msPerStep: { median: round(median, 3), p10: round(p10, 3), p90: round(p90, 3) },
    [`${perStep.unit}PerSecond`]: round((1000 * perStep.count) / median, 1),
    peakBytes: Math.max(peakBytes, trained.peakBytes), checkpoint: directory,
  };
}

function say(result: TrainRunResult, { sample, measured, next: [says, command] }: Conclusion, { count, unit }: TrainingRun['task']['perStep'], io: Io): void {
  const { trainLoss, msPerStep, peakBytes, checkpoint } = result;
  if (!io.json && sample !== undefined) {
    io.line('\nSample');
    for (const line of sample.split('\n')) io.line(`  ${line}`);
  }
  io.line();
  const speed = `${msPerStep.median.toFixed(1)} ms per step, ${formatCount((1000 * count) / msPerStep.median)} ${unit}/s, ${formatBytes(peakBytes)} at most`;
  const rows = [['training loss', `${trainLoss.toFixed(4)} over the last steps`], ...measured, ['speed', speed], ['report', join(checkpoint, 'report.html')], ['checkpoint', checkpoint]] as const;
  for (const [name, text] of rows) io.line(`${name.padEnd(16)} ${text}`);
  io.line(`\n${says} with`);
  io.line(`  ${PROGRAM} ${command.replace('DIR', shellWord(checkpoint))}`);
}
