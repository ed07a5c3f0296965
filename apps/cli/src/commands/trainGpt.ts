import { join } from 'node:path';
import { dispose } from '@tensorflow/tfjs-core';
import type { Device } from '@evenkeel/core-tensor';
import type { TrainResult } from '@evenkeel/training';
import { announceDevice, openDevice, peakMemory, type DeviceName } from '../devices.ts';
import { UsageError } from '../errors.ts';
import type { MeanLoss } from '../evaluation.ts';
import { formatBytes, formatCount, wrap } from '../format.ts';
import { freshModel } from '../freshModel.ts';
import { checkMemory } from '../memoryNeed.ts';
import type { Io } from '../output.ts';
import { PROGRAM, shellWord } from '../programName.ts';
import { openRunData, prepareRunData } from '../runData.ts';
import { checkFresh, defaultRunDirectory, inNewDirectory } from '../runDirectory.ts';
import { readRecord, writeRecord, type RunRecord } from '../runRecord.ts';
import { newSettings, resumedSettings, type RunSettings, type TrainGptFlags } from '../runSettings.ts';
import { drawSample } from '../sample.ts';
import { parameterCount, round, type Spread } from '../statistics.ts';
import { techniquesInWords } from '../techniques.ts';
import { finalLoss, runTraining, writeRunReport, type TrainingRun } from '../trainingRun.ts';

export type TrainGptOptions = TrainGptFlags & { readonly out?: string; readonly resume?: boolean; readonly device: DeviceName };

export type TrainGptResult = {
  readonly command: 'train gpt';
  readonly device: string;
  /** Number of trained parameters. */
  readonly params: number;
  readonly steps: number;
  /** Mean over the last 20 steps. */
  readonly trainLoss: number;
  /** Mean over the validation split, or over 131,072 tokens spread over it; null without one. */
  readonly valLoss: number | null;
  readonly msPerStep: Spread;
  readonly tokensPerSecond: number;
  /** Most bytes of tensors alive at once. */
  readonly peakBytes: number;
  /** The run directory. */
  readonly checkpoint: string;
};

/** trainGpt — trains a GPT on text into a run directory, or goes on with a run that was stopped. */
export async function trainGpt(options: TrainGptOptions, io: Io): Promise<TrainGptResult> {
  const resume = options.resume === true;
  const run = resume ? await openRun(options) : await beginRun(options);
  try {
    announceDevice(run.device, options.device, io.line);
    describe(run, io);
    const memory = peakMemory();
    const trained = await runTraining(run, { resume, io });
    if (run.data.val.length > 1) io.line('evaluating on the validation text …');
    const final = await finalLoss(run);
    const result = resultOf(run, trained, { final, peakBytes: memory.peakBytes() });
    const sample = await drawSample(run);
    await writeRunReport(run, { result: { ...trained, valLoss: final?.loss ?? trained.valLoss, peakBytes: result.peakBytes }, sample });
    conclude(result, { final, sample }, io);
    return result;
  } finally {
    dispose([run.params, run.state] as never);
    run.data.close();
  }
}

async function beginRun(options: TrainGptOptions): Promise<TrainingRun> {
  const settings = newSettings(options);
  const directory = options.out ?? defaultRunDirectory();
  checkFresh(directory);
  const prepared = await inNewDirectory(directory, async (workshop) => {
    const device = await openDevice(options.device, { precision: settings.precision });
    checkMemory(settings, settings.vocabSize ?? 1, device.name);
    const vocabSize = await prepareRunData(settings, workshop);
    checkMemory(settings, vocabSize, device.name);
    const model = freshModel(settings, vocabSize);
    await writeRecord(workshop, recordOf(settings, vocabSize, device));
    return { device, ...model };
  });
  return { directory, data: await openRunData(settings, directory), ...prepared };
}

async function openRun(options: TrainGptOptions): Promise<TrainingRun> {
  const directory = options.out;
  if (directory === undefined) throw new UsageError('--resume needs --out, the directory of the run');
  const record = await readRecord(directory);
  const settings = resumedSettings(record.settings, options);
  const device = await openDevice(options.given.has('device') ? options.device : record.device as DeviceName, { precision: settings.precision });
  checkMemory(settings, record.vocabSize, device.name);
  const data = await openRunData(settings, directory);
  const accepted = (): Promise<void> => writeRecord(directory, recordOf(settings, data.vocabSize, device));
  return { directory, data, device, accepted, ...freshModel(settings, data.vocabSize) };
}

function recordOf(settings: RunSettings, vocabSize: number, { name }: Device): RunRecord {
  return { format: 1, command: 'train gpt', device: name, vocabSize, settings };
}

function describe({ directory, settings, data, params }: TrainingRun, io: Io): void {
  const { depth, dim, numHeads, context, batchSize, steps } = settings;
  const row = (label: string, text: string): void => wrap(label.padEnd(7), text).forEach((line) => io.line(line));
  row('data', data.name);
  row('', `${formatCount(data.train.length)} tokens to train, ${formatCount(data.val.length)} to validate, vocabulary ${formatCount(data.vocabSize)}`);
  row('model', `${formatCount(parameterCount(params))} parameters: depth ${depth}, dim ${dim}, ${numHeads} heads, context ${context}`);
  const techniques = techniquesInWords(settings);
  if (techniques !== '') row('with', techniques);
  row('run', `${directory}: ${formatCount(steps)} step${steps === 1 ? '' : 's'} of ${batchSize} × ${context} tokens`);
}

function resultOf(
  { directory, device, params, settings }: TrainingRun, trained: TrainResult, { final, peakBytes }: { final: MeanLoss | undefined; peakBytes: number },
): TrainGptResult {
  const { steps, trainLoss, msPerStep: { median, p10, p90 } } = trained;
  return {
    command: 'train gpt', device: device.name, params: parameterCount(params), steps, trainLoss, valLoss: final?.loss ?? null,
    msPerStep: { median: round(median, 3), p10: round(p10, 3), p90: round(p90, 3) },
    tokensPerSecond: round((1000 * settings.batchSize * settings.context) / median, 1),
    peakBytes: Math.max(peakBytes, trained.peakBytes), checkpoint: directory,
  };
}

function conclude(result: TrainGptResult, { final, sample }: { final: MeanLoss | undefined; sample: string }, io: Io): void {
  const { trainLoss, valLoss, msPerStep, tokensPerSecond, peakBytes, checkpoint } = result;
  if (!io.json) {
    io.line('\nSample');
    for (const line of sample.split('\n')) io.line(`  ${line}`);
  }
  io.line();
  io.line(`training loss    ${trainLoss.toFixed(4)} over the last steps`);
  if (valLoss !== null) io.line(`validation loss  ${valLoss.toFixed(4)} over ${formatCount((final as MeanLoss).tokens)} tokens`);
  io.line(`speed            ${msPerStep.median.toFixed(1)} ms per step, ${formatCount(tokensPerSecond)} tokens/s, ${formatBytes(peakBytes)} at most`);
  io.line(`report           ${join(checkpoint, 'report.html')}`);
  io.line(`checkpoint       ${checkpoint}`);
  io.line('\nContinue a text of yours with');
  io.line(`  ${PROGRAM} generate --checkpoint ${shellWord(checkpoint)} --prompt "…"`);
}
